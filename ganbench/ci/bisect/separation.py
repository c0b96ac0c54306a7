"""The sequential test of whether the bad revision is worse than the good one.

Welch's one-sided t test (1947) after each pair of values. Look k has the level error / (k (k + 1)). These
levels sum to the error, so the chance of a false alarm at any look is at most the error.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ganbench.analysis.contrasts import difference_of_means
from ganbench.analysis.sequential import open_ended_share

MIN_VALUES_PER_SIDE = 3  # before the first look


@dataclass(frozen=True)
class Separation:
    """The difference between the bad and the good side; above 0 if bad is worse."""

    difference: float
    p: float  # one-sided, of this look alone
    level: float  # of this look
    counts: tuple[int, int]

    @property
    def is_proven(self) -> bool:
        return self.p <= self.level

    @property
    def is_reversed(self) -> bool:
        """Whether bad is proven to be better than good."""
        return self.difference < 0 and 1 - self.p <= self.level


def separation_of(good: Sequence[float], bad: Sequence[float], error: float) -> Separation:
    """Tests whether bad values are higher; both sides need MIN_VALUES_PER_SIDE values.

    Each look spends a level of its own, so a value without a partner waits for the next look.
    """
    pairs = min(len(good), len(bad))
    one, other = np.asarray(good[:pairs], float), np.asarray(bad[:pairs], float)
    difference = difference_of_means(other, one)
    level = error * open_ended_share(pairs - MIN_VALUES_PER_SIDE + 1)
    return Separation(difference.mean, difference.p_above(0.0), level, (pairs, pairs))
