"""NDB (Richardson and Weiss, 2018): the share of bins with too many or too few fakes.

A bin differs if the two-proportion z test rejects at `level`. Even a perfect generator therefore
has that share of differing bins. The standard error is that of repeating the test with fakes
redrawn around the observed counts, with independent bins. For nearly perfect fakes it is up to 1.5
times too large.
"""

from dataclasses import dataclass
from statistics import NormalDist
from typing import ClassVar

import torch
from torch import Tensor
from torch.special import ndtr

from .base import Measurement, MetricNotApplicable, Transform
from .feature_set import FeatureSet
from .kmeans_bins import BinnedMetric

MIN_EXPECTED_PER_BIN = 5  # fakes per bin, on average


@dataclass(frozen=True)
class NDB(BinnedMetric):
    direction = "lower"
    transform: ClassVar[Transform] = "logit"

    level: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.level < 1:
            raise ValueError(f"level must lie between 0 and 1, not {self.level}")

    def check_applicable(self, fake: FeatureSet, real: FeatureSet) -> None:
        super().check_applicable(fake, real)
        bins = len(self.count_reals(real))
        if len(fake) < MIN_EXPECTED_PER_BIN * bins:
            raise MetricNotApplicable(
                f"{bins} bins need at least {MIN_EXPECTED_PER_BIN * bins} fakes: use fewer bins"
            )

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        fakes, reals = self.count_fakes(fake, real), self.count_reals(real)
        z = two_proportion_z(fakes, reals)
        critical = NormalDist().inv_cdf(1 - self.level / 2)
        spread = (reals.sum() / (reals.sum() + fakes.sum())).sqrt()
        error = differing_share_error(z / spread, critical / float(spread))
        return Measurement(float((z.abs() > critical).double().mean()), error)

    def expected_floor(self, real: FeatureSet, count: int) -> float:
        return self.level


def two_proportion_z(fakes: Tensor, reals: Tensor) -> Tensor:
    """Returns z of the two-proportion test for each bin [K].

    z is 0 for a bin that contains no example or all of them.
    """
    n, m = fakes.sum(), reals.sum()
    pooled = (fakes + reals) / (n + m)
    variance = pooled * (1 - pooled) * (1 / n + 1 / m)
    return torch.where(variance > 0, (fakes / n - reals / m) / variance.sqrt(), 0.0)


def differing_share_error(z: Tensor, critical: float) -> float:
    """Returns the standard error of the share of differing bins.

    Each bin's z is redrawn from a unit normal around its observed value.
    """
    chance = ndtr(z - critical) + ndtr(-z - critical)
    return float((chance * (1 - chance)).sum().sqrt() / len(z))
