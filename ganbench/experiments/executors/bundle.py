"""Bundles: trials that a cluster runs as one job, as files that all machines see.

bundles/<run>/<number>.json     the trials, their limits, and how to run them
              <number>.jsonl    the outcome of each trial, as its worker recorded it
              <number>.log      the output of the worker
              stop              asks all workers of this run to stop with checkpoints
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ganbench.experiments.trial import Trial
from ganbench.files import append_json_line, read_json, read_json_lines, write_json

from .base import Job, JobStatus, TrialLimits

FINAL_OUTCOMES = ("done", "diverged", "failed")


@dataclass(eq=False)
class Bundle:
    """Trials that one job of a cluster runs."""

    path: Path
    statuses: Sequence[JobStatus]
    limits: TrialLimits

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
    def read(cls, path: Path) -> tuple[Self, dict[str, Any]]:
        """Returns a bundle, and the content of its file; raises CorruptFile."""
        content = read_json(path, remedy="repeat `ganbench run`")
        if content is None:
            raise FileNotFoundError(f"{path} does not exist on this machine")
        metrics, store = tuple(content["metrics"]), Path(content["store"])
        statuses = [
            JobStatus(Job(Trial.from_json(text), metrics, store, content["protocol"]))
            for text in content["trials"]
        ]
        limits = TrialLimits(**content["limits"])
        return cls(path, statuses, limits), content

    def append_outcome(self, status: JobStatus) -> None:
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

    def read_log_end(self, max_bytes: int = 4000) -> str:
        try:
            return self.log_path.read_bytes()[-max_bytes:].decode(errors="replace")
        except OSError:
            return ""


def make_run_folder(store: Path) -> Path:
    """Returns a new folder for the bundles of this run."""
    folder = store.absolute() / "bundles" / f"{time.time_ns():x}-{os.getpid()}"
    folder.mkdir(parents=True)
    return folder
