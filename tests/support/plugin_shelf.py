"""Real distributions for tests: a folder with metadata and a module, put on `sys.path` of this process."""

import importlib
import shutil
import sys
from functools import cache
from pathlib import Path
from textwrap import dedent, indent

from gancore.cli.published import commands, executors
from gancore.plugins import discovery, inspection

HEAD = """\
import os, sys, torch
from torch import nn
from gancore import *
from gancore import component, hookimpl, memory, option
"""


def trick(body, head="", card='source="a test"', base=""):
    """Write a module that holds one component, `Trick`, with this body."""
    text = f'@component({card})\nclass Trick{base}:\n    """Be a trick."""\n\n{indent(dedent(body).strip(), "    ")}\n'
    return f"{HEAD}\n{dedent(head).strip()}\n\n{text}"


@cache
def looked_up(entry):
    """Look at a first-party plugin's source once: it does not change while tests run."""
    return look(entry)


look = inspection._look


class Shelf:
    """A folder of distributions, as an installer would leave it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.modules: set[str] = set()

    def publish(self, code, name="faulty", kind="reg", version="1.0.0", entries=None, dist=None):
        """Install `code` as a distribution; one of that name that was there before is replaced."""
        dist = dist or f"gan-{name}"
        module = dist.replace("-", "_").lower()
        self.remove(dist)
        about = self.folder / f"{module}-{version}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version}\n")
        text = f"[gancore.{kind}]\n{name} = {module}:Trick\n" if entries is None else entries
        (about / "entry_points.txt").write_text(text)
        if code is not None:
            (self.folder / f"{module}.py").write_text(code)
        self.forget(module)
        return module

    def remove(self, dist):
        """Uninstall a distribution."""
        module = dist.replace("-", "_").lower()
        for about in self.folder.glob(f"{module}-*.dist-info"):
            shutil.rmtree(about)
        (self.folder / f"{module}.py").unlink(missing_ok=True)
        shutil.rmtree(self.folder / "__pycache__", ignore_errors=True)
        self.forget(module)

    def forget(self, module=None):
        """Let this process look again."""
        self.modules |= {module} if module else set()
        for name in self.modules:
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        for cached in (
            discovery.entries,
            discovery.installed,
            discovery.named,
            commands,
            executors,
            inspection._importable,
        ):
            cached.cache_clear()
