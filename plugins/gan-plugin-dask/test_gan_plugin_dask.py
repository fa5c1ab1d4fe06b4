"""Facts about sweeps on a Dask cluster, in real processes."""

import json
import logging
import os
import subprocess
import sys
import time
from textwrap import dedent

import pytest
from distributed import LocalCluster
from support.tables import every_row

import gan_plugin_dask
from gan_plugin_dask import open_executor
from gancore import GanError, UsageError

TINY = [
    "--data", "mixture", "--gen", "mlp", "--critic", "mlp-critic", "--batch", "4", "--steps", "3",
    "--seeds", "1",
]  # fmt: skip
# A cluster in threads of this process: what it leaves to the collector is no fault of ours.
THREADS = {"processes": False, "n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}
collected = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)


def sweep(folder, executor, *words, **environment):
    """Run `gan sweep` in a real process; return its figures, without the one that is a time, and
    its failures.
    """
    command = [
        sys.executable,
        "-m",
        "gancore",
        "sweep",
        *TINY,
        *words,
        "--out",
        executor.partition(":")[0],
    ]
    done = subprocess.run(
        [*command, "--executor", executor],
        capture_output=True, text=True, cwd=folder, env={**os.environ, **environment}, timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    table = json.loads((folder / executor.partition(":")[0] / "sweep.json").read_text())
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
def test_a_sweep_on_a_local_cluster_has_the_figures_of_one_in_processes(tmp_path):
    vary = ["--vary", "adam.lr=1e-3,1e-4", "--jobs", "2"]
    figures, failures = sweep(tmp_path, "dask:local", *vary)
    assert len(figures) == 2
    assert all(figures.values())
    assert (figures, failures) == sweep(tmp_path, "process", *vary)


@pytest.mark.slow
def test_a_run_whose_worker_dies_has_failed_with_the_reason_and_the_others_go_on(tmp_path):
    (tmp_path / "die.py").write_text(
        dedent('''\
        """Die."""
        import os, signal
        from gancore import component, hookimpl, option

        @component(source="a test")
        class Die:
            """End the process at its second step."""

            deadly: bool = option(False, help="whether")

            @hookimpl
            def before_step(self, step):
                if self.deadly and step == 1:
                    os.kill(os.getpid(), signal.SIGKILL)
        ''')
    )
    words = ["--reg", "./die.py", "--vary", "die.deadly=true,false"]
    figures, failures = sweep(
        tmp_path, "dask:local", *words, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0"
    )
    (failure,) = failures.values()
    assert "all those workers died while running it" in failure
    assert not figures["die.deadly=true"]
    assert figures["die.deadly=false"]


@every_row(
    ("address", "why"),
    [
        ("", "missing port"),
        ("host", "missing port"),
        ("foo://host:1", "scheme 'foo'"),
        ("tcp://127.0.0.1:1", ""),
    ],
)
def test_an_address_where_no_scheduler_answers_is_refused(address, why, monkeypatch):
    monkeypatch.setattr(gan_plugin_dask, "CONNECT_TIMEOUT", 0.5)
    with pytest.raises(UsageError, match=f"no Dask scheduler answers: .*{why}") as told:
        open_executor(address, 1).__enter__()
    assert told.value.where == f"--executor dask:{address}"
    assert "dask:local" in told.value.fix


@collected
def test_what_a_worker_returns_or_raises_is_what_its_future_holds():
    with LocalCluster(**THREADS) as cluster, open_executor(cluster.scheduler_address, 1) as workers:
        assert workers.submit(divmod, 7, 2).result() == (3, 1)
        with pytest.raises(ZeroDivisionError):
            workers.submit(divmod, 7, 0).result()


@collected
def test_nothing_is_given_to_a_scheduler_that_is_gone(caplog):
    caplog.set_level(logging.CRITICAL, "distributed")
    cluster = LocalCluster(**THREADS)
    with open_executor(cluster.scheduler_address, 1) as workers:
        workers.submit(divmod, 7, 2).result()
        cluster.close()
        while workers._client.status == "running":
            time.sleep(0.05)
        with pytest.raises(GanError, match="the Dask scheduler is gone"):
            workers.submit(divmod, 7, 2)
