"""Rates of failures and collapses with each trick, compared with no trick.

Trainings of one network with one seed begin with the same weights, so they count as one. Shares have
Wilson's intervals (1927) for as many trainings as networks have seeds. A trick is compared with the trainings
of the same cell and seed without tricks, in an exact randomization test (Fisher, 1935). Without an effect, the
change of each seed of a network has either sign. With one cell per network this is McNemar's test (1947).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pandas as pd
from scipy import stats

from ganbench.experiments.plan_names import ENDED_OUTCOMES

from .contrasts import BACKGROUND_COLUMNS, NETWORK_COLUMNS, holm_correct
from .factors import NO_TRICK
from .intervals import CONFIDENCE_LEVEL
from .looks import count_looks
from .rows import without_attributes

NETWORK_SEED = [*NETWORK_COLUMNS, "seed"]  # trainings with the same initial weights


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
    p: float  # two-sided over seeds of networks, Holm-corrected over all arms; NaN if no seed differs


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
    keys = [*BACKGROUND_COLUMNS, "tricks", "seed"]
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
    low, high = clustered_wilson_interval(count / total, len(own.drop_duplicates(NETWORK_SEED)))
    pairs = own.merge(
        trainings[trainings["tricks"] == NO_TRICK],
        on=[*BACKGROUND_COLUMNS, "seed"],
        suffixes=("", " none"),
    )
    change = pairs[what].astype(int) - pairs[f"{what} none"].astype(int)
    more, fewer = count_signs(change)
    p = randomization_test(change.groupby([pairs[name] for name in NETWORK_SEED]).sum())
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


def clustered_wilson_interval(share: float, count: float) -> tuple[float, float]:
    """Computes Wilson's interval of a share.

    `count` is the number of independent observations, and need not be an integer.
    """
    z2 = stats.norm.ppf((1 + CONFIDENCE_LEVEL) / 2) ** 2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = math.sqrt(z2 * (share * (1 - share) / count + z2 / (4 * count**2))) / (1 + z2 / count)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def count_signs(changes: "pd.Series[int]") -> tuple[int, int]:
    """Counts the positive and the negative changes."""
    return int((changes > 0).sum()), int((changes < 0).sum())


def randomization_test(changes: "pd.Series[int]") -> float:
    """Computes the two-sided p-value of a sum with equally probable signs; NaN for no change."""
    sizes = changes[changes != 0].abs()
    if sizes.empty:
        return math.nan
    chances = np.ones(1)  # of each sum of the positive changes
    for size in sizes:
        chances = (np.pad(chances, (0, size)) + np.pad(chances, (size, 0))) / 2
    sums = 2 * np.arange(len(chances)) - sizes.sum()
    return float(chances[abs(sums) >= abs(changes.sum())].sum())


def chances_of_drawn_sum(pool: Sequence[int], drawn: int) -> np.ndarray:
    """Computes the probability of each sum of numbers that are drawn without replacement.

    The numbers of the pool are at least 0. The place in the result is the sum.
    """
    ways = np.zeros((drawn + 1, sum(pool) + 1))  # [numbers drawn, their sum]
    ways[0, 0] = 1
    for each in pool:
        for number in range(drawn, 0, -1):
            ways[number, each:] += ways[number - 1, : ways.shape[1] - each]
    return np.asarray(ways[drawn] / math.comb(len(pool), drawn))
