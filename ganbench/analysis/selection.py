"""Selection (Cawley and Talbot, 2010): what choosing the best of several would have promised.

The best checkpoint is chosen on other samples than those it is reported on: its gain is real.
The best seed is chosen by the very value that is reported: its gain may all be chance.
"""

import math
from collections.abc import Sequence

import pandas as pd

from .intervals import SCALES, t_interval
from .rows import ARM_COLUMNS, outcome_facts, refuse_mixed_protocols

SELECTION_COLUMNS = "trainings cells last best ratio low high best_seed_illusion"


def checkpoint_selection(frame: pd.DataFrame, by: Sequence[str] = ARM_COLUMNS) -> pd.DataFrame:
    """The outcome at the last checkpoint beside that at the best, a row a cell, or by columns.

    Columns: those of `by`; trainings, with a value at both checkpoints, and cells that they are
    of; last and best, their means on the metric's scale, given back (geometric on a logarithmic
    one); ratio of best to last, with the 95 % t interval low to high, paired by training.
    best_seed_illusion: the best seed's value over its cell's mean, at the last checkpoint, on
    average over cells of two trainings or more. By chance alone it lies 0.85 standard deviations
    from the mean with 3 normal seeds, 1.16 with 5 and 1.54 with 10. Where the metric's scale is
    not logarithmic, ratios are differences on it.
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
    """A row a training: the outcome at `last` and at `best`, on its scale."""
    outcome = frame.attrs["plan"]["analysis"]["outcome"]
    quality = (frame["role"] == "trial") & (frame["kind"] == "quality")
    applicable = frame["outcome"] != "not_applicable"
    rows = refuse_mixed_protocols(frame)[quality & applicable & (frame["metric"] == outcome)]
    rows.attrs = {}  # pandas copies them at every turn
    wide = rows.pivot(index=[*ARM_COLUMNS, "seed"], columns="checkpoint", values="value")
    to = SCALES[outcome_facts(frame)["transform"]].to
    return wide.reindex(columns=["last", "best"]).map(to, na_action="ignore").reset_index()


def selection_gain(part: pd.DataFrame, transform: str) -> tuple[float, ...]:
    """From trainings to high of a row of `checkpoint_selection`."""
    both = part.dropna(subset=["last", "best"])
    back = SCALES[transform].back
    means = [back(both[name].mean()) for name in ("last", "best")]
    interval = t_interval((both["best"] - both["last"]).tolist())
    ratio = math.exp if transform == "log" else float
    cells = both.groupby(ARM_COLUMNS, dropna=False).ngroups
    return interval.count, cells, *means, *map(ratio, (interval.mean, interval.low, interval.high))


def best_seed_illusion(part: pd.DataFrame, facts: dict[str, str]) -> float:
    """How far the best seed lies from its cell's mean."""
    cells = part.dropna(subset="last").groupby(ARM_COLUMNS, dropna=False)["last"]
    best = cells.min() if facts["direction"] == "lower" else cells.max()
    off = float((best - cells.mean())[cells.count() > 1].mean())
    return math.exp(off) if facts["transform"] == "log" else off
