"""Several processes that share a run: the weights of one process, one that writes, and words for one that is lost."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from shared_run import COMPOSITIONS

from gancore import UsageError, average, draw_rows, gather, peers, read_rows
from gancore.rng import Streams
from gancore.run import checkpoint
from gancore.run.peers import expect_shares
from gancore.world import ALONE, World

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
TINY = [
    "--data",
    "mixture",
    "--gen",
    "mlp",
    "--critic",
    "mlp-critic",
    "--loss",
    "bce",
    "--batch",
    "8",
    "--device",
    "cpu",
]
SHARED_RUN = Path(__file__).with_name("shared_run.py")


def run(*words, **more):
    return subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=300, **more)


def gan(*words, **more):
    return run(sys.executable, "-m", "gancore", *words, **more)


# ── the same weights ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Train every composition in one process and in two, through memory and by messages; return the folders."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("one", "memory", "messages")}
    for name, launcher in (("one", [sys.executable]), ("memory", TORCHRUN), ("messages", TORCHRUN)):
        ended = run(*launcher, SHARED_RUN, folders[name], name)
        assert ended.returncode == 0, ended.stderr
    return folders


@pytest.mark.xdist_group("processes")
@pytest.mark.parametrize("name", COMPOSITIONS)
@pytest.mark.parametrize("exchange", ["memory", "messages"])
def test_two_processes_reach_the_weights_of_one_in_float64(name, exchange, weights):
    one, two = (load_file(weights[each] / f"{name}.safetensors") for each in ("one", exchange))
    assert one.keys() == two.keys()
    gaps = {key: (one[key] - two[key]).abs().max().item() for key in one if one[key].is_floating_point()}
    assert max(gaps.values()) < 1e-12, max(gaps, key=gaps.get)
    assert all(torch.equal(one[key], two[key]) for key in one if not one[key].is_floating_point())


@given(st.integers(1, 6), st.integers(1, 5))
def test_own_rows_partition_what_can_be_shared_out(size, share):
    rows = torch.arange(size * share)
    assert torch.equal(torch.cat([World(rank, size).own(rows) for rank in range(size)]), rows)


def test_rows_that_cannot_be_shared_out_are_everyones():
    rows = torch.arange(7)
    assert all(torch.equal(World(rank, 2).own(rows), rows) for rank in range(2))


@given(st.integers(1, 5), st.integers(1, 4), st.sampled_from([(), (3,), (2, 2)]))
def test_what_processes_draw_for_their_rows_is_what_one_draws_for_all(size, rows, rest):
    streams = Streams(3)
    whole = draw_rows(torch.randn, (size * rows, *rest), streams.generator("noise"))
    parts = [
        draw_rows(torch.randn, (rows, *rest), streams.share("noise", rank=rank, size=size)) for rank in range(size)
    ]
    assert torch.equal(torch.cat(parts), whole)


def test_other_draws_of_two_processes_differ_unless_they_are_meant_for_all():
    def drawn(**more):
        rngs = [Streams(0).share("noise", rank=rank, size=2, **more) for rank in range(2)]
        return [torch.rand(3, generator=rng) for rng in rngs]

    assert not torch.equal(*drawn())
    assert torch.equal(*drawn(own=False))


def test_alone_nothing_is_sent_and_nothing_is_copied():
    rows = torch.ones(2, 3)
    assert gather(rows) is rows
    assert average(rows) is rows
    assert peers() == ALONE
    assert ALONE.own(rows).data_ptr() == rows.data_ptr()


def test_a_batch_that_cannot_be_shared_out_evenly_is_refused():
    expect_shares(9, World(0, 3))
    with pytest.raises(UsageError, match="batch of 9 cannot be shared out among 2 processes") as caught:
        expect_shares(9, World(0, 2))
    assert caught.value.mend == "--batch 10"


# ── the command line ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_of_two_processes_is_written_and_told_once(tmp_path):
    words = ["run", *TINY, "--steps", 4, "--log-every", 1, "--json"]
    ended = gan(*words, "--nproc", 2, "--out", tmp_path / "two")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["last"]["step"] == 4  # one object: one process spoke
    assert ended.stderr.count("done: 4 steps") == 1
    alone = gan(*words, "--out", tmp_path / "one")
    assert alone.returncode == 0, alone.stderr
    for row, other in zip(read_rows(tmp_path / "two"), read_rows(tmp_path / "one"), strict=True):
        assert row.keys() == other.keys()
        figures = [key for key in row if "/" in key]
        assert all(row[key] == pytest.approx(other[key], rel=1e-4, abs=1e-6) for key in figures)
    assert (tmp_path / "two" / "samples" / "final.png").exists()


def test_what_every_process_would_refuse_is_refused_once_before_any_is_started(tmp_path):
    ended = gan("run", *TINY, "--nproc", 3, "--out", tmp_path / "r")
    assert (ended.returncode, ended.stderr.count("error:")) == (2, 1)
    assert "cannot be shared out among 3 processes" in ended.stderr
    assert not (tmp_path / "r").exists()


OWN = """
from gancore import component, hookimpl


@component(source="a test")
class Own:
    \"\"\"Leave the updates as they are.\"\"\"

    @hookimpl
    def before_step(self, step):
        return None
"""


def test_a_start_after_a_lost_process_resumes_with_the_component_files_of_its_command_line(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    words = ["run", *TINY, "--steps", 2, "--reg", tmp_path / "own.py", "--out", tmp_path / "r"]
    assert gan(*words).returncode == 0
    assert gan(*words).returncode == 2  # a run is there already
    again = gan(*words, env={**os.environ, "TORCHELASTIC_RESTART_COUNT": "1"})
    assert again.returncode == 0, again.stderr


def start(*words, **more):
    command = [sys.executable, "-m", "gancore", *map(str, words)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **more)


def wait_for(condition, seconds=120):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come about")


def children_of(pid):
    """List the processes that a launcher started, by their rank."""
    found = {}
    for each in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((each / "stat").read_text().rpartition(")")[2].split()[1])
            about = dict(part.partition("=")[::2] for part in (each / "environ").read_text().split("\0"))
        except (OSError, ValueError):
            continue
        if parent == pid and "RANK" in about:
            found[int(about["RANK"])] = int(each.name)
    return found


def saved(folder):
    return checkpoint.steps(folder / "checkpoints") if (folder / "checkpoints").exists() else []


ENDLESS = ["run", *TINY, "--steps", 1_000_000, "--save-every", 20, "--log-every", 20]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="processes are found in /proc")
@pytest.mark.parametrize("rank", [0, 1])
def test_a_lost_process_ends_the_run_with_a_word_and_a_checkpoint(rank, tmp_path):
    process = start(*ENDLESS, "--nproc", 2, "--out", tmp_path / "r")
    wait_for(lambda: len(saved(tmp_path / "r")) > 1)
    os.kill(children_of(process.pid)[rank], signal.SIGKILL)
    told = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    assert "is gone" in told or "was ended by SIGKILL" in told
    assert "Traceback" not in told
    left = saved(tmp_path / "r")[-1]
    assert gan("checkpoint", "verify", tmp_path / "r").returncode == 0
    resumed = gan("run", "--resume", tmp_path / "r", "--steps", int(left.name.split("-")[-1]) + 2)
    assert resumed.returncode == 0, resumed.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_all_processes_after_the_same_step_saved(number, code, tmp_path):
    process = start(*ENDLESS, "--nproc", 2, "--out", tmp_path / "r")
    wait_for(lambda: len(saved(tmp_path / "r")) > 1)
    process.send_signal(number)
    told = process.communicate(timeout=120)[1]
    assert process.returncode == code, told
    assert "saved; go on with" in told
    assert gan("run", "--resume", tmp_path / "r", "--nproc", 2, "--steps", 0).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="processes are found in /proc")
def test_an_elastic_restart_goes_on_from_the_checkpoint(tmp_path):
    words = [*TORCHRUN, "--max-restarts", "1", "-m", "gancore", *ENDLESS, "--out", tmp_path / "r"]
    process = subprocess.Popen([*map(str, words)], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(saved(tmp_path / "r")) > 1)
    first = children_of(process.pid)
    before = int(saved(tmp_path / "r")[-1].name.split("-")[-1])
    os.kill(first[1], signal.SIGKILL)
    wait_for(lambda: (now := children_of(process.pid)) and len(now) == 2 and now != first)
    wait_for(lambda: int(saved(tmp_path / "r")[-1].name.split("-")[-1]) > before + 40)
    process.send_signal(signal.SIGTERM)
    told = process.communicate(timeout=120)[1]
    assert "step" in told
    steps = [row["step"] for row in read_rows(tmp_path / "r")]
    assert steps == sorted(set(steps))


@pytest.mark.slow
def test_a_figure_that_is_reached_ends_all_processes_with_samples(tmp_path):
    words = ["--steps", 50, "--log-every", 2, "--track", "stop-when", "--stop-when.figure", "critic/total"]
    ended = gan(
        "run", *TINY, *words, "--stop-when.below", 100, "--stop-when.rows", 1, "--nproc", 2, "--out", tmp_path / "r"
    )
    assert ended.returncode == 0, ended.stderr
    assert "ended at step 2" in ended.stderr
    assert (tmp_path / "r" / "samples" / "final.png").exists()


@pytest.mark.slow
def test_processes_roll_back_together(tmp_path):
    words = ["--steps", 30, "--log-every", 1, "--save-every", 2, "--rollbacks", 1]
    explode = ["--optim", "sgd", "--sgd.lr", "1e30"]
    ended = gan("run", *TINY, *words, *explode, "--nproc", 2, "--out", tmp_path / "r")
    assert ended.returncode == 1, ended.stderr
    assert "1 of 1 times" in ended.stderr
    assert ended.stderr.count("error:") == 1
    assert "report.txt" in ended.stderr


@pytest.mark.slow
def test_a_component_that_decides_by_its_own_rows_is_found(tmp_path):
    (tmp_path / "own.py").write_text(
        "import torch\n"
        "from gancore import component, hookimpl\n\n\n"
        "@component(source='a test')\n"
        "class Own:\n"
        '    """Move a weight by what only this process sees."""\n\n'
        "    @hookimpl\n"
        "    def after_critic_update(self, gan, batch):\n"
        "        gan.critic.parameters[0].add_(batch.fake.images.mean())\n"
    )
    words = ["run", *TINY, "--steps", 4, "--save-every", 2, "--reg", tmp_path / "own.py"]
    ended = gan(*words, "--nproc", 2, "--out", tmp_path / "r")
    assert ended.returncode == 1
    assert "no longer have the same weights at step 2" in ended.stderr
    assert gan(*words, "--out", tmp_path / "alone").returncode == 0
