"""NDB (Richardson and Weiss, 2018): the share of bins in which fakes are more or fewer than reals.

A bin differs if the two-proportion z test says so at a level, so that even a perfect generator has
that share of different bins. The error is that of testing again, with fakes drawn anew around what
was seen and bins taken as independent; of nearly perfect fakes it is up to 1.5 times too large.
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

MIN_EXPECTED_PER_BIN = 5  # fakes a bin, on average


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
                f"{bins} bins need at least {MIN_EXPECTED_PER_BIN * bins} fakes: ask for fewer bins"
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
    """Of the two-proportion z test, bin by bin [K]; 0 where there is nobody, or everybody."""
    n, m = fakes.sum(), reals.sum()
    pooled = (fakes + reals) / (n + m)
    variance = pooled * (1 - pooled) * (1 / n + 1 / m)
    return torch.where(variance > 0, (fakes / n - reals / m) / variance.sqrt(), 0.0)


def differing_share_error(z: Tensor, critical: float) -> float:
    """The error of the share of bins, each of which differs again if a normal about its z does."""
    chance = ndtr(z - critical) + ndtr(-z - critical)
    return float((chance * (1 - chance)).sum().sqrt() / len(z))
