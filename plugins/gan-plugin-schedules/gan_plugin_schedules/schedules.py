"""Schedules with a variable number of updates, and simultaneous updates."""

import torch

from gancore import Update, component, hookimpl, option, state, warns_without


@component(
    source="Arjovsky et al., ICML 2017, arXiv:1701.07875; the rule is from their program, main.py"
)
class WGANWarmup:
    """Update the critic k times a step, and many times in a warm-up and in every 500th step.

    Step t has `many` critic updates if t < first or t is a multiple of `every` (including 0), else
    k, and then one generator update. With the defaults 1000 steps have 25·100 + 100 + 974·5 = 7470
    critic updates.
    """

    many: int = option(
        100, ge=0, help="critic updates in each step of the warm-up and in each `every`-th step"
    )
    first: int = option(25, ge=0, help="steps of the warm-up")
    every: int = option(
        500, ge=1, help="steps from one step of many critic updates to the next, after the warm-up"
    )
    k: int = option(5, ge=0, help="critic updates in all other steps")

    @hookimpl
    def schedule(self, step):
        many = step < self.first or step % self.every == 0
        return [Update("critic")] * (self.many if many else self.k) + [Update("generator")]


@component(
    source=(
        "Edouard99/GAN, the DCGAN program: "
        "step the critic only if its loss exceeds 0.8 of the generator's"
    ),
    rules=[
        warns_without(
            "loss.targets",
            "monitored compares the values of the two losses, which shows the stronger player only "
            "where both are at least 0",
            fix="--loss bce",
        )
    ],
)
class Monitored:
    """Update the critic only while its loss exceeds a share of the generator's loss.

    The critic steps if L_C > threshold·L_G, with L_C the sum of all its terms in this update and
    L_G that of the generator in its last update; the first critic update and all generator updates
    always step. The source compares the sum of two cross-entropies, of which `bce` with
    average = true is half (`--bce.average false`, or half the threshold, is the source's rule).
    Penalties are part of the sums. A skipped update is computed and not stepped, so the running
    statistics of batch norm in the critic still change. The comparison synchronises with the device
    in each update.

    Measured: `skipped`, the share of the critic's updates of the run that were skipped, 0 to 1.
    """

    threshold: float = option(
        0.8, ge=0, help="share of the generator's loss that the critic's must exceed"
    )
    last: float | None = state()  # L_G
    judged: int = state(0)  # critic updates so far, skipped ones included
    skipped: int = state(0)

    @hookimpl
    def schedule(self):
        return [Update("critic"), Update("generator")]

    @hookimpl
    def skip_update(self, role, terms):
        values = [term.detach() for term in terms.values()]
        total = float(torch.stack(values).sum())
        if role == "generator":
            self.last = total
            return None
        skip = self.last is not None and not total > self.threshold * self.last
        self.judged += 1
        self.skipped += skip
        return skip or None  # with None, other components may decide

    @hookimpl
    def measure(self):
        return {"skipped": self.skipped / max(1, self.judged)}


@component(
    source="Edouard99/GAN, the boosting program: boosts of 100 iterations for one player at random",
    state_version=2,
)
class Boosted:
    """Update critic and generator in turn, with random boosts: periods that update only one player.

    Outside a boost each step draws u from U(0, 1): u < g starts a boost of the generator,
    g ≤ u < g + c one of the critic, with g and c the two probabilities; that step is the first of
    `length` in which only this player is updated. Nothing is drawn during a boost. The expected
    share of steps in a boost of the critic is c·length/(1 - p + p·length) with p = g + c: 8.2 %
    with the defaults, and 0.9 % for the generator.

    `overlap` is a fault kept for comparison, found in the source's program, against its own text: a
    boost of the generator updates the critic too in its first step, and the last step of each boost
    also has the step's normal updates, so the boosted player is updated twice, the critic on the
    same reals. (The program also draws in each step of a boost, which affects the last step of one
    boost in a thousand; this is left out.)

    Measured: `critic` and `generator`, the share of the steps of the run in a boost of that player.
    """

    generator_chance: float = option(
        1e-4, ge=0, le=1, help="probability in each step of a boost of the generator, 0 to 1"
    )
    critic_chance: float = option(
        9e-4, ge=0, le=1, help="probability in each step of a boost of the critic, 0 to 1"
    )
    length: int = option(100, ge=1, help="steps of a boost")
    overlap: bool = option(
        False, help="true adds normal updates to the ends of a boost, which is a fault"
    )
    player: str = state("")  # of the current boost
    left: int = state(0)  # steps of the boost to come
    steps: int = state(0)  # so far, of which in a boost of each player:
    critic: int = state(0)
    generator: int = state(0)

    @hookimpl
    def schedule(self, rng):
        self.steps += 1
        if not self.left:
            u = torch.rand((), generator=rng, device=rng.device, dtype=torch.float64).item()
            if u >= self.generator_chance + self.critic_chance:
                return [Update("critic"), Update("generator")]
            self.player = "generator" if u < self.generator_chance else "critic"
            self.left = self.length
        self.left -= 1
        self.critic += self.player == "critic"
        self.generator += self.player == "generator"
        return self.overlapping() if self.overlap else [Update(self.player)]

    def overlapping(self):
        """List the updates of a step of a boost, as in the source's program."""
        first = self.left == self.length - 1
        last = self.left == 0
        generator = Update("generator")
        if self.player == "generator":
            return [Update("critic")] * first + [generator] + [generator] * last
        return [Update("critic")] + [Update("critic", fresh=False), generator] * last

    @hookimpl
    def measure(self):
        steps = max(1, self.steps)
        return {"critic": self.critic / steps, "generator": self.generator / steps}


@component(
    source=(
        "Mescheder, Nowozin and Geiger, NeurIPS 2017, "
        "arXiv:1705.10461 (simultaneous gradient descent)"
    )
)
class Simultaneous:
    """Compute both gradients at the same weights, on the same fakes, then step both players.

    The generator's gradient is against the critic before its step. On min_x max_y xy with step size
    h, x² + y² grows by the factor 1 + h² in each step, where alternating updates stay bounded.
    """

    @hookimpl
    def schedule(self):
        return [Update("both")]
