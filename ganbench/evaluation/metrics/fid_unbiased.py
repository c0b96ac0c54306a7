"""FID minus its bias, by a jackknife over twenty groups of fakes (Quenouille, 1956).

`g F − (g − 1) mean(F without a group)` has no bias of order 1 / N. The groups are random, but the
same at each call. Values below zero are valid. The reference's share of the bias remains; it is the
same for all fakes that share a reference.

With no more fakes than features, the bias has another order. Much of it then remains, and there is
no standard error. At least 40 fakes are needed.
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
    version = 2  # 1 had groups of consecutive fakes
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
        """Returns the reference's share of the bias.

        Returns None if there are too few fakes for a bias of order 1 / N.
        """
        both = expected_distance(real, len(real))
        return None if both is None or expected_distance(real, count) is None else both / 2
