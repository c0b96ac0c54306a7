"""The Slurm executor submits trials as job arrays, by Facebook's library submitit.

A job that is preempted or reaches its time limit stops with checkpoints and requeues itself. Jobs outlive
this process: a run that is repeated waits for the trials that still run. `cluster="local"` runs the same
jobs on this machine, without Slurm.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

from ganbench.errors import GanbenchError, install_command

from .bundle import Bundle
from .remote import Carrier, ClusterLost, JobEnd, Remote, SubmissionRefused

DEFAULT_ARRAY_SIZE = 1001  # Slurm's own default of MaxArraySize
QUEUE_SECONDS = 5.0  # between two calls of squeue
SECONDS_TO_ANSWER = 300.0  # of squeue failing in a row, after which the cluster counts as lost
SECONDS_TO_APPEAR = 30.0  # of a new job in the queue
MIN_MINUTES = 5  # of which the last 1.5 are for checkpoints
MAX_TIMEOUTS = 1000  # requeues after time limits: a checkpoint makes progress each time


class SlurmNotFound(GanbenchError, RuntimeError):
    """Slurm or the package submitit is missing."""


@dataclass(frozen=True)
class Slurm(Remote):
    """Runs `trials` trials one after the other in each job of an array.

    `minutes`, `cpus`, `gpus` and `memory` (such as "8G") are those of a job. Trials that take longer
    continue in a requeued job.
    """

    jobs: int = 100
    minutes: int = 240
    cpus: int = 1
    gpus: int = 0
    memory: str = ""
    partition: str = ""
    account: str = ""
    qos: str = ""
    cluster: str = "slurm"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cluster not in ("slurm", "local"):
            raise ValueError(f"cluster is slurm or local, not {self.cluster!r}")
        if self.minutes < MIN_MINUTES or self.cpus < 1 or self.gpus < 0:
            raise ValueError(
                f"minutes must be at least {MIN_MINUTES}, cpus at least 1, and gpus at least 0"
            )

    def connect(self) -> Carrier:
        if find_spec("submitit") is None:
            raise SlurmNotFound(
                f"the executor slurm needs the package submitit: {install_command('slurm')}"
            )
        if self.cluster == "slurm" and not shutil.which("sbatch"):
            raise SlurmNotFound("the executor slurm needs Slurm: this machine has no sbatch")
        return SlurmCarrier(self)

    def job_parameters(self) -> dict[str, Any]:
        """Returns the parameters of a job as submitit names them."""
        named = {
            "slurm_mem": self.memory,
            "slurm_partition": self.partition,
            "slurm_account": self.account,
            "slurm_qos": self.qos,
            "gpus_per_node": self.gpus,
        }
        given = {key: value for key, value in named.items() if value}
        return {
            "name": "ganbench",
            "timeout_min": self.minutes,
            "cpus_per_task": self.cpus,
            **given,
        }


class SlurmCarrier:
    """Submits bundles as arrays, and reads from the queue which jobs have ended."""

    def __init__(self, executor: Slurm):
        self.executor = executor
        self.active: dict[str, tuple[Bundle, Any]] = {}  # by job id
        self.ended: dict[Bundle, JobEnd] = {}
        self.submitted: dict[str, float] = {}  # times by job id
        self.last_call = self.last_answer = time.monotonic()
        on_slurm = executor.cluster == "slurm"
        self.batch_size = read_array_size() if on_slurm else DEFAULT_ARRAY_SIZE
        self.list_jobs = list_queue if on_slurm else partial(list_processes, self.active)

    def submit(self, bundles: Sequence[Bundle]) -> None:
        """Submits one array of jobs; a refusal has Slurm's words."""
        import submitit

        executor = submitit.AutoExecutor(
            bundles[0].path.parent / "jobs",
            cluster=self.executor.cluster,
            **{f"{self.executor.cluster}_max_num_timeout": MAX_TIMEOUTS},
        )
        executor.update_parameters(**self.executor.job_parameters())
        try:
            with executor.batch():
                jobs = [executor.submit(BundleTask(str(bundle.path))) for bundle in bundles]
        except submitit.core.utils.FailedJobError as error:
            raise SubmissionRefused(f"Slurm refuses the jobs: {last_line(str(error))}") from None
        for bundle, job in zip(bundles, jobs, strict=True):
            self.active[job.job_id] = bundle, job
            self.submitted[job.job_id] = time.monotonic()

    def poll(self) -> dict[Bundle, JobEnd]:
        now = time.monotonic()
        if now - self.last_call > (QUEUE_SECONDS if self.executor.cluster == "slurm" else 0):
            self.last_call = now
            self.read_queue(now)
        return dict(self.ended)

    def read_queue(self, now: float) -> None:
        """Notes the jobs that have left the queue; raises ClusterLost after a long silence."""
        if (alive := self.list_jobs()) is None:
            if now - self.last_answer > SECONDS_TO_ANSWER:
                raise ClusterLost(
                    "Slurm's queue does not answer. Finished trials and checkpoints are kept"
                )
            return
        self.last_answer = now
        new = {name for name, began in self.submitted.items() if now - began < SECONDS_TO_APPEAR}
        for name in [n for n in self.active if n not in alive and not self.is_new(n, new)]:
            self.ended[self.active[name][0]] = JobEnd(self.describe_end(name))
            del self.active[name]

    def forget(self, bundle: Bundle) -> None:
        self.ended.pop(bundle, None)

    def is_new(self, name: str, new: set[str]) -> bool:
        """Returns whether Slurm may not list a job yet that has left no output."""
        return self.executor.cluster == "slurm" and name in new and not self.has_output(name)

    def has_output(self, name: str) -> bool:
        return self.active[name][0].log_path.exists()

    def describe_end(self, name: str) -> str:
        """Returns how Slurm ended a job, such as `OUT_OF_MEMORY`, if it still knows."""
        if self.executor.cluster == "local":
            return "its job ended"
        shown = call("scontrol", "show", "job", "--oneliner", name) or ""
        state = re.search(r"JobState=(\S+)", shown)
        return f"its Slurm job {name} ended as {state[1]}" if state else f"Slurm job {name} ended"

    def cancel_queued(self, not_begun: Sequence[Bundle]) -> None:
        """Cancels the jobs that wait, also those that were requeued; running ones stop alone."""
        if self.executor.cluster == "slurm" and self.active:
            call("scancel", "--state=PENDING", *self.active)

    def close(self) -> None:
        if self.executor.cluster == "slurm" and self.active:
            call("scancel", *self.active)
        elif self.executor.cluster == "local":
            for _, job in self.active.values():
                job.cancel()


class BundleTask:
    """Runs a bundle in a process of its own; submitit asks it for a checkpoint before the end."""

    def __init__(self, path: str):
        self.path = path
        self.process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        command = [sys.executable, "-m", "ganbench.experiments.executors.node_worker", self.path]
        self.process = subprocess.Popen(
            [*command, "--end-with-parent"], stdin=subprocess.PIPE, preexec_fn=ignore_preemption
        )
        self.wait()
        return self.process.wait()

    def checkpoint(self) -> Any:
        """Stops the process with checkpoints; returns the task that resumes from them."""
        from submitit.helpers import DelayedSubmission

        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.wait()
        return DelayedSubmission(BundleTask(self.path))

    def wait(self) -> None:
        """Waits for the process, holding no lock: `checkpoint` interrupts this as a signal."""
        assert self.process
        os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)


def ignore_preemption() -> None:
    """Ignores, also in all child processes, the signal that Slurm sends to a whole job.

    Only the process of submitit handles it.
    """
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def list_queue() -> set[str] | None:
    """Returns the ids of this user's jobs in Slurm's queue, or None if it does not answer."""
    listed = call("squeue", "--noheader", "--array", "--me", "--format=%i")
    return None if listed is None else set(listed.split())


def list_processes(active: dict[str, tuple[Bundle, Any]]) -> set[str]:
    """Returns the ids of the jobs that run on this machine without Slurm."""
    return {name for name, (_, job) in active.items() if not job.done()}


def read_array_size() -> int:
    """Returns the largest size of an array that this site allows."""
    shown = call("scontrol", "show", "config") or ""
    size = re.search(r"MaxArraySize\s*=\s*(\d+)", shown)
    return max(1, int(size[1]) - 1) if size else DEFAULT_ARRAY_SIZE


def call(*command: str) -> str | None:
    """Returns the output of a command, or None if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1]
