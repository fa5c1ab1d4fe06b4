"""Scores of parts of a sample beside the score of the whole: `--reg ./examples/patch_scores.py`."""

import torch
from torch import nn

from gancore import Head, component, hookimpl, option


@component(
    source="Isola et al., CVPR 2017, arXiv:1611.07004, section 3.2.2; Wang et al., CVPR 2018"
)
class PatchScores:
    """Give the critic `count` further scores `[N, count]`, each of its own slice of the features.

    The features of a convolutional critic are maps `[N, C, h, w]`, flattened; a slice of equal
    length is then a few of these maps. The loss averages over all scores.
    """

    count: int = option(4, ge=1, help="further scores of a sample; at most the features")

    @hookimpl
    def extend_critic(self, features):
        return Head("score/parts", PartScores(features, self.count))


class PartScores(nn.Module):
    """Scores each of `count` slices of features `[N, F]` by a linear layer of its own."""

    def __init__(self, features, count):
        super().__init__()
        sizes = [features * (k + 1) // count - features * k // count for k in range(count)]
        self.sizes = sizes
        self.scores = nn.ModuleList(nn.Linear(size, 1) for size in sizes)

    def forward(self, features, labels):
        parts = features.split(self.sizes, 1)
        scores = [score(part) for score, part in zip(self.scores, parts, strict=True)]
        return torch.cat(scores, 1)
