"""Sight: how far a trial is, as its events tell whoever looks."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ganbench.experiments.store import TrialFolder


@dataclass(kw_only=True)
class TrialProgress:
    """What is seen of one trial of a run."""

    label: str = ""
    folder: TrialFolder | None = None
    state: str = "waiting"  # waiting, running, or an outcome
    reason: str = ""
    step: int = 0
    progress: float = 0.0  # the share of its budget that is spent
    rate: float = 0.0  # training images a second
    fid: float | None = None
    measuring: bool = False
    began: float = 0.0  # when it was first seen to run, in seconds since the epoch
    resumed: float | None = None  # its progress then: a trial may go on from a checkpoint

    @property
    def has_ended(self) -> bool:
        return self.state not in ("waiting", "running")

    def update(self, event: Mapping[str, Any]) -> None:
        """Takes in an event; what that does not tell stays as it was."""
        if self.resumed is None:
            self.resumed = event.get("progress")
        self.step = event.get("step", self.step)
        self.progress = event.get("progress", self.progress)
        self.rate = event.get("rate", self.rate)
        self.fid = event.get("fid", self.fid)
        self.measuring = event.get("measuring", self.measuring)

    def seconds_left(self) -> float | None:
        """Seconds of training that are left if it goes on like this; None while nobody can tell."""
        gained = self.progress - (self.resumed or 0.0)
        if gained <= 0:
            return None
        return (time.time() - self.began) / gained * (1 - self.progress)


def format_trial_label(cell: Mapping[str, Any], role: str) -> str:
    """`digits / dcgan / hinge / r1 / lr=0.001 / seed 0`, by what a plan says of a trial."""
    tricks = cell["tricks"] if role == "trial" else role
    parts = [cell["data"], cell["variant"], cell["loss"], tricks, cell["plan"]]
    return " / ".join([*filter(None, parts), f"seed {cell['seed']}"])
