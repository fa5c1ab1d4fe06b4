"""Gradients of each term that a player minimises."""

from itertools import combinations

import torch
from torch import Tensor

from gancore import Batch, Update, average, cached, component, hookimpl, option, state


def gradient_of(term: Tensor, weights: list[Tensor]) -> Tensor:
    """Return the gradient of a scalar in all weights as one vector, and keep its graph."""
    parts = torch.autograd.grad(term, weights, retain_graph=True, allow_unused=True)
    flat = []
    for part, weight in zip(parts, weights, strict=True):
        # None: the term does not reach this weight
        flat.append(torch.zeros_like(weight).flatten() if part is None else part.flatten())
    return torch.cat(flat)


def last_updates(updates: list[Update]) -> dict[str, int]:
    """Return for each player the place of its last update among those of an iteration."""
    found = {}
    for place, update in enumerate(updates):
        for role in ("generator", "critic"):
            if update.role not in ("generator", "critic") or update.role == role:
                found[role] = place
    return found


@component(
    source="Yu et al., NeurIPS 2020, arXiv:2001.06782, section 2: gradients that conflict; Wang et "
    "al., SIAM J. Sci. Comput. 43, 2021, arXiv:2001.04536: gradients that dominate",
    known_as={"gradient-conflict": "", "term-norms": ""},
)
class TermGradients:
    """Measure the gradient of each named term in the weights of its player, and their angles.

    With g_i the gradient of term i (`critic/bce/real`, `critic/gradient-penalty/penalty`, …), as it
    is after all components reweighted it, logs `ROLE/COMPONENT/TERM` = ‖g_i‖ and, for each pair of
    terms, `cosine/ROLE/TERM+TERM` = g_i·g_j/(‖g_i‖‖g_j‖) in [-1, 1]; left out if a norm is 0. A
    cosine near -1 means that two terms cancel each other, which is usual for those of reals and
    fakes; a norm far above all others, that one term alone determines the update.

    `weights` restricts it to the last weight matrix of the player, which is much smaller. Measures
    the last update of a player in every `every`-th step: one backward pass a term, and nothing in
    all other steps. Give a multiple of `--log-every`. Gradients are means over all processes.
    Does not affect training. With `--precision fp16` small gradients are rounded to 0.
    """

    every: int = option(100, ge=1, help="steps between measurements; a multiple of --log-every")
    weights: str = option(
        "all", choices=("all", "last"), help="all weights of the player, or its last matrix"
    )
    last: dict = cached(factory=dict)  # role → place of its last update in this iteration
    figures: dict[str, Tensor] = state(factory=dict)  # since the last row

    @hookimpl(trylast=True)
    def adapt_schedule(self, updates: list[Update], step: int) -> None:
        # rows are written after steps, which are then counted from 1
        self.last = last_updates(updates) if (step + 1) % self.every == 0 else {}

    @hookimpl(trylast=True)  # after all components that reweight terms
    def adapt_terms(self, terms: dict[str, Tensor], batch: Batch, role: str) -> None:
        if self.last.get(role) != batch.update_id.index:
            return
        weights = self.chosen(batch.gan.player(role).parameters)
        gradients = {}
        for name, term in terms.items():
            if term.requires_grad:
                # every process has the same terms in the same order
                gradients[name] = average(gradient_of(term, weights))
        self.figures |= {f"{role}/{name}": each.norm() for name, each in gradients.items()}
        for one, other in combinations(gradients, 2):
            norms = gradients[one].norm() * gradients[other].norm()
            cosine = gradients[one].dot(gradients[other]) / norms  # nan where a norm is 0
            self.figures[f"cosine/{role}/{one}+{other}"] = cosine

    def chosen(self, weights: list[Tensor]) -> list[Tensor]:
        """Return the weights of a player to look at."""
        matrices = [weight for weight in weights if weight.dim() > 1]
        return matrices[-1:] if self.weights == "last" and matrices else list(weights)

    @hookimpl
    def measure(self) -> dict[str, float]:
        found, self.figures = self.figures, {}
        values = {name: float(figure) for name, figure in found.items()}
        return {name: value for name, value in values.items() if value == value}
