"""Where the parts of the repository lie, for every test."""

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
EXAMPLES = ROOT / "examples"
SUPPORT = TESTS / "support"
EXAMPLE_COMPONENTS = SUPPORT / "example_components.py"
REAL_DATA = ROOT.parent / "shared" / "data"
