"""Numerics that all cells of a run share: a condition, and no part of a cell's name."""

import pandas as pd

from ganbench.experiments.suite_files import NEUTRAL_NUMERICS

PLAIN_NUMERICS = "plain float32"


def without_shared_numerics(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows with names of cells that leave out the numerics of the whole run."""
    if shared_numerics(frame) == PLAIN_NUMERICS:
        return frame
    labels = {label: split_label(label)[0] for label in cell_labels(frame)}
    return frame.assign(plan=frame["plan"].map(labels))


def shared_numerics(frame: pd.DataFrame) -> str:
    """Returns the numerics of all cells: `dtype=bfloat16, graph=true`.

    Cells of different numerics share none beyond plain float32.
    """
    found = {split_label(label)[1] for label in cell_labels(frame)}
    return found.pop() or PLAIN_NUMERICS if len(found) == 1 else PLAIN_NUMERICS


def cell_labels(frame: pd.DataFrame) -> list[str]:
    """Returns the labels of hyperparameters and numerics of all trials."""
    return list(frame.loc[frame["role"].eq("trial"), "plan"].dropna().unique())


def split_label(label: str) -> tuple[str, str]:
    """Splits `lr=0.001, graph=true` into hyperparameters and numerics."""
    parts = label.split(", ") if label else []
    is_numerics = [part.partition("=")[0] in NEUTRAL_NUMERICS for part in parts]
    chosen = [
        [part for part, own in zip(parts, is_numerics, strict=True) if own == wanted]
        for wanted in (False, True)
    ]
    return ", ".join(chosen[0]), ", ".join(chosen[1])
