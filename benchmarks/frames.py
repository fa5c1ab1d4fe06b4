"""How deep does a step lie? Count the frames of gancore, and the files that hold them, below `gan
run`.

    python -m benchmarks.frames

Prints the frames from the command to the optimizer's step and to a component's `critic_view`, in
the order of the call.
"""

import sys
import tempfile
import traceback
from pathlib import Path

from attrs import frozen
from torch.optim.optimizer import register_optimizer_step_pre_hook

import gancore
from gancore.cli import main as gan

HERE = Path(gancore.__file__).parent
STEPS = 60  # enough to be past the first calls, which are watched
VIEW = '''
import traceback
from gancore import component, hookimpl

stacks = []


@component(source="a measurement")
class Looks:
    """Keep the stack of each call."""

    @hookimpl
    def critic_view(self, images):
        stacks.append(traceback.extract_stack())
'''


@frozen
class Depth:
    """The frames of gancore in a stack, as `file:function`."""

    frames: tuple[str, ...]

    @property
    def files(self) -> int:
        """Count the files that hold the frames."""
        return len({frame.partition(":")[0] for frame in self.frames})

    def __str__(self):
        return f"{len(self.frames)} frames in {self.files} files\n" + "".join(
            f"    {each}\n" for each in self.frames
        )


def depth(stack: traceback.StackSummary) -> Depth:
    """Keep what belongs to gancore."""
    own = [frame for frame in stack if Path(frame.filename).is_relative_to(HERE)]
    return Depth(tuple(f"{Path(each.filename).relative_to(HERE)}:{each.name}" for each in own))


def measure() -> tuple[Depth, Depth]:
    """Train a small run by the command.

    Return the depth of the last optimizer step and of the last view.
    """
    steps = []
    handle = register_optimizer_step_pre_hook(lambda *_: steps.append(traceback.extract_stack()))
    with tempfile.TemporaryDirectory() as folder:
        plugin = Path(folder) / "looks.py"
        plugin.write_text(VIEW)
        words = ["run", "--data", "mixture", "--gen", "mlp", "--critic", "mlp-critic"]
        words += ["--batch", "8", "--steps", str(STEPS), "--reg", str(plugin)]
        try:
            gan([*words, "--out", str(Path(folder) / "run")])
        except SystemExit as end:
            if end.code:
                raise
        finally:
            handle.remove()
        views = next(
            each.stacks
            for each in sys.modules.values()
            if getattr(each, "__file__", None) == str(plugin)
        )
    return depth(steps[-1]), depth(views[-1])


def main() -> None:
    """Print both depths."""
    step, view = measure()
    print(f"to optimizer.step(): {step}")
    print(f"to critic_view: {view}")


if __name__ == "__main__":
    main()
