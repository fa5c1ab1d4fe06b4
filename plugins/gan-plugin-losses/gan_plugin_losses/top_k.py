"""Top-k: the generator learns from its best scored samples alone."""

from gancore import component, gather, hookimpl, option, requires


@component(
    source="Sinha et al., NeurIPS 2020, arXiv:2002.06224, section 3 and algorithm 1",
    rules=[
        requires(
            "loss.absolute-scores",
            "samples are chosen by how real they are scored, which scores that mean something "
            "only against the other side's do not say",
            fix="--loss bce",
        ),
    ],
    known_as={"topk": "", "top-k-training": ""},
)
class TopK:
    """Let the generator learn from the k best scored of its N samples alone.

    k = max(share, decay^(step/every))·N, rounded up, a function of the step alone: all samples at
    first, and fewer with time. The chosen samples have the weight N/k and the others 0, so the
    generator's loss is the mean over the k best of the batch of all processes; equal scores at the
    border are all chosen. With k = N nothing changes. The paper's `every` is an epoch. Losses that
    take no weights of samples are not affected.
    """

    share: float = option(0.5, gt=0, le=1, help="smallest share ν of samples that is kept")
    decay: float = option(0.99, gt=0, le=1, help="factor of the share in every `every` steps")
    every: int = option(1000, ge=1, help="steps in which the share falls by `decay`")

    @hookimpl
    def sample_weights(self, weights, batch):
        # of several scores a sample, the mean
        own = batch.fake.score.detach().reshape(len(weights), -1).mean(1)
        scores = gather(own)
        share = max(self.share, self.decay ** (batch.update_id.step / self.every))
        k = min(len(scores), -int(-share * len(scores) // 1))
        if k == len(scores):
            return None
        border = scores.topk(k).values[-1]
        chosen = (scores >= border).sum()
        return weights * (own >= border) * (len(scores) / chosen)
