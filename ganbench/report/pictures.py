"""Pictures of cells: those of the first finished seed, copied beside the tables."""

from pathlib import Path
from typing import Any

import pandas as pd

from ganbench.analysis.leaderboard import ARM_COLUMNS
from ganbench.experiments.store import Store
from ganbench.files import write_bytes
from ganbench.report.figures.base import file_name_of

# Files of a trial's folder
PICTURE_KINDS = ("samples", "interpolation", "neighbours", "mixing", "truncation")


def copy_pictures(frame: pd.DataFrame, folder: Path, store: Store) -> None:
    """Copies the pictures of each kind that exist in the store."""
    done = frame[frame["outcome"].eq("done") & frame["trial"].notna()]
    for row in done.drop_duplicates(["role", *ARM_COLUMNS]).itertuples():
        for kind in PICTURE_KINDS:
            source = store.trial_folder(str(row.trial)).folder / f"{kind}.png"
            if source.exists():
                write_bytes(picture_file(folder, row, kind), source.read_bytes())


def picture_file(folder: Path, row: Any, kind: str = "samples") -> Path:
    """Returns the path of a cell's picture; the name of samples has no suffix."""
    ending = "" if kind == "samples" else f"-{kind}"
    return folder / f"{cell_file_name(row)}{ending}.png"


def cell_file_name(row: Any) -> str:
    """Returns the file name of a cell."""
    parts = [str(getattr(row, key)) for key in ARM_COLUMNS]
    parts += ["untrained"] if row.role == "untrained" else []
    return file_name_of("-".join(part for part in parts if part))
