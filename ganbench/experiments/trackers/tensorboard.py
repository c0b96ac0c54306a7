"""TensorBoard: an event file per trial, by default in the suite's `tensorboard/` folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .base import TrackedTrial, Tracker, import_tracker_package


class TensorBoard(Tracker):
    def __init__(self, folder: str = ""):
        self.folder = folder
        self.writers: dict[str, Any] = {}

    def open(self, suite: str, folder: Path) -> None:
        import_tracker_package("tensorboard", "tensorboard")
        self.module = import_tracker_package("torch.utils.tensorboard", "tensorboard")
        self.root = Path(self.folder) if self.folder else folder / "tensorboard"

    def begin(self, trial: TrackedTrial) -> None:
        writer = self.writers[trial.id] = self.module.SummaryWriter(str(self.root / trial.id))
        writer.add_text("trial", trial.label.replace("\n", " "))
        lines = [
            f"    {key}: {value}" for key, value in trial.settings.items()
        ]  # indented as a block of code
        writer.add_text("settings", "\n".join(lines))

    def log(self, trial: TrackedTrial, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writers[trial.id].add_scalar(name, value, step)

    def end(
        self, trial: TrackedTrial, outcome: str, values: Mapping[str, float], picture: Path
    ) -> None:
        writer = self.writers.pop(trial.id)
        writer.add_text("outcome", outcome)
        for name, value in values.items():
            writer.add_scalar(f"final/{name}", value)
        if picture.exists():
            from matplotlib.image import imread

            writer.add_image("samples", imread(picture)[..., :3], dataformats="HWC")
        writer.close()

    def close(self) -> None:
        for writer in self.writers.values():
            writer.close()
        self.writers.clear()
