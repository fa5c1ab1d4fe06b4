"""Whatever happens to the process, the disk or the power while a run is saved, what was finished
stays.
"""

import contextlib
import errno
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from support.fault_injection_disk import (
    CrashError,
    Disk,
    Folder,
    power_cuts,
    snapshot,
    use_channels_last,
)
from support.paths import TESTS

from gancore import CheckpointError
from gancore.run import atomic, directory
from gancore.run.checkpoint import reader, writer
from gancore.testing import assert_equal


@pytest.fixture
def fast(monkeypatch):
    """Let nothing wait for the real disk: the tests with this say themselves what is lost."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def swift(fast, tmp_path_factory):
    """Return a folder in memory, where there is one."""
    if not os.path.isdir("/dev/shm"):
        yield tmp_path_factory.mktemp("swift")
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


@pytest.fixture
def old(swift):
    """A folder with a checkpoint of step 1, and with what two crashed saves left behind."""
    folder = swift / "old" / "checkpoints"
    folder.parent.mkdir()
    writer.write(folder, snapshot(1), {})
    use_channels_last({"state.json": b"{"}, folder / ".tmp-step-000000002-1-abcdef12")
    use_channels_last({"state.json": b"{}"}, folder / ".trash-step-000000000-abcdef12")
    (folder / ".latest.tmp").write_bytes(b"step-")
    return folder


def save(folder, step=2):
    """Save and prune as a run does that keeps one checkpoint."""
    writer.write(folder, snapshot(step), {})
    writer.prune(folder, 1)


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def step_that_loads(folder):
    """Return the step of the newest checkpoint that verifies, having compared every bit with what
    was saved.
    """
    found, _ = reader.newest(folder)
    assert found is not None
    assert_equal(found.snapshot, snapshot(found.snapshot.state["step"]))
    return found.snapshot.state["step"]


# ── the fault layer: the n-th operation, for all n ────────────────────────────────────────────────


def faulty_saves(old, monkeypatch, kind, for_good=False):
    """Yield a fresh folder after a save whose n-th operation failed, with whether it claimed to
    succeed, for all n.
    """
    for n in range(1, 1000):
        folder = old.parent.parent / f"{n}" / "checkpoints"
        shutil.copytree(old.parent, folder.parent)
        disk, claimed = Disk(folder, monkeypatch, n, kind, for_good), False
        with disk.watched(), contextlib.suppress(CheckpointError, CrashError):
            save(folder)
            claimed = True
        yield folder, claimed
        shutil.rmtree(folder.parent)
        if disk.count < n:
            assert claimed
            assert n > 40  # operations of one save: the layer has seen them
            return
    raise AssertionError("a save never ends")


@pytest.mark.parametrize(
    ("kind", "for_good"),
    [
        pytest.param("crash", False, id="crash"),
        pytest.param("ENOSPC", False, id="ENOSPC-once"),
        pytest.param("ENOSPC", True, id="ENOSPC-for-good"),
        pytest.param("EIO", False, id="EIO-once"),
        pytest.param("EIO", True, id="EIO-for-good"),
        pytest.param("EDQUOT", True, id="EDQUOT-for-good", marks=pytest.mark.slow),
    ],
)
def test_whichever_operation_of_a_save_fails_the_old_or_the_new_state_loads(
    old, monkeypatch, kind, for_good
):
    for folder, claimed in faulty_saves(old, monkeypatch, kind, for_good):
        assert step_that_loads(folder) in ((2,) if claimed else (1, 2))
        save(folder, 3)
        assert left(folder) == ["latest", "step-000000003"]
        assert step_that_loads(folder) == 3


def test_a_save_that_fails_once_takes_its_temporary_folder_away(old, monkeypatch):
    for folder, _ in faulty_saves(old, monkeypatch, "ENOSPC"):
        assert not [
            name
            for name in left(folder)
            if name.startswith(".tmp-step-000000002") and "abcdef12" not in name
        ]


@pytest.mark.parametrize("kind", ["crash", "ENOSPC", "EIO"])
def test_whichever_operation_fails_a_damaged_checkpoint_of_that_step_costs_none(
    old, monkeypatch, kind
):
    writer.write(old, snapshot(2), {})
    (old / "step-000000002" / "state.json").write_bytes(b"{}")
    for folder, claimed in faulty_saves(old, monkeypatch, kind):
        assert step_that_loads(folder) in ((2,) if claimed else (1, 2))


@pytest.mark.parametrize("kind", ["crash", "ENOSPC", "EIO"])
def test_whichever_operation_fails_a_replaced_file_is_the_old_or_the_new(
    fast, tmp_path, monkeypatch, kind
):
    path = tmp_path / "recipe.toml"
    for n in range(1, 20):
        path.write_bytes(b"old")
        disk = Disk(tmp_path, monkeypatch, n, kind)
        with disk.watched(), contextlib.suppress(OSError, CrashError):
            atomic.replace(path, b"new content")
        assert path.read_bytes() in (b"old", b"new content")
        if kind != "crash":
            assert left(tmp_path) == ["recipe.toml"]
        if disk.count < n:
            break
    assert n > 5
    assert path.read_bytes() == b"new content"


# ── the power is cut ──────────────────────────────────────────────────────────────────────────────


def recorded(folder, monkeypatch):
    """Save under watch; return the trace and the number of operations after which the new
    checkpoint was written.
    """
    disk = Disk(folder, monkeypatch)
    with disk.watched():
        writer.write(folder, snapshot(2), {})
        written = len(disk.trace)
        writer.prune(folder, 1)
    return disk.trace, written


def check_every_power_cut(old, swift, monkeypatch):
    model = Folder.of(old)
    trace, written = recorded(old, monkeypatch)
    seen = set()
    for place in range(len(trace) + 1):
        for content in power_cuts(model):
            if (repr(content), place >= written) not in seen:
                seen.add((repr(content), place >= written))
                folder = swift / "cut"
                use_channels_last(content, folder)
                assert step_that_loads(folder) in ((2,) if place >= written else (1, 2)), trace[
                    :place
                ]
                shutil.rmtree(folder)
        if place < len(trace):
            model.do(*trace[place])
    return len(seen)


def test_wherever_the_power_is_cut_a_finished_checkpoint_loads(old, swift, monkeypatch):
    assert check_every_power_cut(old, swift, monkeypatch) > 40


def test_wherever_the_power_is_cut_over_a_damaged_checkpoint_a_finished_one_loads(
    old, swift, monkeypatch
):
    writer.write(old, snapshot(2), {})
    (old / "step-000000002" / "state.json").write_bytes(b"{}")
    assert check_every_power_cut(old, swift, monkeypatch) > 40


@pytest.mark.parametrize("forgotten", ["sync_folder", "write_new"])
def test_the_power_cut_would_tell_of_a_save_that_does_not_sync(old, swift, monkeypatch, forgotten):
    lazy = {"sync_folder": lambda folder: None, "write_new": write_unsynced}
    monkeypatch.setattr(atomic, forgotten, lazy[forgotten])
    with pytest.raises(AssertionError):
        check_every_power_cut(old, swift, monkeypatch)


def write_unsynced(path, content):
    descriptor = os.open(path, atomic.NEW)
    atomic.append(descriptor, content)
    os.close(descriptor)


# ── real disks ────────────────────────────────────────────────────────────────────────────────────


def python(code, *words):
    """Run code in a process of its own, with the tests' modules at hand; return what it printed."""
    head = f"import sys; sys.path.insert(0, {str(TESTS)!r}); from gancore import *\n"
    head += "from support.fault_injection_disk import snapshot\n"
    head += "from gancore.run.checkpoint import reader, writer; from pathlib import Path; import os, random, signal, time\n"
    done = subprocess.run(
        [sys.executable, "-c", head + code, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_limit_on_the_size_of_files_costs_no_checkpoint_EFBIG(old):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400, before[1]))
    try:
        with pytest.raises(CheckpointError, match="step 2 was not saved: File too large"):
            writer.write(old, snapshot(2), {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert step_that_loads(old) == 1
    assert left(old) == ["latest", "step-000000001"]


@pytest.mark.slow
def test_a_small_disk_that_is_full_tells_what_was_needed_and_free_ENOSPC(tmp_path):
    code = f"""
import sys; sys.path.insert(0, {str(TESTS)!r})
import torch
from support.fault_injection_disk import snapshot
from attrs import evolve
from gancore import CheckpointError
from gancore.run.checkpoint import reader, writer
from pathlib import Path
folder, step = Path(sys.argv[1]), 0
try:
    while True:
        step += 1
        made = snapshot(step)
        large = {{**made.files, "critic": {{"weight": torch.zeros(300_000)}}}}
        writer.write(folder, evolve(made, files=large), {{}})
except CheckpointError as error:
    print(step, error)
print(reader.newest(folder)[0].snapshot.state["step"])
"""
    (tmp_path / "small").mkdir()
    (tmp_path / "fill.py").write_text(code)
    shell = 'mount -t tmpfs -o size=4m tmpfs "$1" || exit 77; exec "$2" "$3" "$1"'  # gone with the process's own mounts
    words = [
        "unshare",
        "-m",
        "sh",
        "-c",
        shell,
        "_",
        tmp_path / "small",
        sys.executable,
        tmp_path / "fill.py",
    ]
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here, so no disk of our own can be mounted")
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    if done.returncode != 0 and "Traceback" not in done.stderr:
        pytest.skip(f"no disk of our own can be mounted here: {done.stderr.strip()}")
    assert "No space left on device (need 1.2 MB, 0." in done.stdout, done.stderr
    assert done.stdout.splitlines()[-1] == "3"


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_an_fsync_that_fails_is_told_and_not_asked_again_of_the_same_file(old, monkeypatch, number):
    asked = []

    def fail(descriptor):
        asked.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        raise OSError(number, os.strerror(number))

    shutil.rmtree(old / ".trash-step-000000000-abcdef12")
    shutil.rmtree(old / ".tmp-step-000000002-1-abcdef12")
    (old / ".latest.tmp").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(CheckpointError, match=f"step 2 was not saved: {os.strerror(number)}"):
            writer.write(old, snapshot(2), {})
    assert len(asked) == 1
    assert left(old) == ["latest", "step-000000001"]


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="step 1 was not saved: Not a directory"):
        writer.write(tmp_path / "file" / "checkpoints", snapshot(1), {})


@pytest.mark.parametrize("out", ["file/run", "file/deep/run"])
def test_a_run_below_a_file_is_refused_before_anything_is_built(
    gan_here, tmp_path, out, monkeypatch
):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(
        "gancore.run.session.open_data_of", lambda composition: pytest.fail("the data was opened")
    )
    assert "cannot be made" in gan_here("run", "--out", out, check=2).stderr
    assert left(tmp_path) == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_run_in_a_folder_that_may_not_be_written_is_refused(gan_here, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    assert (
        "cannot be made: Permission denied"
        in gan_here("run", "--out", "closed/run", check=2).stderr
    )


def test_a_run_is_refused_before_anything_is_built_where_the_disk_takes_no_file(
    tmp_path, monkeypatch
):
    with (
        Disk(tmp_path, monkeypatch, 2, "EROFS").watched(),
        pytest.raises(Exception, match="Read-only") as raised,
    ):
        directory.probe(tmp_path / "run")
    assert raised.value.exit_code == 2
    assert left(tmp_path) == []


# ── other processes ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kills", [pytest.param(8), pytest.param(40, marks=pytest.mark.slow)])
def test_a_process_killed_at_random_instants_of_its_saves_leaves_one_that_loads(swift, kills):
    code = """
from gancore.testing import assert_equal
folder, dice, last = Path(sys.argv[1]), random.Random(1), 0
for kill in range(int(sys.argv[2])):
    child = os.fork()
    if not child:
        for step in range(last + 1, last + 100_000):
            writer.write(folder, snapshot(step), {})
            writer.prune(folder, 1)
    while not writer.steps(folder):
        time.sleep(0.001)
    time.sleep(dice.uniform(0, 0.2))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    found, _ = reader.newest(folder)
    assert found.snapshot.state["step"] >= last
    last = found.snapshot.state["step"]
    assert_equal(found.snapshot, snapshot(last))
print(last)
"""
    folder = swift / "checkpoints"
    assert int(python(code, folder, kills)) > kills
    save(folder, 1_000_000)
    assert left(folder) == ["latest", "step-001000000"]


def test_a_reader_always_finds_a_checkpoint_though_each_save_prunes_the_one_before(tmp_path):
    folder, ended = tmp_path / "checkpoints", threading.Event()
    save(folder, 1)

    def train():
        for step in range(2, 60):
            save(folder, step)
        ended.set()

    writer = threading.Thread(target=train)
    writer.start()
    seen = []
    while not ended.is_set():
        found, warnings = reader.newest(folder)
        assert found is not None
        assert warnings == []
        seen.append(found.snapshot.state["step"])
    writer.join()
    assert seen == sorted(seen)
    assert len(set(seen)) > 1
