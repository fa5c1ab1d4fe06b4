"""Packing: give the critic several samples at once, so that it detects a lack of diversity."""

from gancore import CompositionError, component, conflicts, hookimpl, option, warns_with


@component(
    source="Lin, Khetan, Fanti and Oh, NeurIPS 2018, arXiv:1712.04086, section 3",
    provides=["critic.cross-sample", "critic.packed"],
    rules=[
        conflicts(
            "critic.class-head",
            "the critic compares each sample with its label, and a pack has no label of its own",
            cite="Lin et al. 2018",
            fix="leave pacgan out; --reg minibatch-stddev also shows the critic several samples",
        ),
        warns_with(
            "critic.gradient-penalty",
            "the norm of the penalty is then taken over all samples of a pack",
            cite="Lin et al. 2018",
        ),
    ],
    known_as={"packing": "", "pac": ""},
)
class PacGAN:
    """Give the critic packs of m samples, concatenated along the channels.

    A batch `[N, C, H, W]`, of reals or of fakes alone, becomes `[N/m, m·C, H, W]`, and points `[N,
    d]` become `[N/m, m·d]`; `m 1` changes nothing. Samples are augmented before they are packed. A
    penalty on gradients acts on packs. Components whose critic reads the label of each sample are
    refused, for a pack has none; where labels are there, those of its first sample pass on. Raises
    CompositionError for a batch that m does not divide.
    """

    m: int = option(2, ge=1, help="samples in one pack; a batch holds a multiple of them")

    @hookimpl
    def critic_shape(self, shape, plan):
        if plan.batch % self.m:
            raise CompositionError(
                f"a batch of {plan.batch} is not a whole number of packs of {self.m} samples",
                where="pacgan.m",
                fix=f"--batch {-(-plan.batch // self.m) * self.m}, or another --pacgan.m",
            )
        return (self.m * shape[0], *shape[1:])

    @hookimpl(trylast=True)  # noise and augmentation act on single samples
    def critic_view(self, images, labels):
        if self.m == 1:
            return None
        if len(images) % self.m:
            raise CompositionError(
                f"{len(images)} samples do not fill packs of {self.m}",
                where="pacgan.m",
                fix="a --batch whose share of each process is a multiple of pacgan.m",
            )
        packs = images.reshape(len(images) // self.m, self.m * images.shape[1], *images.shape[2:])
        return packs, labels[:: self.m]
