"""The posterior of the culprit's place, given noisy values of commits.

One commit, the culprit, moves the mean of a measure. Values enter as normal scores of their ranks (van der
Waerden, 1952), so outliers, skew and failed trainings count no more than their rank. If both ends are far
apart, the values themselves enter instead, and fewer of them are enough.

The scores before the culprit are N(m0, s0), and from it on N(m1, s1). The means have flat priors, and each
variance an inverse gamma prior. Their integrals have a closed form, so the posterior includes the uncertainty
of all four numbers. Every commit is equally probable at first; compare Barry and Hartigan (1993) for change
points. Probing the commit that halves the probability follows Horstein (1963) and Waeber, Frazier and
Henderson (2013).
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from scipy import special, stats

VARIANCE_SHAPE = 2.0  # of the inverse gamma prior; small, so that data soon outweigh it
MIN_SCORE_DEVIATION = 0.1  # of the noise within an end, for values without any spread
CLEAR_DIFFERENCE = 6.0  # between the ends, in standard deviations within an end
CLIP_DEVIATIONS = 3.0  # values that are farther outside of both ends are clipped


def culprit_posterior(values: Mapping[int, Sequence[float]], count: int) -> np.ndarray:
    """Returns the probability of each of `count` candidates.

    Candidate c (from 1) separates the places 0..c-1 from the places c..count. `values` has the values by
    place, higher is worse, and infinity is allowed. The places 0 and `count` need two values each.
    """
    scores = scores_of(values, count)
    moments = np.zeros((3, count + 1))  # number, sum and sum of squares by place
    for place, own in scores.items():
        moments[:, place] = len(own), own.sum(), (own**2).sum()
    before = np.cumsum(moments, axis=1)
    after = before[:, -1:] - before
    variance = noise_variance(scores[0], scores[count])
    logs = log_evidence(before[:, :-1], variance) + log_evidence(after[:, :-1], variance)
    weights = np.exp(logs - logs.max())
    return np.asarray(weights / weights.sum())


def scores_of(values: Mapping[int, Sequence[float]], count: int) -> dict[int, np.ndarray]:
    """Returns the values in units of the difference between clear ends, or else normal scores."""
    good, bad = (np.asarray(values[place], float) for place in (0, count))
    if not (np.isfinite(good).all() and np.isfinite(bad).all()):
        return normal_scores(values)
    difference = float(bad.mean() - good.mean())
    deviation = math.sqrt(noise_variance(good, bad, 0.0))
    if difference <= CLEAR_DIFFERENCE * deviation:
        return normal_scores(values)
    reach = CLIP_DEVIATIONS * max(deviation / difference, MIN_SCORE_DEVIATION)
    return {
        place: np.clip((np.asarray(own, float) - good.mean()) / difference, -reach, 1 + reach)
        for place, own in values.items()
    }


def normal_scores(values: Mapping[int, Sequence[float]]) -> dict[int, np.ndarray]:
    """Replaces values by the normal quantiles of their ranks; ties share the mean rank."""
    pooled = np.concatenate([np.asarray(own, float) for own in values.values()])
    scores = special.ndtri((stats.rankdata(pooled) - 0.5) / len(pooled))
    ends = np.cumsum([len(own) for own in values.values()])[:-1]
    return dict(zip(values, np.split(scores, ends), strict=True))


def noise_variance(
    good: np.ndarray, bad: np.ndarray, least: float = MIN_SCORE_DEVIATION**2
) -> float:
    """Returns the variance within both ends, pooled over them."""
    residual = sum(float(((end - end.mean()) ** 2).sum()) for end in (good, bad))
    return max(residual / (len(good) + len(bad) - 2), least)


def log_evidence(moments: np.ndarray, variance: float) -> np.ndarray:
    """Returns the log marginal likelihood of normal values for each split, up to a constant.

    The moments [3, splits] are the number, sum and sum of squares of the values on one side. The constant is
    the same for all splits of the same values.
    """
    number, total, squares = moments
    shape = VARIANCE_SHAPE + (number - 1) / 2
    residual = np.maximum(squares - total**2 / number, 0)
    rate = VARIANCE_SHAPE * variance + residual / 2
    return np.asarray(special.gammaln(shape) - shape * np.log(rate) - np.log(number) / 2)


def halving_place(posterior: np.ndarray, places: Sequence[int]) -> int | None:
    """Returns the place whose value splits the probability most evenly; None without one.

    A value of place i separates the candidates up to i from the later ones.
    """
    if not places:
        return None
    up_to = np.cumsum(posterior)
    return min(places, key=lambda place: abs(float(up_to[place - 1]) - 0.5))


def likeliest_group(posterior: np.ndarray, places: Sequence[int]) -> tuple[int, int]:
    """Returns the measurable places on both sides of the likeliest candidates.

    `places` can be measured, as can both ends. No value separates the candidates between two of them.
    """
    groups = pairwise([0, *places, len(posterior)])
    return max(groups, key=lambda sides: float(posterior[slice(*sides)].sum()))


def credible_range(posterior: np.ndarray, level: float) -> tuple[int, int]:
    """Returns the first and last candidate of the shortest range with at least this mass."""
    up_to = np.concatenate([[0.0], np.cumsum(posterior)])
    best = (1, len(posterior))
    for first in range(1, len(posterior) + 1):
        last = int(np.searchsorted(up_to, up_to[first - 1] + level - 1e-12))
        if last <= len(posterior) and last - first < best[1] - best[0]:
            best = (first, last)
    return best
