"""Rates: how many trainings failed or collapsed with each trick, and whether that is its doing.

Shares have Wilson's intervals (1927). Against none stand the trainings of the same cell and seed, by
McNemar's exact test (1947): of those that ended differently, did more end badly with the trick?
"""

import math
from dataclasses import dataclass, replace

import pandas as pd
from scipy import stats

from .contrasts import CELL, holm
from .factors import NONE
from .intervals import LEVEL

ENDED = ("done", "diverged", "failed")


@dataclass(frozen=True)
class Rate:
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


def rates(frame: pd.DataFrame) -> list[Rate]:
    """Of every arm, none first among them; trainings that ended in whatever way."""
    trainings = ends(frame)
    return [*of("failed", trainings), *of("collapsed", trainings[trainings["known"]])]


def ends(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a training of the grid that ended: did it fail, did it collapse, is the latter known?"""
    chosen = frame["role"].eq("trial") & frame["outcome"].isin(ENDED)
    found = frame[chosen]
    found.attrs = {}  # pandas copies them at every turn
    found = found.drop_duplicates([*CELL, "tricks", "seed"])
    return found[[*CELL, "tricks", "seed"]].assign(
        failed=found["outcome"] != "done",
        collapsed=found["collapsed"].fillna(False).astype(bool),
        known=found["collapsed"].notna(),
    )


def of(what: str, trainings: pd.DataFrame) -> list[Rate]:
    names = dict.fromkeys([NONE, *trainings["tricks"]])
    found = [rate(name, what, trainings) for name in names if (trainings["tricks"] == name).any()]
    corrected = holm([entry.p for entry in found])
    return [replace(entry, p=p) for entry, p in zip(found, corrected, strict=True)]


def rate(name: str, what: str, trainings: pd.DataFrame) -> Rate:
    own = trainings[trainings["tricks"] == name]
    count, total = int(own[what].sum()), len(own)
    low, high = wilson(count, total)
    more, fewer = discordant(own, trainings[trainings["tricks"] == NONE], what)
    p = float(stats.binomtest(more, more + fewer).pvalue) if more + fewer else math.nan
    return Rate(name, what, count, total, count / total, low, high, more, fewer, p)


def wilson(count: int, total: int) -> tuple[float, float]:
    """Wilson's interval of a share, at the level of all intervals here."""
    found = stats.binomtest(count, total).proportion_ci(LEVEL, method="wilson")
    return float(found.low), float(found.high)


def discordant(own: pd.DataFrame, none: pd.DataFrame, what: str) -> tuple[int, int]:
    """In how many cells and seeds it went wrong with the trick alone, and with none alone."""
    both = own.merge(none, on=[*CELL, "seed"], suffixes=("", " none"))
    return int((both[what] & ~both[f"{what} none"]).sum()), int(
        (~both[what] & both[f"{what} none"]).sum()
    )
