"""The posterior of the culprit's place, given noisy values of commits.

One commit, the culprit, moves the mean of a measure. Values before it are N(m0, s0), and values from it on
N(m1, s1). The means have flat priors, and each variance an inverse gamma prior. Their integrals have a
closed form, so the posterior includes the uncertainty of all four numbers. Every commit is equally
probable at first. Compare Barry and Hartigan (1993) for change points. Probing the commit that halves the
probability follows Horstein (1963) and Waeber, Frazier and Henderson (2013).
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import special

VARIANCE_SHAPE = 2.0  # of the inverse gamma prior; small, so that data soon outweigh it
CLIP_DEVIATIONS = 3.0  # values farther outside of both sides are clipped, as outliers
MAD_TO_DEVIATION = 1.4826  # ratio for normal noise
MIN_RELATIVE_DEVIATION = 1e-9  # of noise, for values without any spread


def culprit_posterior(values: Mapping[int, Sequence[float]], count: int) -> np.ndarray:
    """Returns the probability of each of `count` candidates.

    Candidate c (from 1) separates the places 0..c-1 from the places c..count. `values` has the values by
    place, higher is worse. The places 0 and `count` need at least two values each.
    """
    clipped, variance = clip_outliers(values, count)
    numbers, sums, squares = np.zeros((3, count + 1))
    for place, own in clipped.items():
        numbers[place], sums[place], squares[place] = len(own), own.sum(), (own**2).sum()
    before = np.cumsum([numbers, sums, squares], axis=1)
    after = before[:, -1:] - before
    logs = log_evidence(before[:, :-1], variance) + log_evidence(after[:, :-1], variance)
    weights = np.exp(logs - logs.max())
    return np.asarray(weights / weights.sum())


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


def clip_outliers(
    values: Mapping[int, Sequence[float]], count: int
) -> tuple[dict[int, np.ndarray], float]:
    """Returns the values, centred and clipped, and a robust variance of the noise."""
    ends = [np.asarray(values[place], float) for place in (0, count)]
    middles = [float(np.median(end)) for end in ends]
    deviation = noise_deviation(ends)
    centre = sum(middles) / 2
    reach = CLIP_DEVIATIONS * deviation
    low, high = min(middles) - reach - centre, max(middles) + reach - centre
    clipped = {
        place: np.clip(np.asarray(own, float) - centre, low, high) for place, own in values.items()
    }
    return clipped, deviation**2


def noise_deviation(ends: Sequence[np.ndarray]) -> float:
    """Returns the standard deviation within both ends, robust against outliers.

    Few values have a small median deviation by chance, so the larger of two estimates counts: the
    median absolute deviation, and the standard deviation without the farthest value.
    """
    residuals = np.concatenate([end - np.median(end) for end in ends])
    sizes = np.sort(np.abs(residuals))
    robust = MAD_TO_DEVIATION * float(np.median(sizes))
    freedom = max(1, len(sizes) - len(ends) - 1)
    trimmed = float(np.sqrt((sizes[:-1] ** 2).sum() / freedom))
    largest = max(float(np.abs(end).max()) for end in ends)
    return max(robust, trimmed, MIN_RELATIVE_DEVIATION * largest, np.finfo(float).tiny ** 0.25)


def halving_place(posterior: np.ndarray, places: Sequence[int]) -> int | None:
    """Returns the place whose value splits the probability most evenly; None without one.

    A value of place i separates the candidates up to i from the later ones.
    """
    if not places:
        return None
    up_to = np.cumsum(posterior)
    return min(places, key=lambda place: abs(float(up_to[place - 1]) - 0.5))


def credible_range(posterior: np.ndarray, level: float) -> tuple[int, int]:
    """Returns the first and last candidate of the shortest range with at least this mass."""
    up_to = np.concatenate([[0.0], np.cumsum(posterior)])
    best = (1, len(posterior))
    for first in range(1, len(posterior) + 1):
        last = int(np.searchsorted(up_to, up_to[first - 1] + level - 1e-12))
        if last <= len(posterior) and last - first < best[1] - best[0]:
            best = (first, last)
    return best
