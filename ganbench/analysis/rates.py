"""Rates of failures and collapses with each trick, compared with no trick.

Shares have Wilson's intervals (1927). A trick is compared with the trainings of the same cell and seed
without tricks in McNemar's exact test (1947). Among pairs with different results, the test compares
how many ended badly with the trick and without it.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import pandas as pd
from scipy import stats

from ganbench.experiments.plan_names import ENDED_OUTCOMES

from .contrasts import CELL_COLUMNS, holm_correct
from .factors import NO_TRICK
from .intervals import CONFIDENCE_LEVEL
from .looks import count_looks
from .rows import without_attributes


@dataclass(frozen=True)
class FailureRate:
    """The rate of one kind of failure in one arm."""

    tricks: str
    what: str  # failed (diverged or failed), collapsed
    count: int
    trainings: int
    rate: float
    low: float  # Wilson's interval
    high: float
    more: int  # pairs that went wrong with the trick only
    fewer: int  # pairs that went wrong without the trick only
    p: float  # two-sided, Holm-corrected over all arms; NaN if no pair differs


def failure_rates(frame: pd.DataFrame) -> list[FailureRate]:
    """Returns the rates of all arms, the arm without tricks first, over all ended trainings."""
    trainings = ended_trainings(frame)
    measured = trainings[trainings["collapse_known"]]
    looks = count_looks(frame.attrs["plan"])
    return [*rates_of("failed", trainings, looks), *rates_of("collapsed", measured, looks)]


def ended_trainings(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns one row per ended training of the grid.

    The columns give whether it failed, whether it collapsed, and whether the collapse was measured.
    """
    chosen = frame["role"].eq("trial") & frame["outcome"].isin(ENDED_OUTCOMES)
    keys = [*CELL_COLUMNS, "tricks", "seed"]
    trainings = without_attributes(frame).loc[chosen, [*keys, "outcome", "collapsed"]]
    trainings = trainings.drop_duplicates(keys)
    return trainings[keys].assign(
        failed=trainings["outcome"] != "done",
        collapsed=trainings["collapsed"].fillna(False).astype(bool),
        collapse_known=trainings["collapsed"].notna(),
    )


def rates_of(what: str, trainings: pd.DataFrame, looks: int = 1) -> list[FailureRate]:
    """Returns the rates of one kind of failure, with p corrected for arms and looks."""
    names = dict.fromkeys([NO_TRICK, *trainings["tricks"]])
    rates = [
        make_rate(name, what, trainings) for name in names if (trainings["tricks"] == name).any()
    ]
    corrected = holm_correct([entry.p * looks for entry in rates])
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


@lru_cache(maxsize=1024)  # a large suite asks thousands of times for the same few counts
def wilson_interval(count: int, total: int) -> tuple[float, float]:
    """Computes Wilson's interval of a share at the confidence level of all analyses."""
    interval = stats.binomtest(count, total).proportion_ci(CONFIDENCE_LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def count_discordant(own: pd.DataFrame, none: pd.DataFrame, what: str) -> tuple[int, int]:
    """Counts the cells and seeds that failed only with the trick, and only without it."""
    both = own.merge(none, on=[*CELL_COLUMNS, "seed"], suffixes=("", " none"))
    with_trick, with_none = both[what], both[f"{what} none"]
    return int((with_trick & ~with_none).sum()), int((~with_trick & with_none).sum())
