"""Rank intervals: the ranks of an arm that pairwise tests leave open.

Welch's test compares the arm with each other arm of its data set, and Holm's method corrects the tests of
one arm. Two arms are separable if the corrected tests of both decide, so that their rows never disagree.
The best open rank is one more than the number of arms that are separably better; the worst is the number
of arms that are not separably worse (compare Al Mohamad, Goeman and van Zwet, 2021).

Each interval covers the true rank of its arm with a probability of at least 95 %. This is the meaning of
the intervals of means beside it, one arm at a time; it is no statement about all arms at once.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from .intervals import CONFIDENCE_LEVEL

ALPHA = 1 - CONFIDENCE_LEVEL
MAX_PAIRS_PER_BLOCK = 2**19  # their matrices take some 4 MB each
Matrix = NDArray[np.float64]
Places = NDArray[np.int64]
Decisions = NDArray[np.bool_]


def intervals_of_pairs(
    arms: Sequence[Sequence[float]], separable: Decisions, lower: bool
) -> list[tuple[int, int] | None]:
    """Returns the best and the worst open rank of each arm, or None for an arm with one seed.

    `arms` has the values of each arm's seeds on the scale of the analysis, and `separable` its pairs. With
    `lower`, smaller values are better. Arms without variance are separated from no arm of the same kind.
    """
    means = mean_of_arms(arms)
    ranks: list[tuple[int, int] | None] = []
    for own, decided, values in zip(means, separable, arms, strict=True):
        is_better = means < own if lower else means > own
        best = 1 + int((decided & is_better).sum())
        worst = len(arms) - int((decided & ~is_better).sum())
        ranks.append((best, worst) if len(values) > 1 else None)
    return ranks


def separable_pairs(arms: Sequence[Sequence[float]], looks: int = 1) -> Decisions:
    """Returns which pairs of arms are separable: the corrected tests of both arms decide.

    The shape is [arms, arms]. With adaptive seeds, the two arms of a pair may end after different looks, so
    that the tests are corrected for all pairs of looks.
    """
    counts = np.array([len(values) for values in arms])
    means, errors = mean_of_arms(arms), squared_errors(arms)
    blocks = np.array_split(np.arange(len(arms)), -(-(len(arms) ** 2) // MAX_PAIRS_PER_BLOCK))
    rows = [
        holm_adjusted_rows(pairwise_p(block, means, errors, counts), block) < ALPHA / looks**2
        for block in blocks
    ]
    decided: Decisions = np.concatenate(rows)
    return decided & decided.T


def mean_of_arms(arms: Sequence[Sequence[float]]) -> Matrix:
    return np.array([np.mean(values) for values in arms], dtype=float)


def squared_errors(arms: Sequence[Sequence[float]]) -> Matrix:
    """Returns the squared standard error of each arm's mean; NaN for an arm with one seed."""
    return np.array([np.var(v, ddof=1) / len(v) if len(v) > 1 else np.nan for v in arms])


def pairwise_p(block: Places, means: Matrix, errors: Matrix, counts: NDArray[np.int64]) -> Matrix:
    """Computes Welch's two-sided p of a block of arms against all; 1 for pairs without a test.

    The shape is [block, arms].
    """
    both = errors[block, None] + errors[None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = errors**2 / (counts - 1)
        freedom = both**2 / (terms[block, None] + terms[None, :])
        t = np.abs(means[block, None] - means[None, :]) / np.sqrt(both)
        p = 2 * special.stdtr(freedom, -t)
    return np.where(np.isfinite(p) & (both > 0), p, 1.0)


def holm_adjusted_rows(p: Matrix, own: Places) -> Matrix:
    """Applies Holm's correction to each row, without the entry of the row's own arm."""
    rows, size = np.arange(len(p)), p.shape[1]
    others = p.copy()
    others[rows, own] = 2.0  # sorts last
    order = np.argsort(others, axis=1, kind="stable")
    factors = np.maximum(size - 1 - np.arange(size), 0)
    stepped = np.maximum.accumulate(np.take_along_axis(others, order, axis=1) * factors, axis=1)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.minimum(stepped, 1.0), axis=1)
    adjusted[rows, own] = 1.0
    return adjusted


def format_rank_interval(low: object, high: object) -> str:
    """Formats open ranks as `2–9`; empty for a missing interval."""
    if pd.isna(low) or pd.isna(high):  # type: ignore[call-overload]
        return ""
    return f"{low}" if low == high else f"{low}–{high}"
