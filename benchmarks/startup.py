"""How long until `gan` answers? Wall seconds of whole processes, beside a bare interpreter."""

import statistics
import subprocess
import sys
import time

ROUNDS = 7
COMMANDS = {
    "bare interpreter": ["-c", "pass"],
    "gan --help": ["-m", "gancore", "--help"],
    "gan plugins": ["-m", "gancore", "plugins"],
    "gan run --help": ["-m", "gancore", "run", "--help"],
    "import torch": ["-c", "import torch"],
}


def seconds_of(words: list[str]) -> float:
    begun = time.monotonic()
    subprocess.run([sys.executable, *words], capture_output=True, check=True)
    return time.monotonic() - begun


def main() -> None:
    """Take the commands in turn, so that a noisy moment hits them alike."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, words in COMMANDS.items():
            times[name].append(seconds_of(words))
    print(f"seconds of a process, median of {ROUNDS} (range)")
    for name, found in times.items():
        print(f"  {name:17} {statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})")


if __name__ == "__main__":
    main()
