"""Train a few compositions for a few steps and print a checksum of each last checkpoint.

    python -m benchmarks.bit_equality > before.txt      in one checkout
    python -m benchmarks.bit_equality | diff before.txt -      in the other, on the same machine

A refactoring that changes no training prints the same lines. The checksums are over the bytes of
all tensors, in the order of those bytes, so that renaming a parameter does not matter.
"""

import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

from safetensors.torch import load_file

COMMANDS = {
    "README's main command": "--gen colorpicker --loss wgan-gp --reg instance-noise",
    "no choice at all": "",
    "ACGAN": "--recipe journey-acgan --data sprites",
    "replay": "--reg experience-replay",
    "minibatch discrimination": "--reg minibatch-discrimination",
    "virtual batch norm": "--norm virtual-batch",
    "weight clipping": "--loss wgan --reg weight-clipping",
    "dropout": "--reg dropout",
    "smoothing and noisy labels": "--reg label-smoothing --reg noisy-labels",
    "moving average": "--reg ema",
    "auto-encoding colour picker": "--recipe pokegan-aegan --data sprites",
    "a mixture in the plane": "--recipe gaussian2d-remedy",
    "three dimensions": "--recipe gaussian3d",
    "two processes": "--nproc 2",
}
SIZE = "--size 16"
IN_THE_PLANE = ("a mixture in the plane", "three dimensions")


def checksum(folder: Path) -> str:
    """Return one checksum over all tensors below `folder`, whatever their names."""
    tensors = []
    for path in sorted(folder.glob("**/*.safetensors")):
        for tensor in load_file(path).values():
            content = tensor.contiguous().flatten()
            tensors.append(
                f"{tensor.dtype} {tuple(tensor.shape)} ".encode() + content.numpy().tobytes()
            )
    return sha256(b"".join(sorted(tensors))).hexdigest()[:16]


def train(words: str, steps: int, out: Path) -> str:
    """Run `gan run` with these words and return the checksum of its last checkpoint."""
    command = [
        sys.executable,
        "-m",
        "gancore",
        "run",
        *words.split(),
        "--steps",
        str(steps),
        "--out",
        str(out),
    ]
    done = subprocess.run(
        [*command, "--device", "cpu"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return f"exit {done.returncode}: {done.stderr.strip().splitlines()[-1]}"
    newest = sorted((out / "checkpoints").glob("step-*"))[-1]
    return checksum(newest)


def main() -> None:
    """Train every composition and print a line for each."""
    for name, words in COMMANDS.items():
        with tempfile.TemporaryDirectory() as scratch:
            size = "" if name in IN_THE_PLANE else SIZE
            found = train(f"{words} {size} --batch 8", 12, Path(scratch) / "run")
        print(f"{name:<28} {found}", flush=True)


if __name__ == "__main__":
    main()
