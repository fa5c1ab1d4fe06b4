"""The examples as modules, which they are for nobody but a test."""

import importlib.util
import sys
from functools import cache

from support.paths import EXAMPLES


@cache
def example(name):
    """Import a file of the examples as a module."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
