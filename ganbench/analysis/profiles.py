"""Profiles: how often an arm comes close to the best of its cell (Dolan and Moré, 2002).

Beside them its interquartile mean, and how probably it beats none (Agarwal et al., 2021). Trainings
that diverged or failed count as infinitely bad everywhere; what was not run, does not apply or
could not be measured is left out.

Intervals are of 95 %, from a bootstrap over the seeds of each arm in each cell. It draws n - 1 of n
seeds (McCarthy and Snowden, 1985): as many as there are would make errors too small by the root of
(n - 1) / n, which is a lot for few seeds. They hold as often as they say over many cells; those of
a single cell of three seeds may hold in no more than 80 of 100 cases. Luck that arms share by a
seed is not taken out, which makes intervals wide rather than narrow. Which arm is best is taken as
found.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from .contrasts import CELL
from .effects import outcomes
from .intervals import LEVEL, SCALES

FACTORS = (1, 1.05, 1.1, 1.25, 1.5, 2, 3, 5, 10)
RESAMPLES = 2000
TRIMMED = 0.25  # of the trainings, at either end
NEAR = 1e-9  # what rounding may take from a training that is as good as the best

Numbers = NDArray[np.float64]
Rows = NDArray[np.intp]
Random = int | np.random.Generator


def profiles(
    frame: pd.DataFrame,
    factors: Sequence[float] = FACTORS,
    rng: Random = 0,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """The share of each arm's trainings whose outcome lies within a factor of its cell's best arm.

    The best arm lost the smallest share of its trainings and has, among those, the best mean; the
    factor is to that mean (geometric on a log scale), and 1 is as good or better. On other scales a
    factor of 1.25 stands for 0.25 standard deviations of all trainings of the data set, on the
    scale of analysis. Cells with a single arm compare nothing and are left out.

    Columns: tricks, factor, share in [0, 1] with low and high, trainings that it is a share of.
    """
    every = compared(frame)
    arms = every.only(every.names.duplicated(["cell"], keep=False).to_numpy())
    best, weights = best_rows(arms), draws(arms, rng, resamples)
    found = [
        {"tricks": tricks, "factor": factor, **share}
        for tricks in arms.names["tricks"].unique()
        for factor, share in zip(
            factors,
            shares(arms, arms.rows(tricks), best, weights, margins(frame, arms, factors)),
            strict=True,
        )
    ]
    return pd.DataFrame(found, columns=["tricks", "factor", "share", "low", "high", "trainings"])


def improvement(frame: pd.DataFrame, rng: Random = 0, resamples: int = RESAMPLES) -> pd.DataFrame:
    """How probably a training of an arm ends better than one without tricks, in the mean of cells.

    Ties count half, and two lost trainings are a tie. Over the cells that have both arms.

    Columns: tricks, probability in [0, 1] with low and high, cells, trainings with the tricks.
    """
    arms = compared(frame)
    nones, weights = none_rows(arms), draws(arms, rng, resamples)
    found = [
        {"tricks": tricks, **won(arms, rows, nones[rows], weights)}
        for tricks in arms.names["tricks"].unique()
        if tricks != "none" and len(rows := beside(arms.rows(tricks), nones))
    ]
    return pd.DataFrame(
        found, columns=["tricks", "probability", "low", "high", "cells", "trainings"]
    )


def middle(frame: pd.DataFrame, rng: Random = 0, resamples: int = RESAMPLES) -> pd.DataFrame:
    """The interquartile mean of what each arm gains on its cell's mean without tricks.

    A gain is a ratio on a log scale, and 1 is none; on other scales it is a difference on the scale
    of analysis, and 0 is none. Larger is better, whatever the outcome. The mean without tricks is
    that of the trainings that ended, and cells without one are left out: `improvement` has them.

    No value where more than a quarter was lost: the middle half would not be of numbers. A `low` of
    0 (or minus infinity) says that this may well be so.

    Columns: tricks, iqm with low and high, failed of so many trainings.
    """
    every = compared(frame)
    arms = every.only(yardstick(every))
    nones, weights = none_rows(arms), draws(arms, rng, resamples)
    log = facts(frame)["transform"] == "log"
    found = [
        {"tricks": tricks, **gained(arms, arms.rows(tricks), nones, weights, log)}
        for tricks in arms.names["tricks"].unique()
    ]
    return pd.DataFrame(found, columns=["tricks", "iqm", "low", "high", "failed", "trainings"])


# The trainings


@dataclass(frozen=True)
class Arms:
    """The compared trainings, a row an arm in a cell; where it has fewer seeds than others, NaN."""

    names: pd.DataFrame  # data, variant, loss, plan, tricks and the cell's number
    scores: Numbers  # [rows, seeds], on the scale of analysis, larger is better; lost: -inf

    @property
    def sizes(self) -> NDArray[np.int64]:
        return np.asarray((~np.isnan(self.scores)).sum(axis=1), dtype=np.int64)

    @property
    def lost(self) -> NDArray[np.int64]:
        return np.asarray(np.isneginf(self.scores).sum(axis=1), dtype=np.int64)

    def rows(self, tricks: str) -> Rows:
        return np.flatnonzero(self.names["tricks"] == tricks)

    def only(self, kept: NDArray[np.bool_]) -> "Arms":
        return Arms(self.names[kept].reset_index(drop=True), self.scores[kept])


def compared(frame: pd.DataFrame) -> Arms:
    """The outcomes of all trainings that came to an end of any kind."""
    known = scored(frame)
    groups = known.groupby([*CELL, "tricks"], dropna=False, sort=False)
    place = groups.cumcount().to_numpy()
    scores = np.full((groups.ngroups, place.max(initial=-1) + 1), math.nan)
    scores[groups.ngroup().to_numpy(), place] = known["score"]
    names = known[[*CELL, "tricks"]].drop_duplicates(ignore_index=True)
    cell = names.groupby(CELL, dropna=False, sort=False).ngroup()
    return Arms(names.assign(cell=cell), scores)


def scored(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that count, with their score."""
    values, told = outcomes(frame), facts(frame)
    lost = values["outcome"].isin(["diverged", "failed"])
    there = values["value"].astype(float).map(SCALES[told["transform"]].to, na_action="ignore")
    score = -there if told["direction"] == "lower" else there
    lost |= np.isinf(score)
    known = values.assign(score=score.mask(lost, -math.inf))[lost | score.notna()]
    known.attrs = {}  # pandas copies them at every turn
    return known


def facts(frame: pd.DataFrame) -> dict[str, str]:
    """Of the declared outcome."""
    plan = frame.attrs["plan"]
    return dict(plan["metrics"][plan["analysis"]["outcome"]])


def margins(frame: pd.DataFrame, arms: Arms, factors: Sequence[float]) -> Numbers:
    """How far behind counts as within a factor, on the scale of analysis. [rows, factors]"""
    if facts(frame)["transform"] == "log":
        return np.tile(np.log(factors), (len(arms.names), 1)) + NEAR
    data = arms.names["data"]
    spread = {name: deviation(arms.scores[data == name]) for name in data.unique()}
    return np.outer(data.map(spread), np.subtract(factors, 1)) + NEAR


def deviation(scores: Numbers) -> float:
    """Of the trainings that ended; nothing if there is but one."""
    ended = scores[np.isfinite(scores)]
    return float(ended.std(ddof=1)) if len(ended) > 1 else 0.0


# What they are held against


def best_rows(arms: Arms) -> Rows:
    """For each row that of the best arm in its cell."""
    level = means(arms.scores, np.ones((1, *arms.scores.shape)))[0]
    told = arms.names.assign(lost=arms.lost / arms.sizes, level=level)
    return of_cell(arms, told.sort_values(["lost", "level"], ascending=[True, False]))


def none_rows(arms: Arms) -> Rows:
    """For each row that of its cell's arm without tricks, or -1."""
    return of_cell(arms, arms.names[arms.names["tricks"] == "none"])


def of_cell(arms: Arms, candidates: pd.DataFrame) -> Rows:
    """For each row the first candidate of its cell, or -1."""
    first = candidates.drop_duplicates("cell")
    rows = pd.Series(first.index, index=first["cell"])
    return rows.reindex(arms.names["cell"], fill_value=-1).to_numpy(dtype=np.intp)


def beside(rows: Rows, nones: Rows) -> Rows:
    """Those rows whose cell has an arm without tricks."""
    return rows[nones[rows] >= 0]


def yardstick(arms: Arms) -> NDArray[np.bool_]:
    """Which rows have a training without tricks that ended in their cell."""
    nones = none_rows(arms)
    return (nones >= 0) & (arms.lost < arms.sizes)[nones] if len(nones) else nones >= 0


def means(scores: Numbers, weights: Numbers) -> Numbers:
    """The means of the trainings that ended: of all where none was drawn, NaN where none did.

    [rows, seeds] and [resamples, rows, seeds] => [resamples, rows]
    """
    ended = np.isfinite(scores)
    known = np.where(ended, scores, 0.0)
    drawn = np.einsum("brs,rs->br", weights, ended)
    total = np.einsum("brs,rs->br", weights, known)
    plain = known.sum(axis=1) / np.where(ended.any(axis=1), ended.sum(axis=1), math.nan)
    return np.where(drawn > 0, total / np.where(drawn > 0, drawn, 1.0), plain)


def ahead(arms: Arms, rows: Rows, others: Rows, weights: Numbers) -> Numbers:
    """By how much trainings are better than the mean of another arm. [resamples, trainings]

    If that is the arm itself, its mean as it is: that of a few drawn ones is too near to each of
    them.
    """
    level = means(arms.scores[others], weights[:, others])
    level[:, rows == others] = level[:1, rows == others]
    return (arms.scores[rows] - level[:, :, None]).reshape(len(weights), -1)


# The statistics: each first as it is, and then of the resamples


def shares(
    arms: Arms, rows: Rows, best: Rows, weights: Numbers, reach: Numbers
) -> list[dict[str, float]]:
    """For each factor how many of an arm's trainings lie within it."""
    behind, parts = -ahead(arms, rows, best[rows], weights), flat(weights[:, rows])
    count, several = int(arms.sizes[rows].sum()), repeated(arms, rows, best[rows])
    found = []
    for margin in reach[rows].T:
        within = behind <= np.repeat(margin, arms.scores.shape[1])
        share = np.einsum("bt,bt->b", parts, within) / count
        low, high = share_interval(share, count, several)
        found.append({"share": share[0], "low": low, "high": high, "trainings": count})
    return found


def won(arms: Arms, rows: Rows, nones: Rows, weights: Numbers) -> dict[str, float]:
    """How probably an arm beats none."""
    tried, none = arms.scores[rows][:, :, None], arms.scores[nones][:, None, :]
    better = (tried > none) + 0.5 * (tried == none)  # [rows, seeds, seeds of none]
    pairs = arms.sizes[rows] * arms.sizes[nones]
    wins = np.einsum("brs,rst,brt->br", weights[:, rows], better, weights[:, nones], optimize=True)
    share = (wins / pairs).mean(axis=1)
    apart = len(rows) * int(np.minimum(arms.sizes[rows], arms.sizes[nones]).min())
    low, high = share_interval(share, apart, repeated(arms, rows, nones))
    told = {"cells": len(rows), "trainings": int(arms.sizes[rows].sum())}
    return {"probability": share[0], "low": low, "high": high, **told}


def gained(arms: Arms, rows: Rows, nones: Rows, weights: Numbers, log: bool) -> dict[str, float]:
    """The middle of what an arm gains on none."""
    found = trimmed(ahead(arms, rows, nones[rows], weights), flat(weights[:, rows]))
    ends = mean_interval(found, repeated(arms, rows, nones[rows]))
    iqm = found[0] if np.isfinite(found[0]) else math.nan
    told = {"failed": int(arms.lost[rows].sum()), "trainings": int(arms.sizes[rows].sum())}
    numbers = np.exp([iqm, *ends]) if log else [iqm, *ends]
    return dict(zip(["iqm", "low", "high"], map(float, numbers), strict=True)) | told


def trimmed(values: Numbers, weights: Numbers) -> Numbers:
    """Means without the lowest and the highest quarter, of as many whole trainings as that has.

    [resamples, trainings] twice => [resamples]. With weights of 1 scipy's `trim_mean` of a quarter.
    """
    order = np.argsort(values, axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    passed = np.take_along_axis(weights, order, axis=1).cumsum(axis=1)
    whole = round(float(weights[0].sum()))
    cut = int(TRIMMED * whole)
    kept = np.diff(passed.clip(cut, whole - cut), axis=1, prepend=cut)
    ordered[kept < NEAR] = 0.0  # minus infinity times nothing is nothing
    return np.asarray(np.einsum("bt,bt->b", kept, ordered) / (whole - 2 * cut))


# The bootstrap


def draws(arms: Arms, rng: Random, resamples: int) -> Numbers:
    """How much each training counts: 1 in the first place, and then as resamples have drawn it.

    n - 1 are drawn of n, and each counts n / (n - 1); a single one always counts. Of what is not
    there nothing is drawn. [1 + resamples, rows, seeds]
    """
    random, sizes, seeds = np.random.default_rng(rng), arms.sizes, arms.scores.shape[1]
    counts = np.zeros((1 + resamples, len(sizes), seeds), dtype=np.int16)
    for turn in range(seeds - 1):
        drawn = (random.random(counts.shape[:2]) * sizes).astype(np.int16)
        drawn[:, sizes - 1 <= turn] = -1
        counts += drawn[:, :, None] == np.arange(seeds, dtype=np.int16)
    weights = counts * (sizes / np.maximum(sizes - 1, 1))[:, None]
    present = ~np.isnan(arms.scores)
    weights[0] = present
    weights[:, sizes == 1] = present[sizes == 1]
    return np.asarray(weights)


def flat(weights: Numbers) -> Numbers:
    """[resamples, rows, seeds] => [resamples, trainings]"""
    return weights.reshape(len(weights), -1)


def repeated(arms: Arms, rows: Rows, others: Rows) -> bool:
    """Whether there are several trainings everywhere: a single one says nothing of its error."""
    return bool((arms.sizes[rows] > 1).all() and (arms.sizes[others] > 1).all())


def share_interval(found: Numbers, count: int, several: bool) -> tuple[float, float]:
    """Of a share of so many independent trainings.

    Where all resamples are the same, as with a share of 0 or 1, and where there are single
    trainings, it is Clopper and Pearson's (1934), which is wide for trainings of several cells.
    """
    if several and np.ptp(found[1:]) > NEAR:
        return quantiles(found[1:])
    hits, tail = found[0] * count, (1 - LEVEL) / 2
    low = float(stats.beta.ppf(tail, hits, count - hits + 1)) if hits > NEAR else 0.0
    misses = count - hits
    high = float(stats.beta.isf(tail, hits + 1, misses)) if misses > NEAR else 1.0
    return low, high


def mean_interval(found: Numbers, several: bool) -> tuple[float, float]:
    """Of a mean; none of single trainings, of equal ones, or of what has no mean itself."""
    if not several or not np.isfinite(found[0]) or not found[1:].max() > found[1:].min() + NEAR:
        return math.nan, math.nan
    return quantiles(found[1:])


def quantiles(resampled: Numbers) -> tuple[float, float]:
    """The ends between which resamples lie: values that occurred, as some may be infinite."""
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    low, high = np.quantile(resampled, tails, method="inverted_cdf")
    return float(low), float(high)
