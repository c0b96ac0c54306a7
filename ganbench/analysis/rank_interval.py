"""Rank intervals: the ranks of an arm that pairwise tests leave open.

Welch's test compares the arm with each other arm of its data set, and Holm's method corrects the tests of
one arm. The best open rank is one more than the number of arms that are significantly better; the worst is
the number of arms that are not significantly worse (compare Al Mohamad, Goeman and van Zwet, 2021).

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


def rank_intervals(arms: Sequence[Sequence[float]], lower: bool) -> list[tuple[int, int] | None]:
    """Returns the best and the worst open rank of each arm, or None for an arm with one seed.

    `arms` has the values of each arm's seeds on the scale of the analysis. With `lower`, smaller values are
    better. Arms without variance are separated from no arm of the same kind.
    """
    counts = np.array([len(values) for values in arms])
    means = np.array([np.mean(values) for values in arms], dtype=float)
    errors = squared_errors(arms)
    places = np.arange(len(arms))
    blocks = np.array_split(places, -(-(len(arms) ** 2) // MAX_PAIRS_PER_BLOCK))
    ranks: list[tuple[int, int]] = []
    for block in blocks:
        is_different = holm_adjusted_rows(pairwise_p(block, means, errors, counts), block) < ALPHA
        gaps = means[None, :] - means[block, None]
        is_better = gaps < 0 if lower else gaps > 0
        best = 1 + (is_different & is_better).sum(axis=1)
        worst = len(arms) - (is_different & ~is_better).sum(axis=1)
        ranks += zip(best.tolist(), worst.tolist(), strict=True)
    return [rank if n > 1 else None for rank, n in zip(ranks, counts, strict=True)]


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
