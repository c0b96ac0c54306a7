"""Mode coverage (Metz et al., 2017; Lin et al., 2018): how many modes of the data the fakes hit.

Modes are the centres of a known mixture, or the classes that the extractor tells apart. A mode is hit
by one sample, or by the given share of its fair share: a classifier that errs hits every class. The
error is a jackknife's, from the modes hit just once; of shares, that of drawing as many fakes again from
the shares that were seen.
"""

from dataclasses import dataclass

import torch
from scipy.stats import binom, chi2
from torch import Tensor

from .base import Measurement, Metric, count_modes
from .feature_set import FeatureSet
from .knn_manifold import binomial_variance


@dataclass(frozen=True)
class Modes(Metric):
    direction = "higher"
    transform = "none"
    unit = "modes"
    needs = ("features", "modes")

    share: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share must lie in [0, 1], not {self.share}")

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        counts = count_modes(fake, real.mixture)
        least = self.min_hits(len(fake), len(counts))
        value = int((counts >= least).sum())
        if least > 1:
            hit = self.probability_of_hit(counts / len(fake), len(fake))
            return Measurement(float(value), float((hit * (1 - hit)).sum()) ** 0.5)
        once = int((counts == 1).sum())
        variance = min(once, binomial_variance(value, len(counts))) - once**2 / len(fake)
        return Measurement(float(value), max(0.0, variance) ** 0.5)

    def min_hits(self, count: int, modes: int) -> float:
        return max(1.0, self.share * count / modes)

    def probability_of_hit(self, shares: Tensor, count: int) -> Tensor:
        """How probably each mode is hit by so many fakes: [K]."""
        least = self.min_hits(count, len(shares))
        return torch.from_numpy(binom.sf(-(-least // 1) - 1, count, shares.cpu().numpy()))

    def expected_floor(self, real: FeatureSet, count: int) -> float:
        """Of a mixture's equal shares within three deviations, or of the classes as often as in the reals."""
        if real.mixture is None:
            shares = count_modes(real, None) / len(real)
        else:
            modes, width = real.mixture.centres.shape
            shares = torch.full((modes,), float(chi2.cdf(3**2, width)) / modes)
        return float(self.probability_of_hit(shares, count).sum())
