"""The outcome of each training by its cell, and of the references."""

from typing import Any

import pandas as pd

from ganbench.analysis.rows import ARM_COLUMNS, without_attributes


def seed_values(frame: pd.DataFrame) -> dict[tuple[Any, ...], list[float]]:
    """Returns the values of the declared outcome at the last checkpoint, by role and cell.

    Missing parts of a key are empty strings.
    """
    outcome = frame.attrs["plan"]["analysis"]["outcome"]
    chosen = frame["metric"].eq(outcome) & frame["kind"].eq("quality") & frame["value"].notna()
    rows = without_attributes(frame)[
        chosen & (frame["checkpoint"].eq("last") | frame["role"].eq("floor"))
    ]
    measured = rows[["role", *ARM_COLUMNS, "value"]].fillna(dict.fromkeys(ARM_COLUMNS, ""))
    values: dict[tuple[Any, ...], list[float]] = {}
    for *key, value in measured.itertuples(index=False, name=None):
        values.setdefault(tuple(key), []).append(float(value))
    return values
