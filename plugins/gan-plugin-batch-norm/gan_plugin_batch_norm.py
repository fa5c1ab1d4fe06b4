"""Batch normalisation."""

from torch import Tensor, nn

from gancore import component, hookimpl, option


class BatchNormalization(nn.BatchNorm2d):
    """Batch norm that takes `[N, C]` as well as `[N, C, H, W]`, since one network may have layers of both."""

    def _check_input_dim(self, maps: Tensor) -> None:
        if maps.dim() < 2:
            raise ValueError(f"batch norm takes [N, C, …], but was given {list(maps.shape)}")


@component(
    source="Ioffe and Szegedy, ICML 2015, arXiv:1502.03167",
    provides=["batch-statistics"],
)
class BatchNorm:
    """Normalise each channel over the batch: training output has mean β and variance γ².

    Shape `[N, C, …]` is kept. Reals and fakes are normalised apart, as they are separate calls. A sample's output
    depends on its neighbours, which is why a penalty on one sample's gradient refuses it in the critic.
    Keras counts the share that is kept: its momentum 0.9 is 0.1 here; its eps is 1e-3.
    """

    momentum: float = option(0.1, gt=0, le=1, help="share of the new batch in the running statistics")
    eps: float = option(1e-5, gt=0, help="added to the variance")

    @hookimpl
    def make_norm(self, channels):
        return BatchNormalization(channels, self.eps, self.momentum)
