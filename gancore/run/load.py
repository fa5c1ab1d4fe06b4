"""A stored run, opened to look at and not to train: no optimisers, and the critic only where
something asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from torch import nn

from gancore.hardware.layout import use_channels_last
from gancore.run.checkpoint.compare import compare
from gancore.run.checkpoint.component_state import set_states, stored_states
from gancore.run.checkpoint.state import stored_label_set
from gancore.train.build import build_generator, build_player, make_plan
from gancore.train.networks import GAN, Player
from gancore.train.plan import Plan

if TYPE_CHECKING:
    import torch

    from gancore.plugins.calling import Hooks
    from gancore.recipe.compose import Composition
    from gancore.run.checkpoint.state import Snapshot
    from gancore.train.precision import Runtime
    from gancore.train.rng import Streams


class OpenedGAN(GAN):
    """The players of a stored run, without optimisers.

    The critic is built when it is first asked for.
    """

    def __init__(
        self, generator: Player, device: torch.device, make_critic: Callable[[], Player]
    ) -> None:
        self.generator = generator
        self.device = device
        self._make_critic = make_critic

    @cached_property
    def critic(self) -> Player:  # type: ignore[override]
        """The critic with its stored weights."""
        return self._make_critic()


def stored_plan(composition: Composition, streams: Streams, snapshot: Snapshot) -> Plan:
    """Return the plan of a stored run, whose data need not be there. `plan.reals` gives zeros."""
    state = snapshot.state
    label_sets = tuple(stored_label_set(each) for each in state["label_sets"])
    batch = composition.settings.batch
    return make_plan(composition.hooks, streams, state["shape"], label_sets, batch, None)


def open_players(
    composition: Composition, plan: Plan, streams: Streams, runtime: Runtime, snapshot: Snapshot
) -> tuple[GAN, Runtime]:
    """Build the generator, and say how to build the critic.

    Also return the runtime as the generator bears it.
    """
    hooks = composition.hooks
    device = runtime.device
    wish = composition.settings.channels_last

    def make_critic() -> Player:
        critic = build_player(hooks, plan, streams, device, "critic")
        compare("critic", critic.state_dict(), snapshot.files["critic"])
        critic.load_state_dict(snapshot.files["critic"])
        use_channels_last(GAN(gan.generator, critic, device), plan, runtime, wish, ("critic",))
        # the state of components may have been set while they took part in building the critic
        set_states(
            hooks, stored_states(hooks, snapshot.files["components"], snapshot.state["components"])
        )
        return critic

    gan = OpenedGAN(build_player(hooks, plan, streams, device, "generator"), device, make_critic)
    return gan, use_channels_last(gan, plan, runtime, wish, ("generator",))


def open_generator(hooks: Hooks, plan: Plan, streams: Streams, device: torch.device) -> GAN:
    """Build the generator alone, beside a critic that is none, for samples of a run whose plugins
    are not all there.
    """
    generator = Player(
        "generator", build_generator(hooks, plan, streams).to(device), nn.ModuleDict()
    )
    return GAN(generator, Player("critic", nn.Identity(), nn.ModuleDict()), device)
