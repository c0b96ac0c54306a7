"""Performance profiles: how often an arm is close to the best one (Dolan and Moré, 2002).

The module also computes interquartile means and probabilities of improvement (Agarwal et al., 2021).
Trainings that diverged or failed count as infinitely bad everywhere. Trainings that were not run, are
not applicable, or could not be measured are left out.

The 95 % intervals come from a bootstrap over the seeds of each network, shared by its backgrounds and arms. It
draws n - 1 of n seeds (McCarthy and Snowden, 1985). Drawing n would make errors too small by a factor of
sqrt((n - 1) / n), which matters for few seeds. An interval is the estimate plus and minus t standard errors,
with as many degrees of freedom as the seeds of all networks have. In simulations it covers 93 % or more, and
88 % or more with three seeds of one network. The best arm of a background is taken as known.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from ganbench.experiments.plan_names import LOST_OUTCOMES

from .contrasts import BACKGROUND_COLUMNS, NETWORK_COLUMNS
from .effects import outcome_rows
from .factors import NO_TRICK
from .intervals import CONFIDENCE_LEVEL
from .metric_scale import MetricScale, outcome_scale
from .rows import without_attributes

PROFILE_FACTORS = (1, 1.05, 1.1, 1.25, 1.5, 2, 3, 5, 10)
BOOTSTRAP_RESAMPLES = 2000
TRIMMED_SHARE = 0.25  # of the trainings, at each end
PROFILE_TOLERANCE = 1e-9  # the rounding error of a training that is as good as the best

Numbers = NDArray[np.float64]
Rows = NDArray[np.intp]
Random = int | np.random.Generator


def performance_profiles(
    frame: pd.DataFrame,
    factors: Sequence[float] = PROFILE_FACTORS,
    rng: Random = 0,
    resamples: int = BOOTSTRAP_RESAMPLES,
) -> pd.DataFrame:
    """Computes the share of each arm's trainings within a factor of the background's best arm.

    The best arm has the smallest share of lost trainings, and the best mean among arms with that share. A
    factor is relative to its mean (geometric on a log scale); factor 1 means as good or better. On other
    scales a factor of 1.25 means 0.25 standard deviations of all trainings of the data set, on the scale of
    analysis. Backgrounds with a single arm are left out.

    Columns: tricks; factor; share in [0, 1] with low and high; trainings, the denominator of the share.
    """
    every = make_compared_arms(frame)
    arms = every.select_rows(every.names.duplicated(["background"], keep=False).to_numpy())
    best, weights = best_row_of_background(arms), bootstrap_weights(arms, rng, resamples)
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
    """Computes how probably a training of an arm ends better than one without tricks.

    The probability is the mean over backgrounds with both arms. Ties count half; two lost trainings are a tie.

    Columns: tricks, probability in [0, 1] with low and high, cells, trainings with the tricks.
    """
    arms = make_compared_arms(frame)
    nones, weights = baseline_row_of_background(arms), bootstrap_weights(arms, rng, resamples)
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
    """Computes the interquartile mean of each arm's gain over the mean without tricks.

    A gain is a ratio on a log scale, where 1 is no gain. On other scales it is a difference on the scale of
    analysis, where 0 is no gain. Larger is better for all metrics. The mean without tricks is over the
    trainings that ended. Backgrounds without such a mean are left out here, but `improvement_probabilities`
    includes them.

    If more than a quarter of the trainings was lost, there is no value: the middle half then contains lost
    trainings. If `low` is 0 (or minus infinity), this may well be so.

    Columns: tricks; iqm with low and high; failed; trainings.
    """
    every = make_compared_arms(frame)
    arms = every.select_rows(has_baseline(every))
    nones, weights = baseline_row_of_background(arms), bootstrap_weights(arms, rng, resamples)
    log = outcome_scale(frame).is_log
    entries = []
    for tricks in arms.names["tricks"].unique():
        rows = arms.rows_with_tricks(tricks)
        gain = interquartile_gain_entry(arms, rows, nones, weights, log)
        entries.append({"tricks": tricks, **gain})
    return pd.DataFrame(entries, columns=["tricks", "iqm", "low", "high", "failed", "trainings"])


# The trainings


@dataclass(frozen=True)
class ComparedArms:
    """The compared trainings, with one row per arm in a background.

    Arms with fewer seeds than others are filled with NaN.
    """

    names: pd.DataFrame  # data, variant, loss, plan, tricks and the background's number
    scores: Numbers  # [rows, seeds] on the scale of analysis; larger is better, lost is -inf

    @property
    def sizes(self) -> NDArray[np.int64]:
        return np.asarray((~np.isnan(self.scores)).sum(axis=1), dtype=np.int64)

    @property
    def lost(self) -> NDArray[np.int64]:
        return np.asarray(np.isneginf(self.scores).sum(axis=1), dtype=np.int64)

    @property
    def networks(self) -> NDArray[np.int64]:
        """The number of each row's network; rows with the same one share seeds."""
        groups = self.names.groupby(NETWORK_COLUMNS, dropna=False, sort=False)
        return np.asarray(groups.ngroup(), dtype=np.int64)

    def seeds_of_networks(self, rows: Rows, others: Rows) -> NDArray[np.int64]:
        """Returns the seeds of each network that all its compared rows have; they are independent."""
        smaller = np.minimum(self.sizes[rows], self.sizes[others])
        networks = self.networks[rows]
        return np.array([smaller[networks == each].min() for each in np.unique(networks)])

    def rows_with_tricks(self, tricks: str) -> Rows:
        return np.flatnonzero(self.names["tricks"] == tricks)

    def select_rows(self, is_selected: NDArray[np.bool_]) -> "ComparedArms":
        names = self.names[is_selected].reset_index(drop=True)
        return ComparedArms(names, self.scores[is_selected])


def make_compared_arms(frame: pd.DataFrame) -> ComparedArms:
    """Collects the outcomes of all trainings that were done, diverged or failed."""
    scored = score_rows(outcome_rows(frame), outcome_scale(frame))
    groups = scored.groupby([*BACKGROUND_COLUMNS, "tricks"], dropna=False, sort=False)
    place = groups.cumcount().to_numpy()
    scores = np.full((groups.ngroups, place.max(initial=-1) + 1), math.nan)
    scores[groups.ngroup().to_numpy(), place] = scored["score"]
    names = scored[[*BACKGROUND_COLUMNS, "tricks"]].drop_duplicates(ignore_index=True)
    background = names.groupby(BACKGROUND_COLUMNS, dropna=False, sort=False).ngroup()
    return ComparedArms(names.assign(background=background), scores)


def score_rows(values: pd.DataFrame, scale: MetricScale) -> pd.DataFrame:
    """Returns the rows of the outcome with a score, where lost trainings score -inf."""
    lost = values["outcome"].isin(LOST_OUTCOMES)
    transformed = values["value"].astype(float).map(scale.to, na_action="ignore")
    score = -transformed if scale.is_lower_better else transformed
    lost |= np.isinf(score)
    scored = values.assign(score=score.mask(lost, -math.inf))
    return without_attributes(scored)[lost | score.notna()]


def profile_margins(frame: pd.DataFrame, arms: ComparedArms, factors: Sequence[float]) -> Numbers:
    """Returns how far behind the best arm each factor reaches, on the scale of analysis.

    Shape: [rows, factors]
    """
    if outcome_scale(frame).is_log:
        return np.tile(np.log(factors), (len(arms.names), 1)) + PROFILE_TOLERANCE
    data = arms.names["data"]
    spread = {name: score_deviation(arms.scores[data == name]) for name in data.unique()}
    return np.outer(data.map(spread), np.subtract(factors, 1)) + PROFILE_TOLERANCE


def score_deviation(scores: Numbers) -> float:
    """Returns the standard deviation of ended trainings; 0 if there is only one."""
    ended = scores[np.isfinite(scores)]
    return float(ended.std(ddof=1)) if len(ended) > 1 else 0.0


# The arms to compare with


def best_row_of_background(arms: ComparedArms) -> Rows:
    """Returns for each row the row of the best arm in its background."""
    level = ended_means(arms.scores, np.ones((1, *arms.scores.shape)))[0]
    candidates = arms.names.assign(lost=arms.lost / arms.sizes, level=level)
    best_first = candidates.sort_values(["lost", "level"], ascending=[True, False])
    return first_candidate_of_background(arms, best_first)


def baseline_row_of_background(arms: ComparedArms) -> Rows:
    """Returns for each row the row of its background's arm without tricks, or -1."""
    return first_candidate_of_background(arms, arms.names[arms.names["tricks"] == NO_TRICK])


def first_candidate_of_background(arms: ComparedArms, candidates: pd.DataFrame) -> Rows:
    """Returns for each row the first candidate of its background, or -1."""
    first = candidates.drop_duplicates("background")
    rows = pd.Series(first.index, index=first["background"])
    return rows.reindex(arms.names["background"], fill_value=-1).to_numpy(dtype=np.intp)


def rows_with_baseline(rows: Rows, nones: Rows) -> Rows:
    """Returns the rows with an arm without tricks in their background."""
    return rows[nones[rows] >= 0]


def has_baseline(arms: ComparedArms) -> NDArray[np.bool_]:
    """Returns a mask of rows with an ended training without tricks in their background."""
    nones = baseline_row_of_background(arms)
    return (nones >= 0) & (arms.lost < arms.sizes)[nones] if len(nones) else nones >= 0


def ended_means(scores: Numbers, weights: Numbers) -> Numbers:
    """Computes the weighted means of the trainings that ended.

    If a resample has drawn none of them, the mean is over all of them. It is NaN if none ended.
    [rows, seeds] and [resamples, rows, seeds] => [resamples, rows]
    """
    ended = np.isfinite(scores)
    finite_scores = np.where(ended, scores, 0.0)
    drawn = np.einsum("brs,rs->br", weights, ended)
    total = np.einsum("brs,rs->br", weights, finite_scores)
    plain = finite_scores.sum(axis=1) / np.where(ended.any(axis=1), ended.sum(axis=1), math.nan)
    return np.where(drawn > 0, total / np.where(drawn > 0, drawn, 1.0), plain)


def lead_over_mean(arms: ComparedArms, rows: Rows, others: Rows, weights: Numbers) -> Numbers:
    """Computes by how much trainings are better than the mean of another arm.

    An arm's lead over itself uses its mean without resampling. The mean of a few drawn trainings would be
    too near to each of them. Shape: [resamples, trainings]
    """
    level = ended_means(arms.scores[others], weights[:, others])
    level[:, rows == others] = level[:1, rows == others]
    return (arms.scores[rows] - level[:, :, None]).reshape(len(weights), -1)


# The statistics: the value itself comes first, then its resamples


def profile_shares(
    arms: ComparedArms, rows: Rows, best: Rows, weights: Numbers, reach: Numbers
) -> list[dict[str, float]]:
    """Computes the share of an arm's trainings within each factor."""
    behind = -lead_over_mean(arms, rows, best[rows], weights)
    parts = flatten_weights(weights[:, rows])
    count, seeds = int(arms.sizes[rows].sum()), arms.seeds_of_networks(rows, best[rows])
    means = []
    for margin in reach[rows].T:
        within = behind <= np.repeat(margin, arms.scores.shape[1])
        share = np.einsum("bt,bt->b", parts, within) / count
        low, high = profile_share_interval(share, seeds)
        means.append({"share": share[0], "low": low, "high": high, "trainings": count})
    return means


def win_probability_entry(
    arms: ComparedArms, rows: Rows, nones: Rows, weights: Numbers
) -> dict[str, float]:
    """Computes how probably an arm beats the arm without tricks."""
    tried, none = arms.scores[rows][:, :, None], arms.scores[nones][:, None, :]
    better = (tried > none) + 0.5 * (tried == none)  # [rows, seeds, seeds of none]
    pairs = arms.sizes[rows] * arms.sizes[nones]
    wins = np.einsum("brs,rst,brt->br", weights[:, rows], better, weights[:, nones], optimize=True)
    share = (wins / pairs).mean(axis=1)
    low, high = profile_share_interval(share, arms.seeds_of_networks(rows, nones))
    counts = {"cells": len(rows), "trainings": int(arms.sizes[rows].sum())}
    return {"probability": share[0], "low": low, "high": high, **counts}


def interquartile_gain_entry(
    arms: ComparedArms, rows: Rows, nones: Rows, weights: Numbers, log: bool
) -> dict[str, float]:
    """Computes the interquartile gain of an arm over the arm without tricks."""
    leads = lead_over_mean(arms, rows, nones[rows], weights)
    gains = trimmed_means(leads, flatten_weights(weights[:, rows]))
    ends = profile_mean_interval(gains, arms.seeds_of_networks(rows, nones[rows]))
    iqm = gains[0] if np.isfinite(gains[0]) else math.nan
    counts = {"failed": int(arms.lost[rows].sum()), "trainings": int(arms.sizes[rows].sum())}
    numbers = np.exp([iqm, *ends]) if log else [iqm, *ends]
    return dict(zip(["iqm", "low", "high"], map(float, numbers), strict=True)) | counts


def trimmed_means(values: Numbers, weights: Numbers) -> Numbers:
    """Computes means without the lowest and the highest quarter of whole trainings.

    [resamples, trainings] twice => [resamples]. With weights of 1 it equals scipy's `trim_mean` of a quarter.
    """
    order = np.argsort(values, axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    passed = np.take_along_axis(weights, order, axis=1).cumsum(axis=1)
    total = round(float(weights[0].sum()))
    cut = int(TRIMMED_SHARE * total)
    shares = np.diff(passed.clip(cut, total - cut), axis=1, prepend=cut)
    ordered[shares < PROFILE_TOLERANCE] = 0.0  # -inf times a weight of 0 counts as 0
    return np.asarray(np.einsum("bt,bt->b", shares, ordered) / (total - 2 * cut))


# The bootstrap


def bootstrap_weights(arms: ComparedArms, rng: Random, resamples: int) -> Numbers:
    """Returns the weight of each training, first without and then with resampling.

    Of n trainings, n - 1 are drawn, and each counts n / (n - 1). A single training always counts 1. Missing
    trainings have weight 0. All rows of a network draw the same seeds. Shape: [1 + resamples, rows, seeds]
    """
    random, sizes, seeds = np.random.default_rng(rng), arms.sizes, arms.scores.shape[1]
    networks = arms.networks
    counts = np.zeros((1 + resamples, len(sizes), seeds), dtype=np.int16)
    for turn in range(seeds - 1):
        places = random.random((1 + resamples, networks.max(initial=-1) + 1))
        drawn = (places[:, networks] * sizes).astype(np.int16)
        drawn[:, sizes - 1 <= turn] = -1
        counts += drawn[:, :, None] == np.arange(seeds, dtype=np.int16)
    weights = counts * (sizes / np.maximum(sizes - 1, 1))[:, None]
    present = ~np.isnan(arms.scores)
    weights[0] = present
    weights[:, sizes == 1] = present[sizes == 1]
    return np.asarray(weights)


def flatten_weights(weights: Numbers) -> Numbers:
    """Reshapes [resamples, rows, seeds] => [resamples, trainings]."""
    return weights.reshape(len(weights), -1)


def profile_share_interval(shares: Numbers, seeds: NDArray[np.int64]) -> tuple[float, float]:
    """Computes the interval of a share from the seeds of each network.

    `shares` holds the share itself, then its resamples. If all resamples are equal, as for shares of 0 or 1,
    the interval is Clopper and Pearson's (1934). Each seed of a network then is one training. The same holds
    if an arm has a single training, which gives no estimate of the error.
    """
    if seeds.min() > 1 and np.ptp(shares[1:]) > PROFILE_TOLERANCE:
        low, high = resampled_bounds(shares, seeds)
        return max(low, 0.0), min(high, 1.0)
    count, tail = int(seeds.sum()), (1 - CONFIDENCE_LEVEL) / 2
    hits = shares[0] * count
    low = float(stats.beta.ppf(tail, hits, count - hits + 1)) if hits > PROFILE_TOLERANCE else 0.0
    misses = count - hits
    high = float(stats.beta.isf(tail, hits + 1, misses)) if misses > PROFILE_TOLERANCE else 1.0
    return low, high


def profile_mean_interval(means: Numbers, seeds: NDArray[np.int64]) -> tuple[float, float]:
    """Computes the interval of a mean from its resamples.

    It is NaN for single trainings, for equal resamples, and for a mean that is not finite.
    """
    if seeds.min() < 2 or not np.isfinite(means[0]):
        return math.nan, math.nan
    resampled = means[1:]
    if not resampled.max() > resampled.min() + PROFILE_TOLERANCE:
        return math.nan, math.nan
    return resampled_bounds(means, seeds)


def resampled_bounds(values: Numbers, seeds: NDArray[np.int64]) -> tuple[float, float]:
    """Returns the estimate plus and minus t standard errors of the resamples.

    `values` begins with the estimate. If lost trainings make some resamples infinite, the bounds are the
    quantiles that enclose 95 % of them.
    """
    tails = [(1 - CONFIDENCE_LEVEL) / 2, (1 + CONFIDENCE_LEVEL) / 2]
    if np.isfinite(values).all():
        low, high = values[0] + stats.t.ppf(tails, (seeds - 1).sum()) * values[1:].std()
    else:
        low, high = np.quantile(values[1:], tails, method="inverted_cdf")
    return float(low), float(high)
