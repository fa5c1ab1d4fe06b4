"""Each kind of bad plugin is caught by the conformance kit, with a sentence that names it."""

import json

import pytest
import torch
from support.bad_plugins import BAD_PLUGINS, COMMAND, PAGE, bad, page, says
from support.tables import every_row
from torch import nn

from gancore import GanError
from gancore.testing import check_component


@every_row("wrong", BAD_PLUGINS)
def test_a_bad_plugin_is_caught_with_its_sentence(wrong):
    said, act = BAD_PLUGINS[wrong]
    with pytest.raises((AssertionError, GanError)) as caught:
        act()
    # a table of a page has no lines within a row
    text = " ".join(str(caught.value).split())
    assert says(text, said), f"it says: {text}"


def test_the_page_of_bad_plugins_is_that_of_the_table_and_holds_forty_or_more():
    assert len(BAD_PLUGINS) >= 40
    assert PAGE.read_text() == page(), f"run `{COMMAND}`"


def test_a_critic_that_sums_over_pixels_passes_the_kit():
    class Body(nn.Module):
        def __init__(self, plan):
            super().__init__()
            self.layers = nn.Sequential(
                nn.Conv2d(plan.critic_shape[0], 64, 3, padding=1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(64, 128, 3, padding=1),
                nn.LeakyReLU(0.2),
            )

        def forward(self, view, labels):
            return 10 * self.layers(view).sum((2, 3))

    check_component(bad(make_critic=lambda self, plan: Body(plan)))


def test_a_component_finds_its_latent_under_the_name_that_it_goes_by():
    from gancore import name_of
    from gancore.plugins.calling import Component
    from gancore.testing import train

    seen = []

    def critic_terms(self, batch):
        seen.append(batch.plan.latent_slices[name_of(self)])

    cls = bad(
        latent_width=lambda self: 2,
        draw_latent=lambda self, n: torch.zeros(n, 2),
        critic_terms=critic_terms,
    )
    train(Component("published-so", "reg", cls())).train_step()
    assert seen[0] == slice(0, 2)


def test_a_component_sees_the_folder_of_the_run_above_that_of_draw():
    found = []

    def draw(self, folder):
        found.append(
            (folder.name, json.loads((folder.parent / "metrics.jsonl").read_text())["step"])
        )

    check_component(bad(draw=draw))
    assert found[0] == ("samples", 6)
