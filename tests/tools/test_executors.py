"""A sweep is trained by any engine that is a `concurrent.futures.Executor`, on this machine or
another.
"""

import json
import socket
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import pytest
from support.plugin_shelf import Shelf

from gancore import GanError, PluginError, UsageError
from gancore.cli import executors
from gancore.recipe.toml import Layer, layer_of
from gancore.run.loop import Run
from gancore.tools import sweep

HERE = socket.gethostname()
WORDS = ["--data", "mixture", "--gen", "mlp", "--critic", "mlp-critic", "--batch", 4, "--steps", 3]
TINY = {
    "data": "mixture", "gen": "mlp", "critic": "mlp-critic", "run": {"steps": 3, "batch": 4, "log-every": 1},
    "mlp": {"hidden": [4]}, "mlp-critic": {"hidden": [4]},
}  # fmt: skip
THREADS = """
from concurrent.futures import ThreadPoolExecutor
def open_executor(address, jobs):
    print("address", address, "jobs", jobs)
    return ThreadPoolExecutor(jobs)
"""


@pytest.fixture
def trials(tmp_path):
    arms = sweep.arms_of_words(["adam.lr=1e-3,1e-4"], [layer_of("test", TINY)], Layer("words"))
    return sweep.plan_trials(arms, Layer("words"), 2, tmp_path / "s", lambda _: True)


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    made = Shelf(tmp_path / "site")
    monkeypatch.syspath_prepend(str(made.folder))
    yield made
    monkeypatch.undo()
    made.forget()


def publish(shelf, code, name="threads"):
    shelf.publish(
        code, name=name, entries=f"[gancore.executor]\n{name} = gan_{name}:open_executor\n"
    )


class Held(Executor):
    """An engine that begins nothing: its futures are settled by the test."""

    def __init__(self):
        self.futures = []

    def submit(self, work, /, *args, **more):
        self.futures.append(Future())
        return self.futures[-1]


# ── which engine ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_the_engine_process_is_the_one_that_is_taken_where_none_is_named(gan, tmp_path):
    for name, more in (("default", []), ("named", ["--executor", "process"])):
        gan(
            "sweep", "--vary", "batch=4", "--seeds", 1, "--out", name, *more, *WORDS[:6], *WORDS[8:]
        )
    assert figures(tmp_path / "default") == figures(tmp_path / "named")


def figures(folder):
    table = json.loads((folder / "sweep.json").read_text())["figures"]
    return {
        arm: {
            seed: {key: value for key, value in row.items() if key != "seconds/step"}
            for seed, row in seeds.items()
        }
        for arm, seeds in table.items()
    }


def test_a_published_engine_is_given_its_address_and_the_number_of_runs_at_once(
    gan_here, shelf, tmp_path
):
    publish(shelf, THREADS)
    words = ["--vary", "adam.lr=1e-3,1e-4", "--seeds", 1, "--jobs", 2, "--executor", "threads:a:b"]
    done = gan_here("sweep", *words, "--out", "s", *WORDS)
    assert "address a:b jobs 2" in done.stdout
    assert all(each["0"]["critic/total"] for each in figures(tmp_path / "s").values())


def test_an_engine_that_nobody_publishes_is_refused_before_anything_is_made(
    gan_here, shelf, tmp_path
):
    publish(shelf, THREADS)
    words = ["--vary", "batch=4", "--out", "s", "--executor", "thread:x", *WORDS[:6]]
    done = gan_here("sweep", *words, check=2)
    assert "no executor is called 'thread'" in done.stderr
    assert "did you mean threads?" in done.stderr
    assert "installed: process, " in done.stderr
    assert not (tmp_path / "s").exists()


def test_the_engine_process_has_no_address():
    with pytest.raises(UsageError, match="has no address"):
        executors.find_executor("process:4")


def test_an_engine_that_needs_what_is_not_installed_says_what_to_install(shelf):
    publish(shelf, "import not_there\n" + THREADS)
    with pytest.raises(PluginError, match="threads cannot be imported") as told:
        executors.find_executor("threads")
    assert told.value.fix == "pip install not_there"


def test_an_engine_that_opens_no_executor_is_refused_by_name(shelf):
    publish(
        shelf,
        "from contextlib import nullcontext\ndef open_executor(address, jobs): return nullcontext(3)\n",
    )
    with pytest.raises(
        PluginError, match=r"threads yields 3 instead of a concurrent\.futures\.Executor"
    ):
        executors.find_executor("threads")(1).__enter__()


# ── what an engine is given ───────────────────────────────────────────────────────────────────────


def test_no_more_runs_are_given_to_an_engine_than_are_trained_at_once(trials):
    engine = Held()
    outcomes = sweep.train_all(trials, engine, jobs=2)
    asking = ThreadPoolExecutor(1).submit(next, outcomes)
    while len(engine.futures) < 2:
        time.sleep(0.01)
    assert len(engine.futures) == 2
    engine.futures[1].set_result("no reason")
    assert asking.result() == (trials[1], "no reason")
    engine.futures[0].set_result("none either")
    assert next(outcomes) == (trials[0], "none either")
    assert len(engine.futures) == 3
    outcomes.close()


def test_what_an_engine_was_given_is_cancelled_when_nobody_asks_any_more(trials):
    engine = Held()
    outcomes = sweep.train_all(trials, engine, jobs=4)
    asking = ThreadPoolExecutor(1).submit(next, outcomes)
    while len(engine.futures) < 4:
        time.sleep(0.01)
    engine.futures[0].set_result("no reason")
    asking.result()
    outcomes.close()
    assert [each.cancelled() for each in engine.futures] == [False, True, True, True]


def test_what_befalls_an_engine_is_told_of_the_run_that_it_befell_and_of_no_other(trials):
    class Moody(ThreadPoolExecutor):
        def submit(self, work, /, *args, **more):
            number = len(begun)
            begun.append(args)
            if number == 0:
                raise RuntimeError("it is closed")
            if number < 3:
                return refused if number == 1 else cancelled
            return super().submit(work, *args, **more)

    begun, refused, cancelled = [], Future(), Future()
    refused.set_exception(GanError("the queue is full"))
    cancelled.cancel()
    cancelled.set_running_or_notify_cancel()
    with Moody(1) as engine:
        told = [failure for _, failure in sweep.train_all(trials, engine)]
    assert told == [
        "RuntimeError: it is closed",
        "the queue is full",
        "its executor cancelled it, and may be gone",
        "",
    ]


def test_an_engine_is_given_whole_paths(trials, tmp_path, monkeypatch):
    class Watched(ThreadPoolExecutor):
        def submit(self, work, /, folder, recipe):
            given.append(folder)
            return super().submit(lambda: "no reason")

    given = []
    monkeypatch.chdir(tmp_path)
    trial = sweep.Trial("a", 0, trials[0].folder.relative_to(tmp_path), trials[0].recipe)
    with Watched(1) as engine:
        list(sweep.train_all([trial], engine))
    assert given == [str(trials[0].folder)]


# ── another machine ───────────────────────────────────────────────────────────────────────────────


def test_a_machine_that_lacks_a_plugin_says_so_under_its_name(tmp_path):
    told = sweep.train_trial(str(tmp_path / "seed-0"), {**TINY, "gen": "only-elsewhere"})
    assert told == f"{HERE} cannot compose the run: no generator is called 'only-elsewhere'"
    assert not (tmp_path / "seed-0").exists()


def test_a_machine_that_does_not_share_the_folder_says_so_under_its_name(tmp_path):
    folder = tmp_path / "not-mounted" / "seed-0"
    assert (
        sweep.train_trial(str(folder), TINY)
        == f"{HERE} sees no folder {folder.parent}: all machines must share it"
    )
    assert not folder.parent.exists()


def test_a_run_that_was_trained_where_it_cannot_be_seen_has_failed(trials, tmp_path):
    class Elsewhere(ThreadPoolExecutor):
        def submit(self, work, /, folder, recipe):
            return super().submit(work, str(tmp_path / "elsewhere"), recipe)

    with Elsewhere(1) as engine:
        ((_, told),) = sweep.train_all(trials[:1], engine)
    assert (
        told
        == f"{trials[0].folder} was trained but is not visible here: all machines must share it"
    )
    assert (tmp_path / "elsewhere" / "samples" / "final.png").exists()


def test_runs_that_share_a_process_are_trained_one_after_another(trials, monkeypatch):
    class Watched(Run):
        def fit(self, **how):
            under_way.append(self)
            together.append(len(under_way))
            time.sleep(0.2)  # for others to come in
            done = super().fit(**how)
            under_way.remove(self)
            return done

    under_way, together = [], []
    monkeypatch.setattr("gancore.tools.sweep.worker.Run", Watched)
    with ThreadPoolExecutor(3) as engine:
        assert [told for _, told in sweep.train_all(trials, engine, jobs=3)] == [""] * 4
    assert together == [1, 1, 1, 1]
