"""Facts about sweeps as jobs: those of this machine, which submitit begins as it begins Slurm's."""

import gc
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import CancelledError

import pytest
from submitit import Job
from support.tables import every_row

from gan_plugin_submitit import open_executor
from gancore import GanError, UsageError

TINY = [
    "--data", "mixture", "--gen", "mlp", "--critic", "mlp-critic", "--batch", "4", "--steps", "3",
    "--seeds", "1",
]  # fmt: skip


@pytest.fixture
def jobs(tmp_path):
    with open_executor(f"{tmp_path / 'jobs'},cluster=local", 1) as opened:
        yield opened


def sweep(folder, executor):
    """Run `gan sweep` in a real process; return its figures, without the one that is a time, and
    its failures.
    """
    out = executor.partition(":")[0]
    words = ["--vary", "adam.lr=1e-3,1e-4", "--jobs", "2", "--out", out, "--executor", executor]
    command = [sys.executable, "-m", "gancore", "sweep", *TINY, *words]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=folder, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    table = json.loads((folder / out / "sweep.json").read_text())
    figures = {
        arm: {
            key: value
            for row in seeds.values()
            for key, value in row.items()
            if key != "seconds/step"
        }
        for arm, seeds in table["figures"].items()
    }
    return figures, table["failures"]


@pytest.mark.slow
def test_a_sweep_as_jobs_has_the_figures_of_one_in_processes(tmp_path):
    figures, failures = sweep(tmp_path, "submitit:jobs,cluster=local")
    assert len(figures) == 2
    assert all(figures.values())
    assert (figures, failures) == sweep(tmp_path, "process")
    assert len(list((tmp_path / "jobs").glob("*_log.out"))) == 2


def test_what_a_job_returns_is_what_its_future_holds(jobs):
    assert jobs.submit(divmod, 7, 2).result() == (3, 1)


@pytest.mark.parametrize(("work", "given"), [(os._exit, 3), (divmod, "x")], ids=["dies", "raises"])
def test_a_job_that_ends_without_a_result_names_its_log(jobs, work, given, monkeypatch):
    # seconds that a slow drive is given to show the result
    monkeypatch.setattr(Job, "_results_timeout_s", 0)
    with pytest.raises(GanError, match=r"job \d+ ended without a result; its log is .*_log\.err"):
        jobs.submit(work, given).result()


def test_a_job_that_loses_its_place_is_begun_again(jobs, tmp_path):
    def work(place):
        import os
        import time
        from pathlib import Path

        if Path(place).exists():
            return "begun twice"
        Path(place).write_text(str(os.getpid()))
        time.sleep(300)
        return "begun once"

    place = tmp_path / "process"
    told = jobs.submit(work, str(place))
    os.kill(number_in(place), signal.SIGUSR2)  # as Slurm tells it
    assert told.result() == "begun twice"


# submitit leaves its process unreaped
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.skipif(
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN, reason="jobs inherit that SIGINT is ignored"
)
def test_jobs_that_are_not_waited_for_are_cancelled(jobs, tmp_path):
    def work(place):
        import os
        import time
        from pathlib import Path

        Path(place).write_text(str(os.getpid()))
        time.sleep(300)

    place = tmp_path / "process"
    told, waiting = jobs.submit(work, str(place)), jobs.submit(work, str(place))
    process = number_in(place)
    waiting.cancel()
    jobs.shutdown(wait=False)
    with pytest.raises(CancelledError):
        told.result()
    while is_alive(process):  # the suite's own limit ends a test that hangs
        time.sleep(0.1)
    del told  # which holds the job
    gc.collect()


def number_in(path):
    while not path.exists() or not path.read_text():
        time.sleep(0.1)
    return int(path.read_text())


def is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@every_row(
    ("words", "why"),
    [
        ("a,b", "a and b are two folders"),
        ("cluster=pbs", "any executor named pbs"),
        ("cluster=local,timeout_min=soon", "timeout_min.*soon"),
        ("cluster=local,queue=gpu", "'queue' need to be prefixed"),
        ("cluster=local,slurm_partitions=gpu", "Unknown argument 'partitions'"),
    ],
)
def test_what_submitit_does_not_take_is_refused(words, why, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=why) as told:
        open_executor(words, 1)
    assert told.value.where == f"--executor submitit:{words}"


@pytest.mark.parametrize(
    ("words", "minutes"),
    [("", 1440), (",timeout_min=5", 5), (",timeout_min=5,slurm_partition=gpu", 5)],
)
def test_a_job_may_take_a_day_or_what_is_given(words, minutes, tmp_path):
    with open_executor(f"{tmp_path},cluster=local{words}", 1) as opened:
        assert opened.engine._executor.parameters["timeout_min"] == minutes
