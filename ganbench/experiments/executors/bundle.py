"""Bundles: trials that a cluster runs as one job, as files that all machines see.

bundles/<run>/<number>.json     the trials, their limits, and how to run them
              <number>.jsonl    the outcome of each trial, as its worker recorded it
              <number>.log      the output of the worker
              stop              asks all workers of this run to stop with checkpoints
"""

import os
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ganbench.errors import GanbenchError
from ganbench.experiments.lease import Busy, Lease, latest_number, read_holder
from ganbench.experiments.trial import Trial
from ganbench.files import (
    CorruptFile,
    append_json_line,
    read_json,
    read_json_lines,
    write_json,
)

from .base import Job, JobStatus, TrialLimits

REPEAT_RUN = "repeat `ganbench run`"


@dataclass(eq=False)
class Bundle:
    """Trials that one job of a cluster runs."""

    path: Path
    statuses: Sequence[JobStatus]
    limits: TrialLimits
    submitted: float = 0.0  # by the monotonic clock of the runner

    @property
    def log_path(self) -> Path:
        return self.path.with_suffix(".log")

    @property
    def outcomes_path(self) -> Path:
        return self.path.with_suffix(".jsonl")

    @property
    def stop_path(self) -> Path:
        return self.path.with_name("stop")

    def write(self) -> None:
        """Writes the bundle for a worker."""
        job = self.statuses[0].job
        for status in self.statuses:
            status.assign()
        content = {
            "trials": [status.job.trial.to_json() for status in self.statuses],
            "metrics": job.metrics,
            "store": str(job.store.absolute()),
            "protocol": job.protocol,
            "limits": {"wall": self.limits.wall, "stall": self.limits.stall},
            "folder": os.getcwd(),
            "environment": {k: v for k, v in os.environ.items() if k.startswith("GANBENCH_")},
        }
        write_json(self.path, content)

    @classmethod
    def read(cls, path: Path, use_environment: bool = False) -> tuple[Self, dict[str, Any]]:
        """Returns a bundle, and the content of its file; raises CorruptFile.

        The environment of its runner names the local files that the ids of trials depend on.
        """
        content = read_json(path, remedy=REPEAT_RUN)
        if content is None:
            raise FileNotFoundError(f"{path} does not exist on this machine")
        try:
            if use_environment:
                os.environ.update(content["environment"])
            return cls.from_content(path, content), content
        except (KeyError, TypeError, ValueError) as error:
            reason = f"it is of another version: {type(error).__name__}: {error}"
            raise CorruptFile.at(path, reason, REPEAT_RUN) from error

    @classmethod
    def from_content(cls, path: Path, content: dict[str, Any]) -> Self:
        metrics, store = tuple(content["metrics"]), Path(content["store"])
        statuses = [
            JobStatus(Job(Trial.from_json(text), metrics, store, content["protocol"]))
            for text in content["trials"]
        ]
        return cls(path, statuses, TrialLimits(**content["limits"]))

    def append_outcome(self, status: JobStatus) -> None:
        """Appends an outcome, unless the bundle was deleted: its runner was killed."""
        if not self.path.parent.exists():
            return
        append_json_line(
            self.outcomes_path,
            trial=status.job.trial.id,
            state=status.state,
            reason=status.reason,
        )

    def read_outcomes(self) -> dict[str, tuple[str, str]]:
        """Returns the last outcome and reason of each trial that has one."""
        lines = read_json_lines(self.outcomes_path)
        return {
            line["trial"]: (line["state"], line["reason"])
            for line in lines
            if isinstance(line.get("trial"), str)
        }

    def read_last_output(self, max_bytes: int = 4000) -> str:
        """Returns the last output of the worker, or of its job if no worker has started."""
        logs: list[Path] = []
        with suppress(OSError):  # a network disk may fail for a while
            logs = sorted(
                self.path.parent.glob("jobs/*.err"), key=lambda path: path.stat().st_mtime
            )
        for path in (self.log_path, *logs[-1:]):
            with suppress(OSError):
                if text := path.read_bytes()[-max_bytes:].decode(errors="replace").strip():
                    return text
        return ""


def make_run_folder(store: Path) -> tuple[Path, Lease]:
    """Returns a new folder for the bundles of this run, and the lease that protects it."""
    folder = store.absolute() / "bundles" / f"{time.time_ns():x}-{os.getpid()}"
    return folder, Lease.acquire(folder)


def sweep_run_folders(store: Path) -> None:
    """Deletes the bundles of killed runs, once no worker has one of their trials.

    Their jobs that still wait in a queue then end at once.
    """
    for folder in (store.absolute() / "bundles").glob("*-*"):
        if latest_number(folder) and not is_any_held(folder):
            delete_if_free(folder)
    with suppress(OSError):  # it holds the bundles of another run, or does not exist
        (store.absolute() / "bundles").rmdir()


def delete_if_free(folder: Path) -> None:
    """Deletes the bundles of a run, unless it is alive."""
    with suppress(Busy):
        lease = Lease.acquire(folder)
        shutil.rmtree(folder, ignore_errors=True)
        lease.release()


def is_any_held(folder: Path) -> bool:
    """Returns whether a worker has a trial of the bundles in a folder."""
    for path in folder.glob("*.json"):
        with suppress(FileNotFoundError, GanbenchError):  # deleted, or of another version
            bundle, _ = Bundle.read(path)
            if any(read_holder(status.job.folder.folder) for status in bundle.statuses):
                return True
    return False
