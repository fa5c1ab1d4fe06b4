"""Sweeps as jobs of Slurm or of this machine: `gan sweep … --executor submitit:FOLDER,…`."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any

from submitit import AutoExecutor, Job
from submitit.core.utils import FailedJobError, UncompletedJobError
from submitit.helpers import Checkpointable

from gancore import GanError, UsageError

FOLDER = "runs/submitit"  # job files and logs
A_DAY = 24 * 60  # minutes; submitit's default of a few minutes would end most runs
POLL_INTERVAL = 1.0  # seconds


def open_executor(address: str, jobs: int) -> SubmittedJobs:
    """Submit each run as a job; at most `jobs` are queued or running at once.

    The address is the folder of job files and logs, and parameters of submitit's AutoExecutor,
    separated by commas: `cluster` (`slurm`, `local`) and others such as `timeout_min=240` or
    `slurm_partition=gpu`. Raises UsageError for parameters that submitit rejects.
    """
    words = [word for word in address.split(",") if word]
    folders = [word for word in words if "=" not in word]
    parameters = {}
    for word in words:
        name, equals, text = word.partition("=")
        if equals:
            parameters[name] = _value(text)
    try:
        if len(folders) > 1:
            raise ValueError(f"{' and '.join(folders)} are two folders")
        engine = AutoExecutor(
            folders[0] if folders else FOLDER, cluster=parameters.pop("cluster", None)
        )
        engine.update_parameters(**{"name": "gan", "timeout_min": A_DAY, **parameters})
    except (AssertionError, NameError, OSError, RuntimeError, TypeError, ValueError) as error:
        what = f"submitit rejects the parameters: {_line(error, 0)}"
        fix = "submitit:FOLDER,cluster=slurm,timeout_min=240,slurm_partition=NAME"
        raise UsageError(what, where=f"--executor submitit:{address}", fix=fix) from error
    return SubmittedJobs(engine, jobs)


def _value(text: str) -> Any:
    try:
        return json.loads(text)  # a number, true or false
    except ValueError:
        return text


def _line(error: Exception, number: int) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[number]


class _Resumed(Checkpointable):
    """A call that is repeated after a preemption; the run resumes from its newest checkpoint."""

    def __call__(self, work: Callable[..., Any], *args: Any, **more: Any) -> Any:
        return work(*args, **more)


class SubmittedJobs(ThreadPoolExecutor):
    """An executor whose threads each wait for one job."""

    def __init__(self, engine: AutoExecutor, jobs: int) -> None:
        super().__init__(jobs)
        self.engine = engine
        self.submitting = threading.Lock()
        self.ended = threading.Event()

    def submit(self, work: Callable[..., Any], /, *args: Any, **more: Any) -> Future[Any]:
        """Submit a job as soon as fewer than `jobs` are queued or running."""
        return super().submit(self._carry_out, work, *args, **more)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for all jobs, or cancel them."""
        if not wait:
            self.ended.set()
        super().shutdown(wait, cancel_futures=cancel_futures)

    def _carry_out(self, work: Callable[..., Any], /, *args: Any, **more: Any) -> Any:
        job = self._submitted(work, *args, **more)
        try:
            while not job.done():
                if self.ended.wait(POLL_INTERVAL):
                    job.cancel(check=False)
                    raise CancelledError
            return job.result()
        except (FailedJobError, UncompletedJobError) as error:
            raise GanError(
                f"job {job.job_id} ended without a result; its log is {job.paths.stderr}"
            ) from error

    def _submitted(self, work: Callable[..., Any], /, *args: Any, **more: Any) -> Job[Any]:
        try:
            with self.submitting:
                return self.engine.submit(_Resumed(), work, *args, **more)
        except (FailedJobError, OSError) as error:
            raise GanError(f"the job was not accepted: {_line(error, -1)}") from error
