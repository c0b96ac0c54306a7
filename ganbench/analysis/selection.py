"""Selection of checkpoints and seeds, and its bias (Cawley and Talbot, 2010).

The best checkpoint is chosen on other samples than the reported ones: its gain is real. The best seed is
chosen by the reported value itself: its gain may be due to chance alone.
"""

import math
from collections.abc import Sequence

import pandas as pd

from .intervals import SCALES, t_interval
from .rows import ARM_COLUMNS, outcome_facts, refuse_mixed_protocols

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
    values, facts = outcome_by_checkpoint(frame), outcome_facts(frame)
    entries = []
    for names, part in values.groupby(list(by), dropna=False, sort=False):
        assert isinstance(names, tuple)
        entries.append(
            (*names, *selection_gain(part, facts["transform"]), best_seed_illusion(part, facts))
        )
    return pd.DataFrame(entries, columns=[*by, *SELECTION_COLUMNS.split()])


def outcome_by_checkpoint(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns one row per training, with the outcome at the checkpoints `last` and `best`.

    Outcomes are on the transformed scale.
    """
    outcome = frame.attrs["plan"]["analysis"]["outcome"]
    quality = (frame["role"] == "trial") & (frame["kind"] == "quality")
    applicable = frame["outcome"] != "not_applicable"
    rows = refuse_mixed_protocols(frame)[quality & applicable & (frame["metric"] == outcome)]
    rows.attrs = {}  # pandas would copy them in each operation
    wide = rows.pivot(index=[*ARM_COLUMNS, "seed"], columns="checkpoint", values="value")
    to = SCALES[outcome_facts(frame)["transform"]].to
    return wide.reindex(columns=["last", "best"]).map(to, na_action="ignore").reset_index()


def selection_gain(part: pd.DataFrame, transform: str) -> tuple[float, ...]:
    """Computes the columns of `checkpoint_selection` from trainings to high."""
    both = part.dropna(subset=["last", "best"])
    back = SCALES[transform].back
    means = [back(both[name].mean()) for name in ("last", "best")]
    interval = t_interval((both["best"] - both["last"]).tolist())
    ratio = math.exp if transform == "log" else float
    cells = both.groupby(ARM_COLUMNS, dropna=False).ngroups
    return interval.count, cells, *means, *map(ratio, (interval.mean, interval.low, interval.high))


def best_seed_illusion(part: pd.DataFrame, facts: dict[str, str]) -> float:
    """Computes how far the best seed is from its cell's mean, on average over cells."""
    cells = part.dropna(subset="last").groupby(ARM_COLUMNS, dropna=False)["last"]
    best = cells.min() if facts["direction"] == "lower" else cells.max()
    off = float((best - cells.mean())[cells.count() > 1].mean())
    return math.exp(off) if facts["transform"] == "log" else off
