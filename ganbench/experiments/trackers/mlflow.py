"""MLflow: one run per trial, in an experiment with the suite's name.

By default, the database is `mlflow.db` in the suite's folder.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .base import TrackedTrial, Tracker, import_tracker_package

MAX_PARAMETER_CHARACTERS = 500  # MLflow's limit for the value of a parameter


class MLflow(Tracker):
    def __init__(self, uri: str = ""):
        self.uri = uri
        self.runs: dict[str, str] = {}

    def open(self, suite: str, folder: Path) -> None:
        tracking = import_tracker_package("mlflow.tracking", "mlflow")
        for name in () if self.uri else ("sqlalchemy", "alembic"):  # packages of its local database
            import_tracker_package(name, "mlflow")
        folder = folder.absolute()
        self.client: Any = tracking.MlflowClient(self.uri or f"sqlite:///{folder / 'mlflow.db'}")
        experiment = self.client.get_experiment_by_name(suite)
        place = None if self.uri else (folder / "mlartifacts").as_uri()
        self.experiment = (
            experiment.experiment_id if experiment else self.client.create_experiment(suite, place)
        )

    def begin(self, trial: TrackedTrial) -> None:
        run = self.client.create_run(
            self.experiment, run_name=trial.label, tags={"trial": trial.id}
        )
        self.runs[trial.id] = run.info.run_id
        for key, value in trial.settings.items():
            self.client.log_param(self.runs[trial.id], key, str(value)[:MAX_PARAMETER_CHARACTERS])

    def log(self, trial: TrackedTrial, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.client.log_metric(self.runs[trial.id], mlflow_name(name), value, step=step)

    def end(
        self, trial: TrackedTrial, outcome: str, values: Mapping[str, float], picture: Path
    ) -> None:
        run = self.runs.pop(trial.id)
        for name, value in values.items():
            self.client.log_metric(run, mlflow_name(f"final/{name}"), value)
        if picture.exists():
            self.client.log_artifact(run, str(picture))
        self.client.set_tag(run, "outcome", outcome)
        self.client.set_terminated(run, "FINISHED" if outcome == "done" else "FAILED")

    def close(self) -> None:
        for run in self.runs.values():
            self.client.set_terminated(run, "KILLED")
        self.runs.clear()


def mlflow_name(metric: str) -> str:
    """Returns a metric's name with the characters that MLflow accepts."""
    return "".join(c if c.isalnum() or c in "_-./ " else "_" for c in metric)
