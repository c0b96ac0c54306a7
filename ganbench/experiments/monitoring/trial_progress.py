"""The progress of a trial, computed from its events."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ganbench.experiments.plan_names import join_names
from ganbench.experiments.store import TrialFolder


@dataclass(kw_only=True)
class TrialProgress:
    """The progress of one trial of a run."""

    label: str = ""
    folder: TrialFolder | None = None
    protocol: str = ""  # identity of the plan's protocol on the data set; workers need none
    state: str = "waiting"  # waiting, running, or an outcome
    reason: str = ""
    step: int = 0
    progress: float = 0.0  # share of the budget that is spent
    rate: float = 0.0  # training images per second
    fid: float | None = None
    measuring: bool = False
    began: float = 0.0  # time at which its attempt began, in seconds since the epoch
    resumed: float | None = None  # the attempt's first progress, above 0 after a checkpoint
    attempt: int = 0  # number of the attempt that was last read

    @property
    def has_ended(self) -> bool:
        return self.state not in ("waiting", "running")

    def begin_attempt(self, began: float) -> None:
        """Forgets what only an earlier attempt has shown; its last numbers stay until new ones."""
        self.began, self.resumed, self.measuring = began, None, False

    def update(self, event: Mapping[str, Any]) -> None:
        """Updates the progress from an event; keeps the values that the event lacks."""
        if self.resumed is None:
            self.resumed = event.get("progress")
        self.step = event.get("step", self.step)
        self.progress = event.get("progress", self.progress)
        self.rate = event.get("rate", self.rate)
        self.fid = event.get("fid", self.fid)
        self.measuring = event.get("measuring", self.measuring)

    def seconds_left(self) -> float | None:
        """Returns the remaining seconds of training at the current rate, or None if unknown."""
        gained = 0.0 if self.resumed is None else self.progress - self.resumed
        if gained <= 0:
            return None
        return (time.time() - self.began) / gained * (1 - self.progress)


def format_trial_label(cell: Mapping[str, Any], role: str) -> str:
    """Returns a label like `digits / dcgan / hinge / r1 / lr=0.001 / seed 0`."""
    tricks = cell["tricks"] if role == "trial" else role
    parts = [cell["data"], cell["variant"], cell["loss"], tricks, cell["plan"]]
    return join_names([*parts, f"seed {cell['seed']}"])
