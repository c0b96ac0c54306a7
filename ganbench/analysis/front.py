"""Front: quality against cost, and which cells none is better than at less training (Pareto, 1896).

A cell is on the front of its data set if no other has as good an outcome in as little time and is
better in one of the two.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .intervals import t_interval
from .profiles import score_rows
from .rows import ARM_COLUMNS, outcome_facts

COST_COLUMN_OF = {  # column: the cost of a training
    "seconds": "train_seconds",
    "images_per_second": "train_images_per_second",
    "memory": "peak_memory",
}
PARAMETER_COLUMNS = ["generator_parameters", "discriminator_parameters"]
FRONT_COLUMNS = [
    *ARM_COLUMNS,
    "value",
    "failed",
    "trainings",
    *COST_COLUMN_OF,
    "parameters",
    "on_front",
]


def cost_front(frame: pd.DataFrame) -> pd.DataFrame:
    """A row a trained cell: its outcome, what its training cost, and whether it is on the front.

    Data sets in the order of the frame, and within each the cheapest first: going down its front,
    the outcome gets better and better. A cell in which a training diverged or failed is never on
    the front and takes no other from it: its outcome is infinitely bad now and then, and the value
    beside it is only of the trainings that ended. Nor is one without value or seconds. Trainings
    that do not apply or were not run are no part of this.

    Columns: the cell's names, value (the mean outcome on the scale of analysis, in its own unit),
    failed of so many trainings, and the medians of seconds, images_per_second (both of training
    alone), memory (bytes at the peak; of the device, or of the process on a CPU) and parameters (of
    generator and discriminator), on_front.
    """
    facts = outcome_facts(frame)
    quality = quality_by_cell(score_rows(frame), facts["transform"])
    cells = quality.merge(costs_by_cell(frame), "left", ARM_COLUMNS)
    # Of a cell's mean score, on whatever scale, only the order counts.
    score = cells["value"] * (-1 if facts["direction"] == "lower" else 1)
    able = cells["failed"].eq(0) & score.notna() & cells["seconds"].notna()
    cells["on_front"] = False
    for _, part in cells[able].groupby("data"):
        cells.loc[part.index, "on_front"] = find_undominated(score[part.index], part["seconds"])
    place = cells.groupby("data", sort=False).ngroup()
    ordered = cells.assign(place=place).sort_values(["place", "seconds"], ignore_index=True)
    return ordered[FRONT_COLUMNS]


def quality_by_cell(scored: pd.DataFrame, transform: str) -> pd.DataFrame:
    """Of each cell the mean outcome of what ended, and how many did not."""
    ended = np.isfinite(scored["score"])
    cells = scored.assign(value=scored["value"].where(ended), failed=~ended)
    means = cells.groupby(ARM_COLUMNS, dropna=False, sort=False).agg(
        value=("value", lambda values: t_interval(values.dropna().tolist(), transform).mean),
        failed=("failed", "sum"),
        trainings=("failed", "size"),
    )
    return means.reset_index()


def costs_by_cell(frame: pd.DataFrame) -> pd.DataFrame:
    """Of each cell the medians of what its trainings cost."""
    cost_rows = frame[frame["role"].eq("trial") & frame["kind"].eq("cost")]
    values = cost_rows.set_index([*ARM_COLUMNS, "seed", "metric"])["value"].unstack("metric")
    values = values.reindex(columns=[*COST_COLUMN_OF.values(), *PARAMETER_COLUMNS]).astype(float)
    medians = values[list(COST_COLUMN_OF.values())].set_axis(list(COST_COLUMN_OF), axis=1)
    medians["parameters"] = values[PARAMETER_COLUMNS].sum(axis=1, min_count=len(PARAMETER_COLUMNS))
    return medians.groupby(ARM_COLUMNS, dropna=False).median().reset_index()


def find_undominated(score: "pd.Series[float]", seconds: "pd.Series[float]") -> NDArray[np.bool_]:
    """Which have no other that is as good in both and better in one."""
    good, spent = score.to_numpy(), seconds.to_numpy()
    as_good = (good[:, None] >= good) & (spent[:, None] <= spent)  # [one, than another]
    better = (good[:, None] > good) | (spent[:, None] < spent)
    return np.asarray(~(as_good & better).any(axis=0))
