"""Figures of labelled samples, from the class probabilities that a classifier of the reals gives.

The inception score has the same formula on Inception-v3's 1000 classes. Here the classes are those
of the data, and the figure is called `cs`, class score.
"""

import math

import torch
from torch import Tensor


def class_figures(p: Tensor, real_shares: Tensor, labels: Tensor | None = None) -> dict[str, float]:
    """Return the figures of class probabilities `[n, K]` of n samples.

    - `class-tv`: total variation distance ½Σ|h - d| of the histogram h of predicted classes to the
      shares d `[K]` of the reals, in [0, 1]; see `expected_tv`.
    - `entropy-conditional`: mean entropy of p(y|x), in nats; 0 where every sample has one class.
    - `entropy-marginal`: entropy of the mean of p; ln K where all classes are equally frequent.
    - `cs`: exp(entropy-marginal - entropy-conditional), in [1, K].
    - `class-accuracy`: with `labels [n]`, the share of samples that have their label's class.

    Source: Salimans et al., NeurIPS 2016, arXiv:1606.03498, section 4, for the entropies.
    """
    p = p.double()
    predicted = p.argmax(1)
    histogram = predicted.bincount(minlength=p.shape[1]).double() / len(p)
    conditional = entropy(p).mean()
    marginal = entropy(p.mean(0))
    figures = {
        "class-tv": float((histogram - real_shares.double()).abs().sum() / 2),
        "entropy-conditional": float(conditional),
        "entropy-marginal": float(marginal),
        "cs": float((marginal - conditional).exp()),
    }
    if labels is not None:
        figures["class-accuracy"] = float((predicted == labels).double().mean())
    return figures


def entropy(p: Tensor) -> Tensor:
    """Return the entropy of probabilities `[…, K]`, in nats."""
    return torch.special.entr(p).sum(-1)


def expected_tv(classes: int, n: int) -> float:
    """Return the mean distance of n reals' histogram to equal shares, √((K-1)/(2πn)), roughly."""
    return math.sqrt((classes - 1) / (2 * math.pi * n))
