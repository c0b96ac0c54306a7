"""FID less its bias, by a jackknife over twenty groups of fakes (Quenouille, 1956).

g F - (g - 1) mean(F without a group) has no bias of order 1 / N; below zero is a value like any other.
The reference's own share of the bias stays: it is the same for all who are measured against it. Of no
more fakes than features the bias is of another order, so that much of it stays, and no error is known.
"""

from dataclasses import dataclass

from .base import Measurement, Metric
from .feature_set import FeatureSet
from .frechet import (
    JACKKNIFE_GROUPS,
    distances_without_groups,
    expected_distance,
    frechet_distance,
    is_rank_deficient,
    jackknife_error,
    need_groups,
)


@dataclass(frozen=True)
class FIDUnbiased(Metric):
    direction = "lower"
    transform = "none"

    def check_applicable(self, fake: FeatureSet, real: FeatureSet) -> None:
        super().check_applicable(fake, real)
        need_groups(fake)

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        without = distances_without_groups(fake, real)
        value = JACKKNIFE_GROUPS * frechet_distance(fake, real) - (JACKKNIFE_GROUPS - 1) * float(
            without.mean()
        )
        return Measurement(value, None if is_rank_deficient(fake) else jackknife_error(without))

    def expected_floor(self, real: FeatureSet, count: int) -> float | None:
        """The reference's share alone, where there are fakes enough for the bias to be of order 1 / N."""
        both = expected_distance(real, len(real))
        return None if both is None or expected_distance(real, count) is None else both / 2
