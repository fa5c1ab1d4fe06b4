"""Packing: give the critic several samples at once, so that it detects a lack of diversity."""

from gancore import CompositionError, component, hookimpl, option


@component(
    source="Lin et al., PacGAN, NeurIPS 2018, arXiv:1712.04086, section 3",
    provides=["critic.cross-sample"],
)
class Packing:
    """Give the critic packs of m samples, concatenated along the channels.

    A batch `[N, C, H, W]`, of reals or of fakes alone, becomes `[N/m, m·C, H, W]`, and points `[N,
    d]` become `[N/m, m·d]`. A pack has the labels of its first sample, so class heads classify that
    one. Raises CompositionError for a batch that m does not divide.
    """

    m: int = option(2, ge=1, help="samples in one pack; a batch holds a multiple of them")

    @hookimpl
    def critic_shape(self, shape):
        return (self.m * shape[0], *shape[1:])

    @hookimpl(trylast=True)  # noise and augmentation act on single samples
    def critic_view(self, images, labels):
        if len(images) % self.m:
            raise CompositionError(
                f"{len(images)} samples do not fill packs of {self.m}", where="packing.m"
            )
        packs = images.reshape(len(images) // self.m, self.m * images.shape[1], *images.shape[2:])
        return packs, labels[:: self.m]
