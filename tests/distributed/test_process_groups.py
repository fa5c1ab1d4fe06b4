"""Several processes that share a run: the weights of one process, one that writes, and words for
one that is lost.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from support.paths import SUPPORT
from support.tables import every_row
from support.train_in_processes import COMPOSITIONS
from torch import nn

from gancore import UsageError, average, draw_rows, gather, peers, read_rows
from gancore.distributed.group import SINGLE_PROCESS, ProcessGroup
from gancore.distributed.launch import expect_shares
from gancore.run.checkpoint import verified, writer
from gancore.run.checkpoint.nested import STORED
from gancore.train.networks import GAN, Player
from gancore.train.replicas import expect_same
from gancore.train.rng import Streams

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
SHARED_RUN = SUPPORT / "train_in_processes.py"


def run(*words, **more):
    return subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=300, **more)


def gan(*words, **more):
    return run(sys.executable, "-m", "gancore", *words, **more)


# ── the same weights ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Train every composition in one process and in two, through memory and by messages; return the
    folders.
    """
    folders = {name: tmp_path_factory.mktemp(name) for name in ("one", "memory", "messages")}
    for name, launcher in (("one", [sys.executable]), ("memory", TORCHRUN), ("messages", TORCHRUN)):
        ended = run(*launcher, SHARED_RUN, folders[name], name)
        assert ended.returncode == 0, ended.stderr
    return folders


@pytest.mark.xdist_group("processes")
@every_row("name", COMPOSITIONS)
@every_row("exchange", ["memory", "messages"])
def test_two_processes_reach_the_weights_of_one_in_float64(name, exchange, weights):
    one, two = (load_file(weights[each] / f"{name}.safetensors") for each in ("one", exchange))
    assert one.keys() == two.keys()
    gaps = {
        key: (one[key] - two[key]).abs().max().item() for key in one if one[key].is_floating_point()
    }
    assert max(gaps.values()) < 1e-12, max(gaps, key=gaps.get)
    assert all(torch.equal(one[key], two[key]) for key in one if not one[key].is_floating_point())


@pytest.mark.xdist_group("processes")
@every_row("folder", ["one", "memory", "messages"])
def test_the_gradient_of_each_term_is_measured_without_changing_a_bit(folder, weights):
    plain, measured = (
        load_file(weights[folder] / f"{name}.safetensors") for name in ("wgan-gp", "term-gradients")
    )
    assert any("cosine" in key for key in measured)
    assert all(torch.equal(each, measured[key]) for key, each in plain.items())


@given(st.integers(1, 6), st.integers(1, 5))
def test_own_rows_partition_what_can_be_shared_out(size, share):
    rows = torch.arange(size * share)
    assert torch.equal(
        torch.cat([ProcessGroup(rank, size).local_rows(rows) for rank in range(size)]), rows
    )


def test_rows_that_cannot_be_shared_out_are_everyones():
    rows = torch.arange(7)
    assert all(torch.equal(ProcessGroup(rank, 2).local_rows(rows), rows) for rank in range(2))


@given(st.integers(1, 5), st.integers(1, 4), st.sampled_from([(), (3,), (2, 2)]))
def test_what_processes_draw_for_their_rows_is_what_one_draws_for_all(size, rows, rest):
    streams = Streams(3)
    whole = draw_rows(torch.randn, (size * rows, *rest), streams.generator("noise"))
    parts = [
        draw_rows(torch.randn, (rows, *rest), streams.share("noise", rank=rank, size=size))
        for rank in range(size)
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
    assert peers() == SINGLE_PROCESS
    assert SINGLE_PROCESS.local_rows(rows).data_ptr() == rows.data_ptr()


def test_a_batch_that_cannot_be_shared_out_evenly_is_refused():
    expect_shares(9, ProcessGroup(0, 3))
    with pytest.raises(
        UsageError, match="batch of 9 cannot be shared out among 2 processes"
    ) as caught:
        expect_shares(9, ProcessGroup(0, 2))
    assert caught.value.fix == "--batch 10"


# ── whether they still agree ──────────────────────────────────────────────────────────────────────


class Threads:
    """Exchange between two threads of one process."""

    def __init__(self):
        self.barrier = threading.Barrier(2)
        self.given = {}

    def all_gather(self, values):
        self.given[threading.get_ident()] = values
        self.barrier.wait(10)
        found = torch.stack(list(self.given.values()))
        self.barrier.wait(10)
        return found


def compared(*gans):
    """Compare two GANs as two processes do; return what each of them raises, or None."""
    exchange = Threads()
    with ThreadPoolExecutor(2) as pool:
        worlds = [ProcessGroup(rank, 2, exchange) for rank in range(2)]
        jobs = [
            pool.submit(expect_same, gan, group, 7) for gan, group in zip(gans, worlds, strict=True)
        ]
        return [job.exception(timeout=30) for job in jobs]


def gan_of(*layers):
    """Build a GAN of two networks that no component made."""
    player = Player("generator", nn.Sequential(*layers), nn.ModuleDict())
    return GAN(player, Player("critic", nn.Identity(), nn.ModuleDict()), torch.device("cpu"))


class Buffers(nn.Module):
    def __init__(self, **tensors):
        super().__init__()
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor)


FORMS = {
    str(dtype).replace("torch.", "of_"): torch.zeros(2, 3).to(dtype) for dtype in sorted(STORED, key=str)
} | {
    "counter": torch.tensor(3), "flag": torch.tensor(True), "small": torch.tensor(1.5, dtype=torch.bfloat16),
    "empty": torch.zeros(0, 3), "narrow": torch.zeros(3, 0, dtype=torch.int64),
    "part": torch.arange(12.0).view(3, 4)[:, 1], "turned": torch.arange(6).view(2, 3).T,
    "expanded": torch.ones(1).expand(4),
    "channels-last": torch.ones(2, 3, 4, 4).to(memory_format=torch.channels_last),
}  # fmt: skip


def test_every_form_of_tensor_that_a_checkpoint_can_hold_is_compared():
    assert compared(gan_of(Buffers(**FORMS)), gan_of(Buffers(**FORMS))) == [None, None]


@every_row("name", [name for name, tensor in FORMS.items() if tensor.numel()])
def test_a_value_that_differs_is_found_whatever_its_form(name):
    changed = torch.ones_like(FORMS[name]) * 2 if FORMS[name].dtype != torch.bool else ~FORMS[name]
    first, second = compared(gan_of(Buffers(**FORMS)), gan_of(Buffers(**{**FORMS, name: changed})))
    assert f"its {name} differs at step 7" in str(first)
    assert str(first) == str(second)


def test_a_weight_that_differs_is_named():
    one, other = gan_of(nn.Linear(2, 3)), gan_of(nn.Linear(2, 3))
    found = compared(one, other)[0]
    assert (
        "no longer have the same weights at step 7: 0.weight of the generator differs, as do 1 more"
        in str(found)
    )


def test_a_batch_norm_that_sees_one_processs_rows_is_named_with_what_to_use_instead():
    one, other = (
        gan_of(nn.Linear(2, 3), nn.BatchNorm1d(3)),
        gan_of(nn.Linear(2, 3), nn.BatchNorm1d(3)),
    )
    other.generator.load_state_dict(one.generator.state_dict())
    assert compared(one, other) == [None, None]
    other.generator.network(torch.randn(4, 2))  # moves its running mean and counts a batch
    error = compared(one, other)[0]
    assert (
        "the generator's layer 1 (BatchNorm1d) computes over the rows of one process" in error.what
    )
    assert "plan.norm(…), with --norm batch" in error.fix
    assert "gancore.gather(…)" in error.fix


def test_a_batch_norm_without_running_statistics_is_named_too():
    gans = [gan_of(nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False))) for _ in range(2)]
    for error in compared(*gans):
        assert "layer 0.0 (BatchNorm2d)" in error.what
        assert "it keeps no running statistics" in error.what


# ── the command line ──────────────────────────────────────────────────────────────────────────────


def test_a_run_of_two_processes_is_written_and_told_once(tmp_path):
    small = [
        "--size",
        16,
        "--batch",
        8,
        "--dcgan.width",
        4,
        "--dcgan-critic.width",
        4,
        "--device",
        "cpu",
    ]
    words = ["run", *small, "--steps", 4, "--log-every", 1, "--save-every", 2, "--json"]
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
    assert [path.name for path in saved(tmp_path / "two")] == [
        f"step-00000000{step}" for step in (0, 2, 4)
    ]


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


def test_a_start_after_a_lost_process_resumes_with_the_component_files_of_its_command_line(
    tmp_path,
):
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
            about = dict(
                part.partition("=")[::2] for part in (each / "environ").read_text().split("\0")
            )
        except (OSError, ValueError):
            continue
        if parent == pid and "RANK" in about:
            found[int(about["RANK"])] = int(each.name)
    return found


def alive(pid):
    """Return whether a process still runs; one that nobody waits for stays listed as Z when it has
    ended.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def saved(folder):
    return writer.steps(folder / "checkpoints") if (folder / "checkpoints").exists() else []


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
    assert "saved; continue with" in told
    assert gan("run", "--resume", tmp_path / "r", "--nproc", 2, "--steps", 0).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_to_the_whole_group_saves_once_and_ends_all(number, tmp_path):
    process = start(*ENDLESS, "--nproc", 2, "--out", tmp_path / "r", start_new_session=True)
    wait_for(lambda: len(saved(tmp_path / "r")) > 1)
    for _ in range(2):  # as `timeout` does, which signals the process and then its group
        os.killpg(process.pid, number)
    told = process.communicate(timeout=120)[1]
    assert process.returncode == 128 + number, told
    assert told.count("saved; continue with") == 1
    assert "Traceback" not in told
    step = json.loads((tmp_path / "r" / "run.json").read_text())["step"]
    assert saved(tmp_path / "r")[-1].name == verified.folder_name(step)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="processes are found in /proc")
def test_the_death_of_the_launcher_ends_its_processes_saved(tmp_path):
    process = start(*ENDLESS, "--nproc", 2, "--out", tmp_path / "r")
    wait_for(lambda: len(saved(tmp_path / "r")) > 1)
    ranks = children_of(process.pid)
    process.kill()
    told = process.communicate(timeout=120)[1]  # which ends when the last process closes the pipe
    assert "the launcher of this process is gone" in told
    assert len(ranks) == 2
    assert not any(alive(pid) for pid in ranks.values())
    about = json.loads((tmp_path / "r" / "run.json").read_text())
    assert about["ended"] is not None
    assert saved(tmp_path / "r")[-1].name == verified.folder_name(about["step"])


@pytest.mark.slow
def test_a_second_signal_to_the_launcher_ends_processes_that_are_stuck(tmp_path):
    (tmp_path / "stuck.py").write_text(
        "import time\n"
        "from pathlib import Path\n"
        "from gancore import component, hookimpl\n\n\n"
        "@component(source='a test')\n"
        "class Stuck:\n"
        '    """Never end the third step."""\n\n'
        "    @hookimpl\n"
        "    def before_step(self, step):\n"
        "        while step == 2:\n"
        "            Path('stuck').touch()\n"
        "            time.sleep(0.05)\n"
    )
    words = [*ENDLESS, "--reg", "./stuck.py", "--nproc", 2, "--out", "r"]
    process = start(*words, cwd=tmp_path)
    wait_for(lambda: (tmp_path / "stuck").exists())
    process.send_signal(signal.SIGTERM)
    time.sleep(1)  # signals that follow each other at once count as one
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60)[1].count("Traceback") == 0
    assert process.returncode == 143


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
    words = [
        "--steps",
        50,
        "--log-every",
        2,
        "--track",
        "stop-when",
        "--stop-when.figure",
        "critic/total",
    ]
    ended = gan(
        "run",
        *TINY,
        *words,
        "--stop-when.below",
        100,
        "--stop-when.rows",
        1,
        "--nproc",
        2,
        "--out",
        tmp_path / "r",
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
def test_a_plugin_with_a_batch_norm_of_torchs_own_is_refused_after_one_step_in_one_voice(tmp_path):
    (tmp_path / "plain.py").write_text(
        "from torch import nn\n"
        "from gancore import component, hookimpl\n\n\n"
        "@component(source='a test')\n"
        "class Plain:\n"
        '    """Normalise over the rows of one process."""\n\n'
        "    @hookimpl\n"
        "    def make_norm(self, channels):\n"
        "        return nn.BatchNorm2d(channels)\n"
    )
    words = [
        "--size",
        16,
        "--batch",
        4,
        "--dcgan.width",
        4,
        "--steps",
        4,
        "--gen-norm",
        tmp_path / "plain.py",
    ]
    ended = gan("run", *words, "--nproc", 2, "--out", tmp_path / "r")
    assert (ended.returncode, ended.stderr.count("error:")) == (1, 1)
    assert (
        "the generator's layer blocks.0 (BatchNorm2d) computes over the rows of one process"
        in ended.stderr
    )
    assert "its running_mean differs at step 1" in ended.stderr
    assert not (tmp_path / "r" / "checkpoints" / "step-000000004").exists()


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
    assert "no longer have the same weights at step 1: " in ended.stderr
    assert "of the critic differs" in ended.stderr
    assert gan(*words, "--out", tmp_path / "alone").returncode == 0
