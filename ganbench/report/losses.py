"""Losses logged during training, reduced to few points per arm.

They are saved beside the tables, so that a page can show them without the store.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ganbench.analysis.rows import ARM_COLUMNS, without_attributes
from ganbench.experiments.store import Store
from ganbench.files import CorruptFile, write_bytes

MAX_ARMS_WITH_LOSSES = 60  # arms with losses on a page
MAX_POINTS_PER_ARM = 60  # points of one training
LOSS_TERMS = ("discriminator", "generator", "real_score", "fake_score")
LOSSES_SCHEMA = pa.schema(
    [("trial", pa.string()), *((name, pa.float64()) for name in ("step", *LOSS_TERMS))]
)


def empty_losses() -> pd.DataFrame:
    return LOSSES_SCHEMA.empty_table().to_pandas()


def collect_losses(frame: pd.DataFrame, board: pd.DataFrame, store: Store) -> pd.DataFrame:
    """Collects the logged losses of one training per arm, with one row per point.

    The training is the first finished one of the arm, else the first.
    """
    has_trial = frame["role"].eq("trial") & frame["trial"].notna()
    trained = without_attributes(frame).loc[has_trial, ["trial", "outcome", *ARM_COLUMNS]]
    done_first = trained["outcome"].ne("done").sort_values(kind="stable").index
    first = trained.loc[done_first].drop_duplicates(ARM_COLUMNS)
    arms = arms_in_turn(board)[ARM_COLUMNS].head(MAX_ARMS_WITH_LOSSES).merge(first, on=ARM_COLUMNS)
    logged = [logged_terms(trial, store) for trial in arms["trial"]]
    return pd.concat([empty_losses(), *logged], ignore_index=True)


def arms_in_turn(board: pd.DataFrame) -> pd.DataFrame:
    """Orders trained arms: the best of each family first, then the second of each."""
    arms = board[board["role"].eq("trial") & board[["done", "diverged", "failed"]].any(axis=1)]
    turn = arms.groupby(["data", "variant", "loss"], dropna=False).cumcount()
    return arms.loc[turn.sort_values(kind="stable").index]


def logged_terms(trial: str, store: Store) -> pd.DataFrame:
    """Returns the losses of one training, reduced to few points."""
    curve: dict[str, Any] = store.trial_folder(trial).read_curve() or {}
    points = average_neighbours(pd.DataFrame(curve.get("losses", [])))
    return points.assign(trial=trial)[LOSSES_SCHEMA.names]


def average_neighbours(losses: pd.DataFrame) -> pd.DataFrame:
    """Averages neighbouring points to at most MAX_POINTS_PER_ARM; missing terms are ignored."""
    points = losses.reindex(columns=["step", *LOSS_TERMS]).astype(float)
    bins = min(MAX_POINTS_PER_ARM, len(points))
    return points.groupby(np.arange(len(points)) * bins // max(1, len(points))).mean()


def save_losses(losses: pd.DataFrame, folder: Path) -> None:
    """Writes losses.parquet, with the same bytes for the same losses."""
    content = pa.BufferOutputStream()
    table = pa.Table.from_pandas(losses, schema=LOSSES_SCHEMA, preserve_index=False)
    pq.write_table(table.replace_schema_metadata(None), content)
    write_bytes(folder / "losses.parquet", content.getvalue().to_pybytes())


def read_losses(folder: Path) -> pd.DataFrame:
    """Reads losses.parquet of a folder; returns an empty table if it does not exist.

    Raises CorruptFile if the file is not such a table.
    """
    path = folder / "losses.parquet"
    try:
        table = pq.read_table(io.BytesIO(path.read_bytes()))
        return table.select(LOSSES_SCHEMA.names).cast(LOSSES_SCHEMA).to_pandas()
    except FileNotFoundError:
        return empty_losses()
    except (pa.ArrowException, KeyError, ValueError, OSError):
        raise CorruptFile(f"{path} is corrupt: delete it to get a page without losses") from None
