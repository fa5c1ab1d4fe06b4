"""What does a large folder of images cost?

Its index in seconds and megabytes, and a batch in microseconds.

Every image is a file of its own, 8×8 pixels that no other has, 10,000 to a folder, which makes a
class. Each figure is of a fresh process. `python -m benchmarks large-data --million` adds the
largest folder: some minutes, and 5 GB of disk.
"""

import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import platformdirs
import torch

from gan_plugin_image_folder.component import ImageFolder
from gancore import DataSpec
from gancore.train.data import DataOrder
from gancore.train.rng import Streams

COUNTS = (1_000, 10_000, 100_000)
MILLION = 1_000_000
# files of a folder; pixels; images of a batch; blocks of 16 batches
EACH, SIDE, BATCH, BLOCKS = (
    10_000,
    8,
    64,
    61,
)
COLUMNS = (
    "images",
    "first scan s",
    "start s",
    "(processor)",
    "first batch s",
    "most MB",
    "held MB",
    "batch µs",
)


def write_images(folder: Path, first: int, last: int) -> None:
    """Write the images of these numbers, each with its number in its first pixels."""
    for number in range(first, last):
        path = folder / f"class-{number // EACH:04}" / f"image-{number:07}.ppm"
        if not number % EACH or number == first:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(
            b"P6 %d %d 255\n" % (SIDE, SIDE) + number.to_bytes(4, "big") * (SIDE * SIDE * 3 // 4)
        )


def megabytes(field: str) -> float:
    """Read this process's memory: `RssAnon`, `VmRSS` (with file pages) and `VmHWM` (peak)."""
    return int(Path("/proc/self/status").read_text().split(f"{field}:")[1].split()[0]) / 1024


def microseconds_of_a_batch(data, order: DataOrder, rng: torch.Generator) -> float:
    """Return the median of blocks, in processor time."""
    found = []
    gc.collect()
    gc.disable()
    for block in range(BLOCKS):
        begun = time.process_time()
        for k in range(block * 16, block * 16 + 16):
            data.take(order.indices(k % order.batches_per_epoch), rng)
        found.append((time.process_time() - begun) / 16)
    return statistics.median(found) * 1e6


def measure(folder: str, cache: str) -> dict[str, float]:
    """Open the folder in this process, and take batches of it."""
    torch.set_num_threads(1)
    platformdirs.user_cache_path = lambda name: Path(cache) / name
    rng = torch.Generator()
    before = megabytes("RssAnon")
    level = megabytes("VmRSS")
    begun = time.perf_counter()
    processor = time.process_time()
    data = ImageFolder(path=folder, cache="file").make_data(DataSpec())
    data.fingerprint()
    start, processor = time.perf_counter() - begun, time.process_time() - processor
    most = megabytes("VmHWM") - level
    held = megabytes("RssAnon") - before
    order = DataOrder(len(data), BATCH, Streams(0))
    data.take(order.indices(0), rng)
    first = time.perf_counter() - begun
    batch = microseconds_of_a_batch(data, order, rng)
    return {
        "start": start,
        "cpu": processor,
        "first": first,
        "most": most,
        "held": held,
        "batch": batch,
    }


def in_a_process(folder: Path, cache: Path) -> dict[str, float]:
    """Measure in a fresh process, whose memory holds nothing else."""
    command = [sys.executable, "-m", "benchmarks.large_data", "--measure", str(folder), str(cache)]
    return json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def main(given) -> None:
    """Measure a growing folder at every size: decoding it, then reading the decoded images."""
    print(
        "a folder of images of 8×8 pixels: most and held are beyond what torch takes; batches of 64"
    )
    print("  ".join(f"{name:>13}" for name in COLUMNS))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "images")
        written = 0
        for count in COUNTS[:1] if given.quick else (*COUNTS, MILLION) if given.million else COUNTS:
            write_images(folder, written, count)
            written = count
            cache = Path(place, f"cache-{count}")
            scan = in_a_process(folder, cache)
            warm = in_a_process(folder, cache)
            figures = (f"{warm[name]:.2f}" for name in ("start", "cpu", "first"))
            more = (f"{warm[name]:.0f}" for name in ("most", "held", "batch"))
            row = (f"{count:,}", f"{scan['start']:.1f}", *figures, *more)
            print("  ".join(f"{each:>13}" for each in row), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(*sys.argv[2:])))
