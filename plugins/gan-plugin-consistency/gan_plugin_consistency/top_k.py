"""Top-k training: the generator learns from its best-scored fakes alone."""

from gancore import component, conflicts, gather, hookimpl, option, peers


@component(
    source="Sinha et al., NeurIPS 2020, arXiv:2002.06224, algorithm 1",
    rules=[
        conflicts(
            "loss.relative-scores",
            "a relativistic generator term belongs to a pair of samples, and scores of fakes alone "
            "do not order the pairs",
            fix="another loss, or leave top-k out",
        ),
        conflicts(
            "critic.packed",
            "a pack of samples has one score",
            cite="Lin et al., NeurIPS 2018, arXiv:1712.04086",
            fix="leave out the packing, or top-k",
        ),
    ],
    known_as={"topk": ""},
)
class TopK:
    """Let the k best-scored fakes of a generator update count alone, of N.

    Their weights `[N]` are N/k and all others 0, so a loss averages over the k. k begins at N and
    is max(⌈share·N⌉, ⌈N·decay^⌊step/every⌋⌉): fakes that the critic rejects mostly pull the
    generator away from the data's modes once it is good. At k = N nothing changes. Fakes of all
    processes are compared; of equal scores the first count. The paper decays once an epoch; `every`
    is in steps, so that k is a function of the step. Logs `k`.
    """

    share: float = option(0.5, gt=0, le=1, help="least share ν of the fakes that count")
    decay: float = option(0.99, gt=0, le=1, help="factor of k after each `every` steps")
    every: int = option(100, ge=1, help="steps from one k to the next")

    def count(self, n, step):
        """Return k of n fakes at a step."""
        return max(round_up(n * self.share), round_up(n * self.decay ** (step // self.every)))

    @hookimpl
    def sample_weights(self, weights, batch):
        scores = batch.fake.score.detach().unflatten(0, (-1, 1)).flatten(1).mean(1)
        everyone = gather(scores)
        k = self.count(len(everyone), batch.update_id.step)
        if k == len(everyone):
            return weights
        best = everyone.sort(descending=True, stable=True).indices[:k]
        chosen = everyone.new_zeros(len(everyone))
        chosen[best] = len(everyone) / k
        first = peers().rank * len(scores)
        return weights * chosen[first : first + len(scores)]

    @hookimpl
    def generator_terms(self, batch, log):
        n = len(batch.fake.view) * peers().size
        log("k", float(self.count(n, batch.update_id.step)))


def round_up(number: float) -> int:
    """Round up, but for errors of the last digits of a product."""
    return -int(-(number - 1e-9) // 1)
