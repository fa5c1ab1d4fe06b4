"""Gradients reach the generator, or a run and the kit say what cuts them off."""

import pytest
import torch
from support.tables import every_row
from torch import nn

from gancore import PluginError, component, compose, hookimpl, option
from gancore.guard.gradients import UPDATES_WITHOUT_GRADIENT, FirstGradients, passes_gradient
from gancore.guard.hooks import CHECKED_CALLS, GuardedHooks
from gancore.run.loop import Run
from gancore.testing import check_component, train

SMALL = {"sprites.count": 24, "dcgan.width": 4, "dcgan-critic.width": 4, "n-critic.critic": 6}
SETTINGS = {"batch": 4, "size": "16", "steps": 2, "device": "cpu"}

VIEWS = {
    "detached": "images.detach()",
    "rounded": "images.mul(127.5).round().div(127.5)",
    "through NumPy": "torch.from_numpy(images.detach().numpy() * 0.5)",
    "none of them": "torch.zeros_like(images) * images",
}


@component(source="a test")
class TurnsGradModeOff:
    """Turn grad mode off at the beginning of each step from `start` on."""

    start: int = option(0, help="the first of these steps")

    @hookimpl
    def before_step(self, step):
        if step >= self.start:
            torch.set_grad_enabled(False)


def test_grad_mode_is_put_back_after_a_component_that_always_turns_it_off():
    training = train(TurnsGradModeOff(), hooks=GuardedHooks)
    for _ in range(CHECKED_CALLS + 2):
        training.train_step()
    assert torch.is_grad_enabled()


def test_a_component_that_turns_grad_mode_off_later_ends_the_step_with_a_sentence():
    training = train(TurnsGradModeOff(start=CHECKED_CALLS + 1), hooks=GuardedHooks)
    for _ in range(CHECKED_CALLS + 1):
        training.train_step()
    with pytest.raises(PluginError, match="turned torch's grad mode off"):
        training.train_step()
    torch.set_grad_enabled(True)


def write(folder, view):
    path = folder / "cut.py"
    path.write_text(
        "import torch\n"
        "from gancore import component, hookimpl\n\n\n"
        "@component(source='a test')\n"
        "class Cut:\n"
        '    """Cut the gradient off."""\n\n'
        "    @hookimpl\n"
        "    def critic_view(self, images):\n"
        f"        return {view}\n"
    )
    return str(path)


@every_row("view", VIEWS.values(), ids=VIEWS)
def test_a_view_that_cuts_the_gradient_off_ends_the_run_at_its_first_generator_update_by_name(
    view, tmp_path
):
    chosen = compose(reg=[write(tmp_path, view)], settings=SETTINGS, options=SMALL)
    with pytest.raises(
        PluginError, match=r"cut\.critic_view, step 0 lets no gradient pass to the images"
    ):
        Run.start(chosen, tmp_path / "run").fit()


@component(source="a test")
class Detached:
    """Show the critic images without their graph."""

    @hookimpl
    def critic_view(self, images):
        return images.detach()


class Cutting(nn.Module):
    def __init__(self, net, cut):
        super().__init__()
        self.net, self.cut = net, cut

    def forward(self, z, labels):
        return self.cut(self.net(z, labels))


@component(source="a test")
class CutGenerator:
    """Let the generator drop its own graph."""

    @hookimpl
    def adapt_generator(self, net):
        return Cutting(net, torch.detach)


def test_the_kit_refuses_a_view_that_cuts_the_gradient_off():
    with pytest.raises(AssertionError, match="lets no gradient pass"):
        check_component(Detached)


@pytest.mark.parametrize("components", [[Detached()], [CutGenerator()]], ids=["view", "generator"])
def test_an_update_in_which_no_gradient_reaches_the_weights_is_refused(components):
    with pytest.raises(PluginError, match="gradient"):
        train(*components).train_step()


@every_row("view", [lambda x: x, lambda x: x - x.mean(), lambda x: x.flip(-1), lambda x: x[::2]])
def test_views_that_let_a_gradient_pass_are_taken(view):
    images = torch.randn(4, 3, 8, 8).requires_grad_()
    assert passes_gradient(images, view(images))
    assert passes_gradient(images.detach(), view(images.detach()))


def test_a_generator_whose_gradient_is_exactly_0_is_remarked_once_and_one_that_learns_never():
    gradients = FirstGradients()
    remarks = [
        gradients.look({"generator/grad_norm": 0.0}) for _ in range(2 * UPDATES_WITHOUT_GRADIENT)
    ]
    assert [bool(remark) for remark in remarks].index(True) == UPDATES_WITHOUT_GRADIENT - 1
    assert sum(map(bool, remarks)) == 1
    learning = FirstGradients()
    norms = [0.0, 0.1, *[0.0] * 20]
    assert not any(
        learning.look({"critic/grad_norm": 0.0, "generator/grad_norm": norm}) for norm in norms
    )


def test_a_run_whose_generator_gets_only_zeros_says_so(tmp_path):
    path = tmp_path / "signs.py"
    path.write_text(
        "from torch import nn\n"
        "from gancore import component, hookimpl\n\n\n"
        "class Signs(nn.Module):\n"
        "    def __init__(self, net):\n"
        "        super().__init__()\n"
        "        self.net = net\n\n"
        "    def forward(self, z, labels):\n"
        "        return self.net(z, labels).sign()\n\n\n"
        "@component(source='a test')\n"
        "class OnlySigns:\n"
        '    """Draw in two colours, through which no gradient passes."""\n\n'
        "    @hookimpl\n"
        "    def adapt_generator(self, net):\n"
        "        return Signs(net)\n"
    )
    settings = {**SETTINGS, "steps": UPDATES_WITHOUT_GRADIENT + 1}
    run = Run.start(
        compose(reg=[str(path)], settings=settings, options={**SMALL, "n-critic.critic": 1}),
        tmp_path / "run",
    )
    run.fit()
    assert len([note for note in run.notes if "exactly 0" in note]) == 1
