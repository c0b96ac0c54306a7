"""Pictures of cells beside the tables: those of one training, and samples of all seeds."""

from pathlib import Path
from typing import Any

import pandas as pd

from ganbench.analysis.rows import ARM_COLUMNS, without_attributes
from ganbench.experiments.plan_names import TRAINED_OUTCOMES
from ganbench.experiments.store import Store, TrialFolder
from ganbench.files import write_bytes
from ganbench.report.figures.base import file_name_of

# Files of a trial's folder
PICTURE_KINDS = (
    *("samples", "training", "motion", "interpolation", "neighbours", "mixing", "truncation"),
)


def copy_pictures(frame: pd.DataFrame, folder: Path, store: Store) -> None:
    """Copies the pictures of each kind that exist in the store.

    They are of the first finished seed, else of the first that diverged. Samples are copied of all
    finished seeds if there are several. Copies of other trainings are deleted.
    """
    arm = ["role", *ARM_COLUMNS]
    trials = trials_in_turn(frame)
    for row in trials.drop_duplicates(arm).itertuples():
        for kind in PICTURE_KINDS:
            update_picture(row, f"{kind}.png", picture_file(folder, row, kind), store)
    done = trials[trials["outcome"].eq("done")]
    has_several = done.duplicated(arm, keep=False)
    for row in done.assign(has_result=has_several).itertuples():
        update_picture(row, "samples.png", picture_file(folder, row, f"seed{row.seed}"), store)


def trials_in_turn(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns one row per trial: finished ones, diverged ones, then those without a result."""
    rows = without_attributes(frame)
    trials = rows[rows["trial"].notna()].drop_duplicates(["role", *ARM_COLUMNS, "seed"])
    turns = trials["outcome"].map(turn_of_outcome).sort_values(kind="stable")
    return trials.loc[turns.index].assign(has_result=turns < len(TRAINED_OUTCOMES))


def turn_of_outcome(outcome: object) -> int:
    """Returns the turn of a trial in which pictures are looked for."""
    return TRAINED_OUTCOMES.index(outcome) if outcome in TRAINED_OUTCOMES else len(TRAINED_OUTCOMES)


def update_picture(row: Any, name: str, copy: Path, store: Store) -> None:
    """Copies a trial's picture, or deletes the copy of another training if the trial has none."""
    trial = store.trial_folder(str(row.trial))
    source = trial.folder / name
    if row.has_result and source.is_file():
        copy_file(source, copy)
    elif copy.is_file() and keeps_pictures(trial):
        copy.unlink()


def keeps_pictures(trial: TrialFolder) -> bool:
    """Returns whether a store has all pictures that a trial has.

    An archive of records alone has finished trials without pictures, and copies beside its tables.
    """
    is_finished = trial.result_path.is_file()
    return bool(trial.picture_paths()) if is_finished else trial.folder.is_dir()


def copy_file(source: Path, target: Path) -> None:
    """Copies a file, unless the copy equals it already."""
    content = source.read_bytes()
    if not target.is_file() or target.read_bytes() != content:
        write_bytes(target, content)


def picture_file(folder: Path, row: Any, kind: str = "samples") -> Path:
    """Returns the path of a cell's picture; the name of samples has no suffix."""
    ending = "" if kind == "samples" else f"-{kind}"
    return folder / f"{cell_file_name(row)}{ending}.png"


def cell_file_name(row: Any) -> str:
    """Returns the file name of a cell."""
    parts = [str(getattr(row, key)) for key in ARM_COLUMNS]
    parts += ["untrained"] if row.role == "untrained" else []
    return file_name_of("-".join(part for part in parts if part))


def real_picture_files(plan: dict[str, Any], folder: Path) -> dict[str, tuple[str, Path]]:
    """Returns fingerprint and path of the picture of real examples, by data set."""
    return {
        protocol["data"]: (protocol["fingerprint"], real_picture_file(folder, protocol))
        for protocol in plan["protocols"].values()
        if "fingerprint" in protocol
    }


def real_picture_file(folder: Path, protocol: dict[str, Any]) -> Path:
    """Returns the path of a picture of real examples; its name changes with the data."""
    return folder / f"{file_name_of('real-' + protocol['data'])}-{protocol['fingerprint'][:8]}.png"
