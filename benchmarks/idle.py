"""A component that is asked at eight hooks, ten times in a step, and does nothing.

A component file.
"""

# ruff: noqa: D102 - hooks are documented in gancore/hookspecs.py

from gancore import component, hookimpl

CALLS = 10  # of its methods in one step of one critic update and one generator update


@component(source="made up for benchmarks")
class Idle:
    """Answer nothing at every hook that a step asks most components."""

    @hookimpl
    def adapt_schedule(self, updates):
        return None

    @hookimpl
    def before_step(self, step):
        return None

    @hookimpl
    def critic_view(self, images):  # reals, fakes, and fakes once more in the generator's update
        return None

    @hookimpl
    def critic_terms(self, batch):
        return None

    @hookimpl
    def generator_terms(self, batch):
        return None

    @hookimpl
    def after_critic_update(self, step):
        return None

    @hookimpl
    def after_generator_update(self, step):
        return None

    @hookimpl
    def after_step(self, step):
        return None
