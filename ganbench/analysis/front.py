"""Pareto front of quality against training cost (Pareto, 1896).

A cell is on the front of its data set unless another cell dominates it. The other cell then has at
least as good an outcome in at most the same time, and is better in one of the two.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .effects import measured_outcomes
from .intervals import t_interval
from .metric_scale import outcome_scale
from .profiles import score_rows
from .rows import ARM_COLUMNS

COST_COLUMN_OF = {  # column: cost metric of a training
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
    """Returns one row per trained cell with its outcome, costs, and place on the front.

    Data sets are in the order of the frame; within each data set the cheapest cell comes first. Along the
    front, from cheap to expensive, the outcome improves.

    Cells with diverged or failed trainings are never on the front and dominate no other cell. Their mean
    leaves out these trainings. Cells without a value or without seconds are never on the front either.
    Trainings that are not applicable or were not run are left out.

    Columns:

    - the cell's names;
    - value, the mean outcome, averaged on the scale of analysis and given in the unit of the metric;
    - failed and trainings, two counts;
    - seconds and images_per_second, both of training alone (medians, as are all costs);
    - memory, the peak in bytes of the device, or of the process on a CPU;
    - parameters, of generator and discriminator together;
    - on_front.
    """
    scale = outcome_scale(frame)
    quality = quality_by_cell(score_rows(measured_outcomes(frame), scale), scale.transform)
    cells = quality.merge(costs_by_cell(frame), "left", ARM_COLUMNS)
    # Only the order of the mean scores matters, so their scale does not.
    score = cells["value"] * -scale.worse_sign
    able = cells["failed"].eq(0) & score.notna() & cells["seconds"].notna()
    cells["on_front"] = False
    for _, part in cells[able].groupby("data"):
        cells.loc[part.index, "on_front"] = find_undominated(score[part.index], part["seconds"])
    place = cells.groupby("data", sort=False).ngroup()
    ordered = cells.assign(place=place).sort_values(["place", "seconds"], ignore_index=True)
    return ordered[FRONT_COLUMNS]


def quality_by_cell(scored: pd.DataFrame, transform: str) -> pd.DataFrame:
    """Returns each cell's mean outcome over ended trainings, and its number of failures."""
    ended = np.isfinite(scored["score"])
    cells = scored.assign(value=scored["value"].where(ended), failed=~ended)
    means = cells.groupby(ARM_COLUMNS, dropna=False, sort=False).agg(
        value=("value", lambda values: t_interval(values.dropna().tolist(), transform).mean),
        failed=("failed", "sum"),
        trainings=("failed", "size"),
    )
    return means.reset_index()


def costs_by_cell(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns the median costs of each cell's trainings."""
    cost_rows = frame[frame["role"].eq("trial") & frame["kind"].eq("cost")]
    values = cost_rows.set_index([*ARM_COLUMNS, "seed", "metric"])["value"].unstack("metric")
    values = values.reindex(columns=[*COST_COLUMN_OF.values(), *PARAMETER_COLUMNS]).astype(float)
    medians = values[list(COST_COLUMN_OF.values())].set_axis(list(COST_COLUMN_OF), axis=1)
    medians["parameters"] = values[PARAMETER_COLUMNS].sum(axis=1, min_count=len(PARAMETER_COLUMNS))
    return medians.groupby(ARM_COLUMNS, dropna=False).median().reset_index()


def find_undominated(score: "pd.Series[float]", seconds: "pd.Series[float]") -> NDArray[np.bool_]:
    """Returns a mask of the cells that no other cell dominates.

    A cell dominates another if it is as good in score and seconds, and better in one.
    """
    good, spent = score.to_numpy(), seconds.to_numpy()
    as_good = (good[:, None] >= good) & (spent[:, None] <= spent)  # [one, than another]
    better = (good[:, None] > good) | (spent[:, None] < spent)
    return np.asarray(~(as_good & better).any(axis=0))
