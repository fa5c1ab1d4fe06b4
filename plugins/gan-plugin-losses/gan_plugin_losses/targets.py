"""The sides of a critic update with the targets of their scores, for losses that have some."""


def sides_with_targets(batch):
    """Yield the name of each side, the side and its targets, reals first where there are any.

    Targets are a number where all of the side are alike, which spares a tensor, or else `[N]`.
    """
    for name, side in (("real", batch.real), ("fake", batch.fake)):
        if side is not None:
            yield name, side, side.targets if side.plain_target is None else side.plain_target
