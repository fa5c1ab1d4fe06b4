"""Orthogonal regularisation: weights with rows at right angles."""

import torch

from gan_plugin_spectral_norm.layers import as_matrix, matrix_layers
from gancore import component, hookimpl, option, warns_with


@component(
    source="Brock et al., ICLR 2019, arXiv:1809.11096, equation 3; with the diagonal: Brock et "
    "al., ICLR 2017, arXiv:1609.07093, equation 4",
    rules=[
        warns_with(
            "weights.spectral-norm",
            "weights under spectral norm are left out, so only those of a player without it are "
            "regularised",
            fix="leave one of them out, or choose the players: --orthogonal.players",
            when=lambda chosen: chosen.players != "generator",
        ),
    ],
    known_as={"ortho-reg": "", "orthogonal-regularization": "", "orthogonal-regularisation": ""},
)
class Orthogonal:
    """Penalise inner products of the rows of each weight: β·Σ ‖W Wᵀ ⊙ (1 - I)‖²_F over layers.

    W has a row for each output, `[outputs, inputs·k²]`; for linear, convolutional and embedding
    layers. The sum is over layers, not a mean. Weights with orthogonal rows of any length cost 0;
    with `diagonal` their lengths are trained towards 1 too, ‖W Wᵀ - I‖²_F. BigGAN's default is the
    generator alone.
    """

    weight: float = option(1e-4, ge=0, help="factor β")
    players: str = option(
        "generator", choices=("generator", "critic", "both"), help="whose weights are regularised"
    )
    diagonal: bool = option(False, help="true trains the lengths of the rows towards 1 too")

    @hookimpl
    def generator_terms(self, batch):
        return self.term(batch.gan.generator)

    @hookimpl
    def critic_terms(self, batch):
        return self.term(batch.gan.critic)

    def term(self, player):
        """Return the term of one player, None where it is left alone."""
        if self.players not in (player.role, "both"):
            return None
        costs = []
        for _, layer in matrix_layers(player.network):
            rows = as_matrix(layer)
            with torch.autocast(rows.device.type, enabled=False):
                products = rows @ rows.T
                wanted = torch.eye(len(rows), device=rows.device, dtype=rows.dtype)
                if not self.diagonal:
                    wanted = wanted * products.diagonal()
                costs.append((products - wanted).square().sum())
        return {"rows": self.weight * torch.stack(costs).sum()} if costs else None
