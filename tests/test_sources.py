"""The pages about the sources leave no recipe and no sweep out."""

from pathlib import Path

import pytest

from gancore import discovery

SOURCES = Path(__file__).resolve().parent.parent / "docs" / "sources"
TEXT = "\n".join(page.read_text() for page in SOURCES.glob("*.md"))
ARMS_OF_SWEEPS = ("journey-width-", "journey-z-", "journey-init-", "guide-kernel-", "guide-compare-")


@pytest.mark.parametrize("name", sorted(discovery.recipe_files()))
def test_a_recipe_has_its_place_on_the_pages_of_the_sources(name):
    family = next((prefix for prefix in ARMS_OF_SWEEPS if name.startswith(prefix)), None)
    assert name == "default" or name in TEXT or (family and f"{family}*" in TEXT)
