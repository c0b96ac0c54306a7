"""Weights & Biases: one run per trial, in a project with the suite's name.

With `WANDB_MODE=offline`, it only writes local files.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .base import TrackedTrial, Tracker, import_tracker_package


class Wandb(Tracker):
    def __init__(self, project: str = ""):
        self.project = project
        self.runs: dict[str, Any] = {}

    def open(self, suite: str, folder: Path) -> None:
        self.module = import_tracker_package("wandb", "wandb")
        self.suite, self.folder = suite, folder

    def begin(self, trial: TrackedTrial) -> None:
        self.runs[trial.id] = self.module.init(
            project=self.project or self.suite,
            name=trial.label,
            id=trial.id,
            dir=str(self.folder),
            config=dict(trial.settings),
            resume="allow",
            reinit="create_new",
        )

    def log(self, trial: TrackedTrial, step: int, values: Mapping[str, float]) -> None:
        self.runs[trial.id].log(dict(values), step=step)

    def end(
        self, trial: TrackedTrial, outcome: str, values: Mapping[str, float], picture: Path
    ) -> None:
        run = self.runs.pop(trial.id)
        run.summary.update({"outcome": outcome} | {f"final/{k}": v for k, v in values.items()})
        if picture.exists():
            run.log({"samples": self.module.Image(str(picture))})
        run.finish(exit_code=0 if outcome == "done" else 1)

    def close(self) -> None:
        for run in self.runs.values():
            run.finish(exit_code=1)
        self.runs.clear()
