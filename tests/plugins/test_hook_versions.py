"""Hooks say since when they are there, and grow without breaking what is published."""

import inspect

import pytest
import torch
from packaging.version import Version
from support import oldest_component
from support.plugin_shelf import FINE, RUN
from support.tables import every_row

from gancore import component, hookimpl, hookspecs
from gancore.plugins import discovery
from gancore.plugins.calling import Component, Hooks
from gancore.plugins.component import SPECS
from gancore.run.checkpoint.state import capture
from gancore.testing import assert_equal, check_component, train

torch.set_num_threads(1)

VERSION = discovery.installed_version()


def test_every_hook_says_since_which_version_it_is_there():
    for hook in SPECS:
        info = hookspecs.hook_info(hook)
        arguments = inspect.signature(getattr(hookspecs, hook)).parameters
        assert set(info.added) <= set(arguments)
        for version in (info.since, *info.added.values(), *filter(None, [info.deprecated])):
            assert Version(version) <= Version(VERSION), hook


@every_row(
    "words",
    [
        {"added": {"gone": "0.2"}},
        {"deprecated": "0.2"},
        {"instead": "implement another"},
    ],
)
def test_a_declaration_of_a_hook_that_contradicts_itself_is_refused(words):
    with pytest.raises(ValueError, match="paint"):

        @hookspecs.hookspec(since="0.1", **words)
        def paint(images):
            """Paint."""


# ── hooks and arguments that are added ────────────────────────────────────────────────────────────


@component(source="the hooks of version 1", api=1)
class Published:
    """Shift the critic's view by a little, with the arguments that the hook had."""

    @hookimpl
    def critic_view(self, images, rng):
        return images + 0.1 * torch.randn(images.shape, generator=rng)


def trained(*components):
    training = train(*components)
    for _ in range(3):
        training.train_step()
    return capture(training)


def test_a_component_of_the_oldest_hooks_keeps_every_rule():
    check_component(oldest_component.Oldest)


def test_a_hook_and_an_argument_that_are_added_change_no_bit_of_a_published_plugin(monkeypatch):
    before = trained(Published())

    @hookspecs.hookspec(since="0.1", added={"mood": "0.1"})
    def critic_view(images, labels, step, rng, shared_rng, mood):
        """Transform the critic's input (fold)."""

    @hookspecs.hookspec(since="0.1")
    def paint(images):
        """Paint (all)."""

    for hook in (critic_view, paint):
        monkeypatch.setattr(hookspecs, hook.__name__, hook, raising=False)
        monkeypatch.setitem(SPECS, hook.__name__, tuple(inspect.signature(hook).parameters))

    fold = Hooks.fold

    def fold_with_mood(self, hook, values, **given):
        return fold(self, hook, values, **given, **({"mood": 3} if hook == "critic_view" else {}))

    monkeypatch.setattr(Hooks, "fold", fold_with_mood)
    moods = []

    @component(source="a test")
    class Newer:
        @hookimpl
        def critic_view(self, mood):
            moods.append(mood)

        @hookimpl
        def paint(self, images):
            moods.append(images)

    assert_equal(before, trained(Published(), Newer()))
    assert set(moods) == {3}


# ── deprecated hooks ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def deprecated(monkeypatch):
    @hookspecs.hookspec(since="0.1", deprecated="0.1", instead="implement critic_fakes")
    def critic_view(images, labels, step, rng, shared_rng):
        """Transform the critic's input (fold)."""

    monkeypatch.setattr(hookspecs, "critic_view", critic_view)


def test_a_deprecated_hook_is_noted_once_and_still_called(deprecated, shelf, gan_here, tmp_path):
    shelf.publish(FINE)
    said = gan_here(*RUN, "--reg", "faulty", "--reg", "again=faulty").stderr
    assert said.count("which is deprecated since gancore 0.1: implement critic_fakes") == 1
    assert "(gan-faulty 1.0.0) implements critic_view" in said
    assert (tmp_path / "r" / "metrics.jsonl").exists()


def test_a_hook_that_stays_is_not_noted():
    assert Hooks([Component("published", "reg", Published())]).deprecated() == []


def test_the_page_of_a_plugin_shows_its_hooks_and_what_is_deprecated(deprecated, shelf, gan_here):
    shelf.publish(FINE)
    said = gan_here("plugins", "faulty").stdout
    assert "hooks: critic_view (gancore 0.1 or later)" in said
    assert "critic_view is deprecated since gancore 0.1: implement critic_fakes" in said
