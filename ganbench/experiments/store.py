"""The trial store: plain files with trainings and measurements, the source of all tables.

    trials/<ab>/<id>/   spec.json · attempts/NNN/{log.txt,events.jsonl,exit.json} · checkpoint.pt
                        samplers/{last,best}.safetensors · evaluations/<protocol>-<checkpoint>.json
                        curve.json · {samples,training,motion,interpolation,neighbours,mixing,truncation}.png
                        result.json · leases/<number>/owner.json · sources/<hash>.py
    floors/<protocol>.json

Each file is written under a temporary name and renamed, so a reader finds a complete file or none.
`result.json` marks a trial as finished. No file of a store can run code when it is read.
"""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganbench.evaluation.scores_record import read_scores
from ganbench.files import (
    CorruptFile,
    append_json_line,
    list_folder,
    read_events,
    read_last_event,
    sweep_temporary_files,
    write_json,
)
from ganbench.records import read_record

from .lease import Lease
from .plan_names import short_id
from .store_records import (
    CurveRecord,
    EndRecord,
    PlanRecord,
    ResultRecord,
    SpecRecord,
    hash_identity,
)

CHECKPOINT_NAMES = ("last", "best")
SOURCES_FOLDER = "sources"  # of local files, in the folders of trials and of suites
RERUN = "delete it, and `ganbench run` writes it again"
RETRAIN = "delete the trial's folder, and `ganbench run` trains it again"


@dataclass(frozen=True)
class Attempt:
    """One attempt at a trial: its log, its events and its end."""

    folder: Path

    @property
    def number(self) -> int:
        return int(self.folder.name)

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
        """Appends an event, which also shows the runner that the attempt is alive."""
        append_json_line(self.events_path, **event)

    def show_life(self) -> None:
        """Appends an event that the attempt goes on; a full disk may prevent it."""
        with suppress(OSError):
            self.append_event(alive=True)

    def record_end(self, outcome: str, reason: str = "") -> None:
        """Records the end of the attempt, unless one is already recorded."""
        if self.read_end() is None:
            write_json(self.exit_path, {"outcome": outcome, "reason": reason})

    def read_end(self) -> dict[str, str] | None:
        """Returns the recorded end, or None; raises CorruptFile if it is damaged."""
        end: dict[str, str] | None = read_record(self.exit_path, EndRecord)
        return end

    def read_events(self) -> list[dict[str, Any]]:
        return read_events(self.events_path)

    def read_last_event(self) -> dict[str, Any]:
        """Returns the last event, or an empty dict."""
        return read_last_event(self.events_path)


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

    @property
    def training_path(self) -> Path:
        return self.folder / "training.png"

    def generator_path(self, checkpoint: str) -> Path:
        return self.folder / "samplers" / f"{checkpoint}.safetensors"

    def scores_path(self, protocol: str, checkpoint: str) -> Path:
        return self.folder / f"evaluations/{protocol}-{checkpoint}.json"

    def read_result(self) -> dict[str, Any] | None:
        """Returns the result, or None.

        Raises CorruptFile if the file is damaged or of another trial.
        """
        return self.check_owner(self.result_path, read_record(self.result_path, ResultRecord))

    def read_curve(self) -> dict[str, Any] | None:
        """Returns the learning curve, or None; raises CorruptFile if it is damaged."""
        curve: dict[str, Any] | None = read_record(self.curve_path, CurveRecord, RETRAIN)
        return curve

    def read_spec(self) -> dict[str, Any] | None:
        """Returns the trial's settings, or None.

        Raises CorruptFile if the file is damaged or of another trial.
        """
        spec = read_record(self.spec_path, SpecRecord, RETRAIN)
        if spec and hash_identity(spec["identity"]) != spec["id"]:
            raise CorruptFile.at(self.spec_path, "its identity has another id", RETRAIN)
        return self.check_owner(self.spec_path, spec, RETRAIN)

    def read_scores(self, protocol: str, checkpoint: str) -> dict[str, Any] | None:
        """Returns the scores of a checkpoint, or None; raises CorruptFile if they are damaged."""
        return read_scores(self.scores_path(protocol, checkpoint))

    def check_owner(self, path: Path, content: Any, *remedy: str) -> Any:
        """Returns the content of a file; raises CorruptFile if it is of another trial."""
        if content and not content["id"].startswith(self.folder.name):
            raise CorruptFile.at(path, f"it is of trial {short_id(content['id'])}", *remedy)
        return content

    def picture_paths(self) -> list[Path]:
        """Returns all pictures: samples, training, interpolations, neighbours, styles."""
        return sorted(self.folder.glob("*.png"))

    def sweep(self) -> None:
        """Deletes temporary files, and the checkpoint of a finished trial, of killed processes."""
        names = list_folder(self.folder)
        inner = [self.folder / name for name in names if "." not in name]  # other names are files
        attempts = [self.folder / "attempts" / n for n in list_folder(self.folder / "attempts")]
        for folder in (self.folder, *inner, *attempts):
            sweep_temporary_files(folder)
        if self.result_path.exists() and self.checkpoint_path.is_file():
            self.checkpoint_path.unlink(missing_ok=True)

    def delete_results(self) -> None:
        """Deletes trained and measured files, so that the trial runs again; keeps the attempts."""
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
        folder = self.folder / "attempts"
        numbers = sorted(int(name) for name in list_folder(folder) if name.isdecimal())
        return [Attempt(folder / f"{number:03d}") for number in numbers]

    def next_attempt_path(self) -> Path:
        """Returns the path of the next attempt; earlier ones may have been deleted."""
        attempts = self.attempts()
        number = attempts[-1].number + 1 if attempts else 1
        return self.folder / "attempts" / f"{number:03d}"

    def new_attempt(self) -> Attempt:
        folder = self.next_attempt_path()
        folder.mkdir(parents=True)
        return Attempt(folder)

    @contextmanager
    def lock(self) -> Iterator[Lease]:
        """Holds the trial's lease; raises Busy if another process holds it, on any machine.

        The lease of a process that dies ends at once on its machine, and in a minute elsewhere.
        """
        lease = Lease.acquire(self.folder)
        try:
            yield lease
        finally:
            lease.release()


@dataclass(frozen=True)
class Store:
    """The trials, the floors and the plans under a folder of results."""

    root: Path

    def trial_folder(self, identifier: str) -> TrialFolder:
        """Returns the folder of a trial by its SHA-256; the first 16 digits are the folder's name."""
        return TrialFolder(self.root / f"trials/{identifier[:2]}/{short_id(identifier)}")

    def trial_names(self) -> set[str]:
        """Returns the names of all trial folders: the first 16 digits of ids."""
        return {path.name for path in self.trial_paths()}

    def trial_paths(self) -> list[Path]:
        """Returns the paths of all trial folders, in order."""
        trials = self.root / "trials"
        folders = [trials / name for name in sorted(list_folder(trials))]
        names = [(folder, name) for folder in folders for name in sorted(list_folder(folder))]
        return [folder / name for folder, name in names if not name.startswith(".")]

    def floor_path(self, protocol: str) -> Path:
        return self.root / "floors" / f"{protocol}.json"

    def read_floor(self, protocol: str) -> dict[str, Any] | None:
        """Returns the scores of held-out data, or None; raises CorruptFile if damaged."""
        return read_scores(self.floor_path(protocol))

    def sweep(self, suite_folder: Path, identifiers: Iterable[str]) -> None:
        """Deletes temporary files of killed processes from a suite's folder and its trials."""
        for folder in (suite_folder, *suite_folder.glob("*/"), self.root / "floors"):
            sweep_temporary_files(folder)
        begun = self.trial_names()
        for trial in map(self.trial_folder, identifiers):
            if trial.folder.name in begun:
                trial.sweep()


def read_plan(folder: Path) -> dict[str, Any] | None:
    """Returns the plan of a suite's folder, or None if there is none.

    Raises CorruptFile if plan.json is damaged.
    """
    path = folder / "plan.json"
    plan: dict[str, Any] | None = read_record(path, PlanRecord, RERUN)
    named = {item["protocol"] for item in plan["trials"]} if plan else set()
    if plan and not named <= plan["protocols"].keys():
        raise CorruptFile.at(path, "it lacks a protocol of its trials", RERUN)
    return plan


def write_plan(folder: Path, plan: dict[str, Any]) -> None:
    """Writes the plan of a suite's folder, with metrics and protocols in the suite's order."""
    write_json(folder / "plan.json", plan, sort_keys=False)
