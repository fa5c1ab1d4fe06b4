"""Hold-out: a part of the data that no training sees, for `gan eval` to compare with."""

from hashlib import blake2b

import torch
from torch import Tensor

from gan_plugin_metrics.held_out import TrainingPart
from gancore import Data, DataError, Subset, cached, component, hookimpl, option, progress_bar

BLOCK = 512  # samples read at once


def digests_and_labels(data: Data) -> tuple[list[bytes], Tensor]:
    """Return a digest of each sample and the labels `[N, L]`, reading all data once."""
    blocks = torch.arange(len(data)).split(BLOCK)
    digests = []
    labels = []
    for block in progress_bar(blocks, len(data), "dividing the data", BLOCK):
        samples, of_block = data.take(block, torch.Generator().manual_seed(0))
        labels.append(of_block)
        digests += [digest_of(sample) for sample in samples]
    return digests, torch.cat(labels)


def digest_of(sample: Tensor) -> bytes:
    """Return a digest of a sample's values."""
    return blake2b(sample.numpy().tobytes(), digest_size=16).digest()


def divide(data: Data, share: float) -> TrainingPart:
    """Divide data into a part to train on and one to hold out, of about `share` of the samples.

    The digest of a sample decides on which side it lies, so that equal samples lie on the same
    side, and every run of the same data holds out the same ones.
    """
    digests, labels = digests_and_labels(data)
    distinct = sorted(set(digests))
    held = set(distinct[: round(share * len(distinct))])
    if not held or len(held) == len(distinct):
        raise DataError(
            f"{len(distinct)} different samples cannot be divided into a part to train on and "
            f"a share of {share} to hold out",
            where="hold-out.share",
            fix="more data, another share, or leave it out: --without hold-out",
        )
    is_held = torch.tensor([digest in held for digest in digests])
    for_training = (~is_held).nonzero().squeeze(1)
    for_later = is_held.nonzero().squeeze(1)
    held_part = Subset(data, for_later, labels[for_later])
    return TrainingPart(data, for_training, labels[for_training], held=held_part)


@component(
    source="Kynkäänniemi et al., ICLR 2023, arXiv:2203.06026, and Meehan, Chaudhuri and Dasgupta, "
    "AISTATS 2020, arXiv:2004.05675, on what scores against training data miss",
    known_as={"holdout": "", "validation-split": "", "test-split": ""},
)
class HoldOut:
    """Train on a part of the data, and keep the rest for `gan eval`.

    Samples are divided by a digest of their values: equal ones lie on the same side, and the
    division is the same in every run of the same data. `gan eval RUN` then compares samples with
    data that the generator never saw, and tells copies of training samples from good samples;
    `--metric held-out` scores them while the run trains. An epoch is the part that is trained on.
    Values, shapes and labels are those of the data. Raises DataError where one of the parts would
    be empty.
    """

    share: float = option(0.2, gt=0, lt=1, help="share of the different samples to hold out")
    held: Subset | None = cached()  # what `gan eval` compares with

    @hookimpl(tryfirst=True)  # before a component augments samples, or takes some of them
    def adapt_data(self, data: Data) -> TrainingPart:
        part = divide(data, self.share)
        self.held = part.held
        return part
