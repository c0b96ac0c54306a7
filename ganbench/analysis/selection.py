"""Selection of checkpoints and seeds, and its bias (Cawley and Talbot, 2010).

The best checkpoint is chosen on other samples than the reported ones: its gain is real. The best seed is
chosen by the reported value itself: its gain may be due to chance alone.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from .intervals import SCALES, ratio_or_difference, t_interval
from .metric_scale import MetricScale, outcome_scale
from .rows import ARM_COLUMNS, refuse_mixed_protocols, without_attributes

SELECTION_COLUMNS = "trainings cells last best ratio low high best_seed_illusion"


def checkpoint_selection(frame: pd.DataFrame, by: Sequence[str] = ARM_COLUMNS) -> pd.DataFrame:
    """Compares the outcome at the last and at the best checkpoint, with one row per cell.

    `by` names other columns to group the rows by.

    Columns:

    - those of `by`;
    - trainings, with a value at both checkpoints, and cells, the number of their cells;
    - last and best, the means in the metric's unit (geometric on a logarithmic scale);
    - ratio of best to last, with its 95 % t interval from low to high, paired by training;
    - best_seed_illusion, the best seed's value over its cell's mean at the last checkpoint. It is averaged
      over cells of two trainings or more. By chance alone, the best of 3, 5 or 10 normal seeds is 0.85, 1.16
      or 1.54 standard deviations from the mean.

    If the scale of the metric is not logarithmic, ratios are differences on that scale.
    """
    values, scale = outcome_by_checkpoint(frame), outcome_scale(frame)
    values["cell"] = values.groupby(ARM_COLUMNS, dropna=False).ngroup()
    groups = values.groupby(list(by), dropna=False, sort=False)
    illusions = best_seed_illusions(values.assign(group=groups.ngroup()), scale)
    entries = []
    for number, (names, part) in enumerate(groups):
        assert isinstance(names, tuple)
        gain = selection_gain(part, scale.transform)
        entries.append((*names, *gain, illusions.get(number, math.nan)))
    return pd.DataFrame(entries, columns=[*by, *SELECTION_COLUMNS.split()])


def outcome_by_checkpoint(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns one row per training, with the outcome at the checkpoints `last` and `best`.

    Outcomes are on the transformed scale.
    """
    outcome = frame.attrs["plan"]["analysis"]["outcome"]
    quality = (frame["role"] == "trial") & (frame["kind"] == "quality")
    applicable = frame["outcome"] != "not_applicable"
    rows = without_attributes(refuse_mixed_protocols(frame))[
        quality & applicable & (frame["metric"] == outcome)
    ]
    wide = rows.pivot(index=[*ARM_COLUMNS, "seed"], columns="checkpoint", values="value")
    to = outcome_scale(frame).to
    return wide.reindex(columns=["last", "best"]).map(to, na_action="ignore").reset_index()


def selection_gain(part: pd.DataFrame, transform: str) -> tuple[float, ...]:
    """Computes the columns of `checkpoint_selection` from trainings to high."""
    pairs = part[["last", "best"]].to_numpy()
    is_measured = ~np.isnan(pairs).any(axis=1)
    last, best = pairs[is_measured].T
    back = SCALES[transform].back
    means = [back(float(side.mean())) if len(side) else math.nan for side in (last, best)]
    interval = t_interval((best - last).tolist())
    ends = interval.mean, interval.low, interval.high
    cells = len(set(part["cell"].to_numpy()[is_measured]))
    return interval.count, cells, *means, *(ratio_or_difference(end, transform) for end in ends)


def best_seed_illusions(values: pd.DataFrame, scale: MetricScale) -> dict[int, float]:
    """Computes how far the best seed is from its cell's mean, on average over a group's cells."""
    cells = values.dropna(subset="last").groupby(["group", "cell"])["last"]
    best = cells.min() if scale.is_lower_better else cells.max()
    off = (best - cells.mean())[cells.count() > 1]
    groups: Any = off.groupby(level="group")
    return {group: scale.change_of(float(part.mean())) for group, part in groups}
