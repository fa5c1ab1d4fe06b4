"""Real distributions for tests: a folder with metadata and a module, put on `sys.path` of this
process.
"""

import importlib
import json
import shutil
import sys
from functools import cache
from pathlib import Path
from textwrap import dedent, indent

from gancore.cli.published import commands, executors
from gancore.plugins import discovery, inspection
from gancore.run.checkpoint import reader

HEAD = """\
import os, sys, torch
from torch import nn
from gancore import *
from gancore import cached, component, hookimpl, option, state
"""


def trick(body, head="", card='source="a test"', base=""):
    """Write a module that holds one component, `Trick`, with this body."""
    text = f'@component({card})\nclass Trick{base}:\n    """Be a trick."""\n\n{indent(dedent(body).strip(), "    ")}\n'
    return f"{HEAD}\n{dedent(head).strip()}\n\n{text}"


TINY = (
    "--data",
    "mixture",
    "--mixture.finite",
    "64",
    "--gen",
    "mlp",
    "--critic",
    "mlp-critic",
    "--batch",
    "4",
    "--device",
    "cpu",
)
TINY += ("--mlp.hidden", "8", "--mlp-critic.hidden", "8")
RUN = ("run", *TINY, "--steps", "2", "--out", "r")

VIEW = "@hookimpl\ndef critic_view(self, images):\n    return images\n"
FINE = trick(VIEW)


LOSS = """
@hookimpl
def critic_terms(self, batch):
    scores = batch.fake.score
    return {critic}

@hookimpl
def generator_terms(self, batch):
    scores = batch.fake.score
    return {generator}
"""

NET = """
class Net(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.layer = nn.Linear(size, {out})

    def forward(self, x, labels):
        y = self.layer(x)
        return {made}
"""


def listed(gan_here, *words):
    return {row["name"]: row for row in json.loads(gan_here("plugins", *words, "--json").stdout)}


def newest(folder, root):
    found, _ = reader.newest(root / folder / "checkpoints")
    return found


def loss(critic='{"fake": scores.mean()}', generator='{"fake": -scores.mean()}'):
    card = 'source="a test", provides=["loss.absolute-scores"]'
    return trick(LOSS.format(critic=critic, generator=generator), card=card)


def net(hook, size, out, made):
    body = f"@hookimpl\ndef {hook}(self, plan):\n    return Net({size})\n"
    return trick(body, head=NET.format(out=out, made=made))


def choosing(kind):
    """Choose the faulty plugin; the options of a network that it replaces are left out."""
    words = [*RUN, f"--{kind}", "faulty"]
    for option_word in {
        "gen": ("--gen", "--mlp.hidden"),
        "critic": ("--critic", "--mlp-critic.hidden"),
    }.get(kind, ()):
        place = words.index(option_word)
        del words[place : place + 2]
    return words


@cache
def looked_up(entry):
    """Look at a first-party plugin's source once: it does not change while tests run."""
    return look(entry)


look = inspection.inspect_entry


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
        (about / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version}\n"
        )
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
            inspection.is_importable,
        ):
            cached.cache_clear()
