"""Counts the frames of gancore between the command line and the places that matter.

    python -m benchmarks.house_frames       prints one JSON object

It runs a tiny `gan run` in this process and looks at the stack at each step of an optimizer and at
each call of a plugin's `critic_view`.
"""

import contextlib
import io
import json
import sys
import tempfile
import traceback
from pathlib import Path

from torch.optim.optimizer import register_optimizer_step_pre_hook

from gancore.cli import main

PACKAGE = Path(__file__).resolve().parent.parent / "gancore"
STEPS = 12  # so many that the calls after those that are watched are seen too
WORDS = [
    *("run", "--data", "mixture", "--gen", "mlp", "--critic", "mlp-critic", "--batch", "4"),
    *("--steps", str(STEPS), "--device", "cpu"),
]
# a plugin of a user's own; it looks for this module by the name that both know
PLUGIN = '''
import sys
import traceback
from gancore import component, hookimpl


@component(source="this benchmark")
class Probe:
    """Record the stack of each call."""

    @hookimpl
    def critic_view(self, images):
        sys.modules["__main__"].view_stacks.append(traceback.extract_stack())
'''

step_stacks = []
view_stacks = []


def own_frames(stack):
    """Return (file, function) of the frames inside gancore, outermost first."""
    frames = []
    for frame in stack:
        path = Path(frame.filename)
        if path.is_relative_to(PACKAGE):
            frames.append((path.relative_to(PACKAGE).as_posix(), frame.name))
    return frames


def summary(frames):
    return {
        "frames": len(frames),
        "files": len({file for file, _ in frames}),
        "path": [f"{file}:{name}" for file, name in frames],
    }


def measure():
    """Train a few steps; return the frames to an optimizer's step and to a plugin's hook."""
    register_optimizer_step_pre_hook(lambda *_: step_stacks.append(traceback.extract_stack()))
    with tempfile.TemporaryDirectory() as folder:
        plugin = Path(folder) / "probe.py"
        plugin.write_text(PLUGIN)
        words = [*WORDS, "--out", str(Path(folder) / "run"), "--reg", str(plugin)]
        with contextlib.redirect_stderr(io.StringIO()) as said:
            try:
                main(words)
            except SystemExit as ended:
                if ended.code:
                    sys.exit(said.getvalue())
    views = [own_frames(stack) for stack in view_stacks]
    return {
        "to the optimizer's step": summary(max(map(own_frames, step_stacks), key=len)),
        "to a plugin's critic_view": summary(max(views, key=len)),
        "to a plugin's critic_view, once its first calls were checked": summary(views[-1]),
    }


if __name__ == "__main__":
    json.dump(measure(), sys.stdout)
