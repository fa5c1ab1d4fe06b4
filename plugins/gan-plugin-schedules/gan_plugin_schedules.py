"""Schedules that are not a fixed number of updates: warm-up, monitored, boosted, simultaneous."""

import torch

from gancore import Update, component, hookimpl, option, state, warns_without


@component(source="Arjovsky et al., ICML 2017, arXiv:1701.07875; the rule is that of their program, main.py")
class WGANWarmup:
    """Train the critic nearly to its optimum at first and now and then, with k updates a step between.

    Step t makes `many` critic updates when t < first or t is a multiple of `every` (0 is one), else k, and then one
    generator update. With the defaults 1000 steps make 25·100 + 100 + 974·5 = 7470 critic updates.
    """

    many: int = option(100, ge=0, help="critic updates in a step of the warm-up and in every such later step")
    first: int = option(25, ge=0, help="steps of the warm-up")
    every: int = option(500, ge=1, help="steps from one later step of many critic updates to the next")
    k: int = option(5, ge=0, help="critic updates in every other step")

    @hookimpl
    def schedule(self, step):
        many = step < self.first or step % self.every == 0
        return [Update("critic")] * (self.many if many else self.k) + [Update("generator")]


@component(
    source="Edouard99/GAN, the DCGAN program: step the critic only if its loss exceeds 0.8 of the generator's",
    rules=[
        warns_without(
            "loss.targets",
            "monitored compares the sizes of the two losses, which says who is ahead only where both are at least 0",
            fix="--loss bce",
        )
    ],
)
class Monitored:
    """Step the critic only while its loss exceeds a share of the generator's, which always steps.

    The critic steps if L_C > threshold·L_G, with L_C the sum of all its terms in this update and L_G that of the
    generator in its last update; the first critic update always steps. Terms are taken as they are: the source
    compares the sum of two cross-entropies, of which `bce` with average = true gives half (`--bce.average false`, or
    half the threshold, makes it the source's rule). Penalties count too. A skipped update is computed and not stepped,
    so the running statistics of batch norm in the critic move all the same. Deciding waits for the device each time.

    Measured: `skipped`, the share of the critic's updates of the run that were skipped, 0 to 1.
    """

    threshold: float = option(0.8, ge=0, help="share of the generator's loss that the critic's must exceed")
    last: float | None = state()  # L_G
    judged: int = state(0)  # critic updates so far, skipped ones included
    skipped: int = state(0)

    @hookimpl
    def schedule(self):
        return [Update("critic"), Update("generator")]

    @hookimpl
    def skip_update(self, role, terms):
        total = float(torch.stack([term.detach() for term in terms.values()]).sum())
        if role == "generator":
            self.last = total
            return None
        skip = self.last is not None and not total > self.threshold * self.last
        self.judged += 1
        self.skipped += skip
        return skip or None  # None lets other components answer

    @hookimpl
    def measure(self):
        return {"skipped": self.skipped / max(1, self.judged)}


@component(
    source="Edouard99/GAN, the boosting program: boosts of 100 iterations for one player at random", state_version=2
)
class Boosted:
    """Now and then train one player alone for a while; otherwise update both, critic first, each step.

    Outside a boost each step draws u from U(0, 1): u < g begins a boost of the generator, g ≤ u < g + c one of the
    critic, with g and c the two chances; that step is the first of `length` in which only this player is updated.
    Nothing is drawn during a boost. The expected share of steps in a boost of the critic is
    c·length/(1 - p + p·length) with p = g + c: 8.2 % with the defaults, and 0.9 % for the generator.

    `overlap` is a fault kept for comparison, that of the source's program against its own text: a boost of the
    generator trains the critic too in its first step, and in the last step of any boost the normal updates of the
    step come on top, so the boosted player moves twice, the critic on the same reals. (The program also draws in each
    step of a boost, which bears on its last step once in a thousand boosts; that is left out.)

    Measured: `critic` and `generator`, the share of the steps of the run that belonged to a boost of that player.
    """

    generator_chance: float = option(1e-4, ge=0, le=1, help="probability a step of a boost of the generator, 0 to 1")
    critic_chance: float = option(9e-4, ge=0, le=1, help="probability a step of a boost of the critic, 0 to 1")
    length: int = option(100, ge=1, help="steps of a boost")
    overlap: bool = option(False, help="true lets the normal updates into the ends of a boost, which is a fault")
    player: str = state("")  # who is boosted
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
            self.player, self.left = "generator" if u < self.generator_chance else "critic", self.length
        self.left -= 1
        self.critic += self.player == "critic"
        self.generator += self.player == "generator"
        return self.overlapping() if self.overlap else [Update(self.player)]

    def overlapping(self):
        """List the updates of a step of a boost as the source's program makes them."""
        first, last, generator = self.left == self.length - 1, self.left == 0, Update("generator")
        if self.player == "generator":
            return [Update("critic")] * first + [generator] + [generator] * last
        return [Update("critic")] + [Update("critic", fresh=False), generator] * last

    @hookimpl
    def measure(self):
        return {player: getattr(self, player) / max(1, self.steps) for player in ("critic", "generator")}


@component(source="Mescheder, Nowozin and Geiger, NeurIPS 2017, arXiv:1705.10461 (simultaneous gradient descent)")
class Simultaneous:
    """Take both gradients at the old weights, on the same fakes, then step both players.

    The generator meets the critic as it was, not as it becomes. On min_x max_y xy with step h, x² + y² grows by the
    factor 1 + h² in each step, where taking turns stays bounded.
    """

    @hookimpl
    def schedule(self):
        return [Update("both")]
