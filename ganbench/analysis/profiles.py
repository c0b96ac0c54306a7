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

from .contrasts import CELL_COLUMNS
from .effects import outcome_rows
from .factors import NO_TRICK
from .intervals import CONFIDENCE_LEVEL, SCALES
from .rows import LOST_OUTCOMES, outcome_facts

PROFILE_FACTORS = (1, 1.05, 1.1, 1.25, 1.5, 2, 3, 5, 10)
BOOTSTRAP_RESAMPLES = 2000
TRIMMED_SHARE = 0.25  # of the trainings, at either end
PROFILE_TOLERANCE = 1e-9  # what rounding may take from a training that is as good as the best

Numbers = NDArray[np.float64]
Rows = NDArray[np.intp]
Random = int | np.random.Generator


def performance_profiles(
    frame: pd.DataFrame,
    factors: Sequence[float] = PROFILE_FACTORS,
    rng: Random = 0,
    resamples: int = BOOTSTRAP_RESAMPLES,
) -> pd.DataFrame:
    """The share of each arm's trainings whose outcome lies within a factor of its cell's best arm.

    The best arm lost the smallest share of its trainings and has, among those, the best mean; the
    factor is to that mean (geometric on a log scale), and 1 is as good or better. On other scales a
    factor of 1.25 stands for 0.25 standard deviations of all trainings of the data set, on the
    scale of analysis. Cells with a single arm compare nothing and are left out.

    Columns: tricks, factor, share in [0, 1] with low and high, trainings that it is a share of.
    """
    every = make_compared_arms(frame)
    arms = every.select_rows(every.names.duplicated(["cell"], keep=False).to_numpy())
    best, weights = best_row_of_cell(arms), bootstrap_weights(arms, rng, resamples)
    margins = profile_margins(frame, arms, factors)
    entries: list[dict[str, object]] = []
    for tricks in arms.names["tricks"].unique():
        shares = profile_shares(arms, arms.rows_with_tricks(tricks), best, weights, margins)
        entries += [
            {"tricks": tricks, "factor": factor, **share}
            for factor, share in zip(factors, shares, strict=True)
        ]
    return pd.DataFrame(entries, columns=["tricks", "factor", "share", "low", "high", "trainings"])


def improvement_probabilities(
    frame: pd.DataFrame, rng: Random = 0, resamples: int = BOOTSTRAP_RESAMPLES
) -> pd.DataFrame:
    """How probably a training of an arm ends better than one without tricks, in the mean of cells.

    Ties count half, and two lost trainings are a tie. Over the cells that have both arms.

    Columns: tricks, probability in [0, 1] with low and high, cells, trainings with the tricks.
    """
    arms = make_compared_arms(frame)
    nones, weights = baseline_row_of_cell(arms), bootstrap_weights(arms, rng, resamples)
    entries = []
    for tricks in arms.names["tricks"].unique():
        rows = rows_with_baseline(arms.rows_with_tricks(tricks), nones)
        if tricks != NO_TRICK and len(rows):
            probability = win_probability_entry(arms, rows, nones[rows], weights)
            entries.append({"tricks": tricks, **probability})
    return pd.DataFrame(
        entries, columns=["tricks", "probability", "low", "high", "cells", "trainings"]
    )


def interquartile_gains(
    frame: pd.DataFrame, rng: Random = 0, resamples: int = BOOTSTRAP_RESAMPLES
) -> pd.DataFrame:
    """The interquartile mean of what each arm gains on its cell's mean without tricks.

    A gain is a ratio on a log scale, and 1 is none; on other scales it is a difference on the scale
    of analysis, and 0 is none. Larger is better, whatever the outcome. The mean without tricks is
    that of the trainings that ended, and cells without one are left out: `improvement_probabilities` has them.

    No value where more than a quarter was lost: the middle half would not be of numbers. A `low` of
    0 (or minus infinity) says that this may well be so.

    Columns: tricks, iqm with low and high, failed of so many trainings.
    """
    every = make_compared_arms(frame)
    arms = every.select_rows(has_baseline(every))
    nones, weights = baseline_row_of_cell(arms), bootstrap_weights(arms, rng, resamples)
    log = outcome_facts(frame)["transform"] == "log"
    entries = []
    for tricks in arms.names["tricks"].unique():
        rows = arms.rows_with_tricks(tricks)
        gain = interquartile_gain_entry(arms, rows, nones, weights, log)
        entries.append({"tricks": tricks, **gain})
    return pd.DataFrame(entries, columns=["tricks", "iqm", "low", "high", "failed", "trainings"])


# The trainings


@dataclass(frozen=True)
class ComparedArms:
    """The compared trainings, a row an arm in a cell; where it has fewer seeds than others, NaN."""

    names: pd.DataFrame  # data, variant, loss, plan, tricks and the cell's number
    scores: Numbers  # [rows, seeds], on the scale of analysis, larger is better; lost: -inf

    @property
    def sizes(self) -> NDArray[np.int64]:
        return np.asarray((~np.isnan(self.scores)).sum(axis=1), dtype=np.int64)

    @property
    def lost(self) -> NDArray[np.int64]:
        return np.asarray(np.isneginf(self.scores).sum(axis=1), dtype=np.int64)

    def rows_with_tricks(self, tricks: str) -> Rows:
        return np.flatnonzero(self.names["tricks"] == tricks)

    def select_rows(self, is_selected: NDArray[np.bool_]) -> "ComparedArms":
        names = self.names[is_selected].reset_index(drop=True)
        return ComparedArms(names, self.scores[is_selected])


def make_compared_arms(frame: pd.DataFrame) -> ComparedArms:
    """The outcomes of all trainings that came to an end of any kind."""
    scored = score_rows(frame)
    groups = scored.groupby([*CELL_COLUMNS, "tricks"], dropna=False, sort=False)
    place = groups.cumcount().to_numpy()
    scores = np.full((groups.ngroups, place.max(initial=-1) + 1), math.nan)
    scores[groups.ngroup().to_numpy(), place] = scored["score"]
    names = scored[[*CELL_COLUMNS, "tricks"]].drop_duplicates(ignore_index=True)
    cell = names.groupby(CELL_COLUMNS, dropna=False, sort=False).ngroup()
    return ComparedArms(names.assign(cell=cell), scores)


def score_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that count, with their score."""
    values, facts = outcome_rows(frame), outcome_facts(frame)
    lost = values["outcome"].isin(LOST_OUTCOMES)
    to = SCALES[facts["transform"]].to
    transformed = values["value"].astype(float).map(to, na_action="ignore")
    score = -transformed if facts["direction"] == "lower" else transformed
    lost |= np.isinf(score)
    counted = values.assign(score=score.mask(lost, -math.inf))[lost | score.notna()]
    counted.attrs = {}  # pandas copies them at every turn
    return counted


def profile_margins(frame: pd.DataFrame, arms: ComparedArms, factors: Sequence[float]) -> Numbers:
    """How far behind counts as within a factor, on the scale of analysis. [rows, factors]"""
    if outcome_facts(frame)["transform"] == "log":
        return np.tile(np.log(factors), (len(arms.names), 1)) + PROFILE_TOLERANCE
    data = arms.names["data"]
    spread = {name: score_deviation(arms.scores[data == name]) for name in data.unique()}
    return np.outer(data.map(spread), np.subtract(factors, 1)) + PROFILE_TOLERANCE


def score_deviation(scores: Numbers) -> float:
    """Of the trainings that ended; nothing if there is but one."""
    ended = scores[np.isfinite(scores)]
    return float(ended.std(ddof=1)) if len(ended) > 1 else 0.0


# What they are held against


def best_row_of_cell(arms: ComparedArms) -> Rows:
    """For each row that of the best arm in its cell."""
    level = ended_means(arms.scores, np.ones((1, *arms.scores.shape)))[0]
    candidates = arms.names.assign(lost=arms.lost / arms.sizes, level=level)
    best_first = candidates.sort_values(["lost", "level"], ascending=[True, False])
    return first_candidate_of_cell(arms, best_first)


def baseline_row_of_cell(arms: ComparedArms) -> Rows:
    """For each row that of its cell's arm without tricks, or -1."""
    return first_candidate_of_cell(arms, arms.names[arms.names["tricks"] == NO_TRICK])


def first_candidate_of_cell(arms: ComparedArms, candidates: pd.DataFrame) -> Rows:
    """For each row the first candidate of its cell, or -1."""
    first = candidates.drop_duplicates("cell")
    rows = pd.Series(first.index, index=first["cell"])
    return rows.reindex(arms.names["cell"], fill_value=-1).to_numpy(dtype=np.intp)


def rows_with_baseline(rows: Rows, nones: Rows) -> Rows:
    """Those rows whose cell has an arm without tricks."""
    return rows[nones[rows] >= 0]


def has_baseline(arms: ComparedArms) -> NDArray[np.bool_]:
    """Which rows have a training without tricks that ended in their cell."""
    nones = baseline_row_of_cell(arms)
    return (nones >= 0) & (arms.lost < arms.sizes)[nones] if len(nones) else nones >= 0


def ended_means(scores: Numbers, weights: Numbers) -> Numbers:
    """The means of the trainings that ended: of all where none was drawn, NaN where none did.

    [rows, seeds] and [resamples, rows, seeds] => [resamples, rows]
    """
    ended = np.isfinite(scores)
    finite_scores = np.where(ended, scores, 0.0)
    drawn = np.einsum("brs,rs->br", weights, ended)
    total = np.einsum("brs,rs->br", weights, finite_scores)
    plain = finite_scores.sum(axis=1) / np.where(ended.any(axis=1), ended.sum(axis=1), math.nan)
    return np.where(drawn > 0, total / np.where(drawn > 0, drawn, 1.0), plain)


def lead_over_mean(arms: ComparedArms, rows: Rows, others: Rows, weights: Numbers) -> Numbers:
    """By how much trainings are better than the mean of another arm. [resamples, trainings]

    If that is the arm itself, its mean as it is: that of a few drawn ones is too near to each of
    them.
    """
    level = ended_means(arms.scores[others], weights[:, others])
    level[:, rows == others] = level[:1, rows == others]
    return (arms.scores[rows] - level[:, :, None]).reshape(len(weights), -1)


# The statistics: each first as it is, and then of the resamples


def profile_shares(
    arms: ComparedArms, rows: Rows, best: Rows, weights: Numbers, reach: Numbers
) -> list[dict[str, float]]:
    """For each factor how many of an arm's trainings lie within it."""
    behind = -lead_over_mean(arms, rows, best[rows], weights)
    parts = flatten_weights(weights[:, rows])
    count, several = int(arms.sizes[rows].sum()), has_repeats(arms, rows, best[rows])
    means = []
    for margin in reach[rows].T:
        within = behind <= np.repeat(margin, arms.scores.shape[1])
        share = np.einsum("bt,bt->b", parts, within) / count
        low, high = profile_share_interval(share, count, several)
        means.append({"share": share[0], "low": low, "high": high, "trainings": count})
    return means


def win_probability_entry(
    arms: ComparedArms, rows: Rows, nones: Rows, weights: Numbers
) -> dict[str, float]:
    """How probably an arm beats none."""
    tried, none = arms.scores[rows][:, :, None], arms.scores[nones][:, None, :]
    better = (tried > none) + 0.5 * (tried == none)  # [rows, seeds, seeds of none]
    pairs = arms.sizes[rows] * arms.sizes[nones]
    wins = np.einsum("brs,rst,brt->br", weights[:, rows], better, weights[:, nones], optimize=True)
    share = (wins / pairs).mean(axis=1)
    apart = len(rows) * int(np.minimum(arms.sizes[rows], arms.sizes[nones]).min())
    low, high = profile_share_interval(share, apart, has_repeats(arms, rows, nones))
    counts = {"cells": len(rows), "trainings": int(arms.sizes[rows].sum())}
    return {"probability": share[0], "low": low, "high": high, **counts}


def interquartile_gain_entry(
    arms: ComparedArms, rows: Rows, nones: Rows, weights: Numbers, log: bool
) -> dict[str, float]:
    """The middle of what an arm gains on none."""
    leads = lead_over_mean(arms, rows, nones[rows], weights)
    gains = trimmed_means(leads, flatten_weights(weights[:, rows]))
    ends = profile_mean_interval(gains, has_repeats(arms, rows, nones[rows]))
    iqm = gains[0] if np.isfinite(gains[0]) else math.nan
    counts = {"failed": int(arms.lost[rows].sum()), "trainings": int(arms.sizes[rows].sum())}
    numbers = np.exp([iqm, *ends]) if log else [iqm, *ends]
    return dict(zip(["iqm", "low", "high"], map(float, numbers), strict=True)) | counts


def trimmed_means(values: Numbers, weights: Numbers) -> Numbers:
    """Means without the lowest and the highest quarter, of as many whole trainings as that has.

    [resamples, trainings] twice => [resamples]. With weights of 1 scipy's `trim_mean` of a quarter.
    """
    order = np.argsort(values, axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    passed = np.take_along_axis(weights, order, axis=1).cumsum(axis=1)
    total = round(float(weights[0].sum()))
    cut = int(TRIMMED_SHARE * total)
    shares = np.diff(passed.clip(cut, total - cut), axis=1, prepend=cut)
    ordered[shares < PROFILE_TOLERANCE] = 0.0  # minus infinity times nothing is nothing
    return np.asarray(np.einsum("bt,bt->b", shares, ordered) / (total - 2 * cut))


# The bootstrap


def bootstrap_weights(arms: ComparedArms, rng: Random, resamples: int) -> Numbers:
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


def flatten_weights(weights: Numbers) -> Numbers:
    """[resamples, rows, seeds] => [resamples, trainings]"""
    return weights.reshape(len(weights), -1)


def has_repeats(arms: ComparedArms, rows: Rows, others: Rows) -> bool:
    """Whether there are several trainings everywhere: a single one says nothing of its error."""
    return bool((arms.sizes[rows] > 1).all() and (arms.sizes[others] > 1).all())


def profile_share_interval(shares: Numbers, count: int, several: bool) -> tuple[float, float]:
    """The interval of a share of so many independent trainings: as it is, and then of the resamples.

    Where all resamples are the same, as with a share of 0 or 1, and where there are single
    trainings, it is Clopper and Pearson's (1934), which is wide for trainings of several cells.
    """
    if several and np.ptp(shares[1:]) > PROFILE_TOLERANCE:
        return resampled_bounds(shares[1:])
    hits, tail = shares[0] * count, (1 - CONFIDENCE_LEVEL) / 2
    low = float(stats.beta.ppf(tail, hits, count - hits + 1)) if hits > PROFILE_TOLERANCE else 0.0
    misses = count - hits
    high = float(stats.beta.isf(tail, hits + 1, misses)) if misses > PROFILE_TOLERANCE else 1.0
    return low, high


def profile_mean_interval(means: Numbers, several: bool) -> tuple[float, float]:
    """The interval of a mean; none of single trainings, of equal ones, or of a mean that is not finite."""
    if not several or not np.isfinite(means[0]):
        return math.nan, math.nan
    resampled = means[1:]
    if not resampled.max() > resampled.min() + PROFILE_TOLERANCE:
        return math.nan, math.nan
    return resampled_bounds(resampled)


def resampled_bounds(resampled: Numbers) -> tuple[float, float]:
    """The ends between which resamples lie: values that occurred, as some may be infinite."""
    tails = [(1 - CONFIDENCE_LEVEL) / 2, (1 + CONFIDENCE_LEVEL) / 2]
    low, high = np.quantile(resampled, tails, method="inverted_cdf")
    return float(low), float(high)
