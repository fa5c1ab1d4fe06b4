"""Copies of training items among samples, by two kinds of features, mirror images included."""

from attrs import frozen
from torch import Tensor

from gan_plugin_evaluation.reals import MOST_TRAINING, Pools, Space, draw
from gan_plugin_metrics.extractors import open_extractor
from gan_plugin_metrics.memorisation import closeness, memorised, nearest_with_flips
from gan_plugin_metrics.pairwise import kth_neighbours, nearest_distances

NEAR = 0.95  # quantile of held-out items' distances to the training data: a copy is not farther


@frozen(eq=False)
class View:
    """Training and held-out items in one space of features, `[T, d]` and `[H, d]`."""

    space: Space
    train: Tensor
    held: Tensor | None
    reach: float  # of held-out items, nineteen of twenty are nearer to a training item

    def look(self, samples: Tensor, *, flips: bool) -> dict[str, float]:
        """Return how much of the samples `[n, *shape]` is copied, as seen in this space."""
        found = self.space.of_samples(samples)
        mirrored = self.space.of_samples(samples.flip(-1)) if flips else None
        nearest = nearest_with_flips(found, mirrored, self.train)
        if self.held is None:
            close = closeness(nearest, self.train)
            if close is None:
                return {}
            return {
                "copied": close.copied,
                "closeness": close.quantile,
                "copies-found": float(close.found),
            }
        others = nearest_with_flips(found, mirrored, self.held)
        share = memorised(nearest, others, len(self.train), len(self.held), self.reach)
        return {
            "copied": share.copied,
            "memorised": share.share,
            "copies-found": float(share.found),
        }

    def reals(self) -> dict[str, float]:
        """Return the same of held-out items, each compared with the others; 0 without any."""
        if self.held is None:
            return {"copied": 0.0}
        nearest = nearest_distances(self.held, self.train)
        share = memorised(
            nearest, kth_neighbours(self.held, 1), len(self.train), len(self.held) - 1, self.reach
        )
        return {"copied": share.copied, "memorised": share.share}


@frozen(eq=False)
class CopyTest:
    """Looks for copies in the space that is measured in, and in small grey and coloured images.

    The one shows copies whose pixels were changed a little, the other those that random features
    mistake for different images.
    """

    views: tuple[View, ...]

    @classmethod
    def of(cls, pools: Pools, spaces: list[Space], seed: int) -> "CopyTest":
        """Extract the features of training items, at most 20,000, and of held-out ones."""
        train = draw(pools.train, MOST_TRAINING, seed)[0]
        held = None if pools.held is None else draw(pools.held, MOST_TRAINING, seed)[0]
        views = []
        for space in spaces:
            of_train = space.of_samples(train)
            if held is None:
                views.append(View(space, of_train, None, 0.0))
                continue
            of_held = space.of_samples(held)
            reach = nearest_distances(of_held, of_train).quantile(NEAR).item()
            views.append(View(space, of_train, of_held, reach))
        return cls(tuple(views))

    def look(self, samples: Tensor, *, flips: bool) -> dict[str, float]:
        """Return the figures of the space that sees most copies."""
        found = [view.look(samples, flips=flips and samples.dim() == 4) for view in self.views]
        return max(found, key=lambda each: each.get("copied", -1.0))

    def reals(self) -> dict[str, float]:
        """Return the figures of held-out reals, for the row of reals."""
        return self.views[0].reals()


def spaces_for(pools: Pools, space: Space, reals: Tensor) -> list[Space]:
    """Return the spaces to look for copies in."""
    if reals.dim() == 2 or space.extractor.id == "pixels8":
        return [space]
    thumbnails, _ = Space.of(open_extractor("pixels8", pools.train), reals)
    return [space, thumbnails]


def repeated_items(pools: Pools, count: int, seed: int) -> Tensor:
    """Take training items for the null generator that only copies, other than the test's first."""
    return draw(pools.train, min(count, len(pools.train)), seed + 1)[0]
