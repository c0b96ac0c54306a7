"""Rates: how many trainings failed or collapsed with each trick, and whether that is its doing.

Shares have Wilson's intervals (1927). Against none stand the trainings of the same cell and seed, by
McNemar's exact test (1947): of those that ended differently, did more end badly with the trick?
"""

import math
from dataclasses import dataclass, replace

import pandas as pd
from scipy import stats

from .contrasts import CELL_COLUMNS, holm_correct
from .factors import NO_TRICK
from .intervals import CONFIDENCE_LEVEL
from .rows import LOST_OUTCOMES

ENDED_OUTCOMES = ("done", *LOST_OUTCOMES)


@dataclass(frozen=True)
class FailureRate:
    """How often one thing went wrong with one arm."""

    tricks: str
    what: str  # failed (diverged or failed), collapsed
    count: int
    trainings: int
    rate: float
    low: float  # Wilson's interval
    high: float
    more: int  # it went wrong with the trick, and not with none
    fewer: int  # the other way round
    p: float  # two-sided, Holm-corrected over all arms; NaN where nothing differs


def failure_rates(frame: pd.DataFrame) -> list[FailureRate]:
    """Of every arm, none first among them; trainings that ended in whatever way."""
    trainings = ended_trainings(frame)
    measured = trainings[trainings["collapse_known"]]
    return [*rates_of("failed", trainings), *rates_of("collapsed", measured)]


def ended_trainings(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per training of the grid that ended: did it fail, did it collapse, was the latter measured?"""
    chosen = frame["role"].eq("trial") & frame["outcome"].isin(ENDED_OUTCOMES)
    trainings = frame[chosen]
    trainings.attrs = {}  # pandas copies them at every turn
    trainings = trainings.drop_duplicates([*CELL_COLUMNS, "tricks", "seed"])
    return trainings[[*CELL_COLUMNS, "tricks", "seed"]].assign(
        failed=trainings["outcome"] != "done",
        collapsed=trainings["collapsed"].fillna(False).astype(bool),
        collapse_known=trainings["collapsed"].notna(),
    )


def rates_of(what: str, trainings: pd.DataFrame) -> list[FailureRate]:
    names = dict.fromkeys([NO_TRICK, *trainings["tricks"]])
    rates = [
        make_rate(name, what, trainings) for name in names if (trainings["tricks"] == name).any()
    ]
    corrected = holm_correct([entry.p for entry in rates])
    return [replace(entry, p=p) for entry, p in zip(rates, corrected, strict=True)]


def make_rate(name: str, what: str, trainings: pd.DataFrame) -> FailureRate:
    own = trainings[trainings["tricks"] == name]
    count, total = int(own[what].sum()), len(own)
    low, high = wilson_interval(count, total)
    more, fewer = count_discordant(own, trainings[trainings["tricks"] == NO_TRICK], what)
    p = float(stats.binomtest(more, more + fewer).pvalue) if more + fewer else math.nan
    return FailureRate(
        tricks=name,
        what=what,
        count=count,
        trainings=total,
        rate=count / total,
        low=low,
        high=high,
        more=more,
        fewer=fewer,
        p=p,
    )


def wilson_interval(count: int, total: int) -> tuple[float, float]:
    """Wilson's interval of a share, at the level of all intervals of the analysis."""
    interval = stats.binomtest(count, total).proportion_ci(CONFIDENCE_LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def count_discordant(own: pd.DataFrame, none: pd.DataFrame, what: str) -> tuple[int, int]:
    """In how many cells and seeds it went wrong with the trick alone, and with none alone."""
    both = own.merge(none, on=[*CELL_COLUMNS, "seed"], suffixes=("", " none"))
    with_trick, with_none = both[what], both[f"{what} none"]
    return int((with_trick & ~with_none).sum()), int((~with_trick & with_none).sum())
