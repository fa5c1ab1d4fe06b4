"""Spectral norm: divide each weight by its largest singular value."""

from torch.nn.utils.parametrizations import spectral_norm

from gan_plugin_spectral_norm.layers import matrix_layers
from gancore import component, conflicts, hookimpl, option, warns_with


@component(
    source="Miyato et al., ICLR 2018, arXiv:1802.05957, section 2.1 and algorithm 1; of the "
    "generator too: Zhang et al., ICML 2019, arXiv:1805.08318, section 3.2",
    provides=["lipschitz", "weights.spectral-norm", "weights.reparametrised"],
    rules=[
        conflicts(
            "weights.clipped",
            "weights are divided by their largest singular value, so their own size, "
            "which clipping bounds, has no effect",
            cite="Miyato et al. 2018, section 3",
            fix="leave weight-clipping out",
        ),
        conflicts(
            "weights.reparametrised",
            "both compute a weight from another one, and the second undoes the first",
            fix="leave one of them out",
        ),
        warns_with(
            "critic.batch-statistics",
            "batch norm divides by the standard deviation of its input, so bounded weights no "
            "longer bound the critic's gradient",
            cite="Miyato et al. 2018, section 3",
            fix="--critic-norm none",
        ),
    ],
    known_as={"sn": "", "spectral-normalization": "", "spectral-normalisation": "", "sngan": ""},
)
class SpectralNorm:
    """Divide the weight of each layer by its largest singular value: W ← W/σ₁(W).

    Convolutions, linear layers and embeddings of the critic, score, tails and heads included; with
    `generator` those of the generator too. Norm layers are left alone. Convolutions are taken as
    matrices with a row for each output channel, as in the paper. Vectors u and v of a power
    iteration estimate σ₁; they are buffers, moved by the update's own passes in training alone:
    one for each side that the loss scores. Passes of penalties, of other terms and of metrics
    use the vectors and leave them as they are.
    """

    iterations: int = option(1, ge=1, help="power iterations in each pass that moves the vectors")
    generator: bool = option(False, help="true normalises the generator's weights too")

    @hookimpl(trylast=True)  # after components that add layers
    def adapt_critic(self, net):
        self.normalize(net)

    @hookimpl(trylast=True)
    def adapt_generator(self, net):
        if self.generator:
            self.normalize(net)

    def normalize(self, net):
        """Divide the weights of a network, in place."""
        for _, layer in list(matrix_layers(net)):
            spectral_norm(layer, n_power_iterations=self.iterations)
