"""The store: plain files under one folder hold what was run and measured; all else can be rebuilt.

    trials/<ab>/<id>/   spec.json · attempts/NNN/{log.txt,events.jsonl,exit.json} · checkpoint.pt
                        samplers/{last,best}.safetensors · evaluations/<protocol>-<checkpoint>.json
                        curve.json · {samples,interpolation,neighbours,mixing,truncation}.png
                        result.json
    floors/<protocol>.json

Files are written beside and renamed, so a reader finds a whole file or none; `result.json` commits a
trial. Nothing that is read from a store can run code.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ganbench.errors import GanbenchError
from ganbench.files import append_json_line, read_json, write_json


class Busy(GanbenchError, RuntimeError):
    """Somebody else is training this trial."""


@dataclass(frozen=True)
class Attempt:
    """One try at a trial: what it said, what happened, how it ended."""

    folder: Path

    @property
    def log_path(self) -> Path:
        return self.folder / "log.txt"

    @property
    def events_path(self) -> Path:
        return self.folder / "events.jsonl"

    @property
    def exit_path(self) -> Path:
        return self.folder / "exit.json"

    def append_event(self, **event: Any) -> None:
        """Appends an event; it is also the sign of life that the runner watches for."""
        append_json_line(self.events_path, **event)

    def record_end(self, outcome: str, reason: str = "") -> None:
        """States how the attempt ended, once: the first word stands."""
        if self.read_end() is None:
            write_json(self.exit_path, {"outcome": outcome, "reason": reason})

    def read_end(self) -> dict[str, str] | None:
        return read_json(self.exit_path)


@dataclass(frozen=True)
class TrialFolder:
    """The files of one trial."""

    folder: Path

    @property
    def spec_path(self) -> Path:
        return self.folder / "spec.json"

    @property
    def result_path(self) -> Path:
        return self.folder / "result.json"

    @property
    def checkpoint_path(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def curve_path(self) -> Path:
        return self.folder / "curve.json"

    @property
    def samples_path(self) -> Path:
        return self.folder / "samples.png"

    def generator_path(self, checkpoint: str) -> Path:
        return self.folder / "samplers" / f"{checkpoint}.safetensors"

    def scores_path(self, protocol: str, checkpoint: str) -> Path:
        return self.folder / "evaluations" / f"{protocol}-{checkpoint}.json"

    def picture_paths(self) -> list[Path]:
        """All that there are: samples, walks, neighbours, styles, of either checkpoint."""
        return sorted(self.folder.glob("*.png"))

    def delete_results(self) -> None:
        """Removes what was trained and measured, so that the trial is made again; attempts stay."""
        with self.lock():
            for path in (
                self.result_path,
                self.checkpoint_path,
                self.curve_path,
                *self.picture_paths(),
            ):
                path.unlink(missing_ok=True)
            for name in ("samplers", "evaluations"):
                shutil.rmtree(self.folder / name, ignore_errors=True)

    def attempts(self) -> list[Attempt]:
        return [Attempt(path) for path in sorted((self.folder / "attempts").glob("[0-9]*"))]

    def new_attempt(self) -> Attempt:
        folder = self.folder / "attempts" / f"{len(self.attempts()) + 1:03d}"
        folder.mkdir(parents=True)
        return Attempt(folder)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the trial; raises Busy if another process does. A process that dies lets go."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / ".lock", timeout=0):
                yield
        except Timeout:
            raise Busy(f"another run is training {self.folder.name}") from None


@dataclass(frozen=True)
class Store:
    root: Path

    def trial_folder(self, identifier: str) -> TrialFolder:
        """The folder of a trial with this SHA-256; its first 16 digits name it."""
        return TrialFolder(self.root / "trials" / identifier[:2] / identifier[:16])

    def floor_path(self, protocol: str) -> Path:
        return self.root / "floors" / f"{protocol}.json"
