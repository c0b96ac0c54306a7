"""The noise that benchmarks have in common: moderated variances (Smyth, 2004).

Four pairs say little about a variance, so that Student's t needs wide intervals. Benchmarks of CPU time share a
machine, and their variances are alike. Smyth takes them as draws from a scaled inverse chi-square
distribution, and fits it to the logarithms of all estimated variances. A moderated variance is the mean of
the estimated and of the shared one, weighted by their degrees of freedom. Its t has the sum of both. Source:
Smyth (2004), Statistical Applications in Genetics and Molecular Biology 3(1), article 3, section 6.2.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, polygamma

MIN_BENCHMARKS = 20  # fewer say too little about how variances differ


@dataclass(frozen=True)
class SharedNoise:
    """The variance that benchmarks share, and its degrees of freedom; none by default."""

    variance: float = 0.0
    freedom: float = 0.0

    def moderate(self, variance: Any, freedom: int) -> tuple[Any, float]:
        """Returns a moderated variance, of one benchmark or an array, and its degrees of freedom."""
        total = self.freedom + freedom
        return (self.freedom * self.variance + freedom * variance) / total, total


NO_SHARED_NOISE = SharedNoise()


def estimate_shared_noise(samples: Sequence[Sequence[float]]) -> SharedNoise:
    """Fits the distribution of the variances of samples of one size.

    Returns NO_SHARED_NOISE for too few samples. Samples of equal values are left out.
    """
    variances = np.array([np.var(sample, ddof=1) for sample in samples])
    variances = variances[variances > 0]
    if len(variances) < MIN_BENCHMARKS:
        return NO_SHARED_NOISE
    own = len(samples[0]) - 1
    logs = np.log(variances) - digamma(own / 2) + math.log(own / 2)
    excess = float(np.var(logs, ddof=1) - polygamma(1, own / 2))
    freedom = min(freedom_of_spread(excess), float(own * len(variances)))
    log_variance = logs.mean() + digamma(freedom / 2) - math.log(freedom / 2)
    return SharedNoise(math.exp(log_variance), freedom)


def freedom_of_spread(excess: float) -> float:
    """Returns the degrees of freedom d with trigamma(d / 2) = excess, which is infinite at 0."""
    lowest, highest = 1e-6, 1e6
    if excess <= polygamma(1, highest):
        return math.inf
    return 2 * float(brentq(lambda half: polygamma(1, half) - excess, lowest, highest))
