"""Plans for samples of any number of axes."""

from functools import cache

from gancore.testing import some_data, train


@cache
def plan_of(axes):
    """Return the plan of a tiny training on points (0), signals (1), images (2) or volumes (3)."""
    return train(data=some_data((3, *(8,) * axes), ())).context.plan
