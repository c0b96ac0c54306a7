"""Mode coverage (Metz et al., 2017; Lin et al., 2018): the number of modes with a fake.

Modes are the centres of a known mixture, or the classes that the extractor predicts. By default one
fake covers a mode. An erring classifier covers every class, so `share` can demand that fraction of
the count under equal frequencies.

The standard error is a jackknife from the modes with exactly one fake. With `share`, it is that of
drawing as many fakes again from the observed frequencies.
"""

from dataclasses import dataclass

import torch
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
        """Returns each mode's probability of being covered by `count` fakes: [K]."""
        from scipy.stats import binom  # slow import that most suites need only at the end

        least = self.min_hits(count, len(shares))
        return torch.from_numpy(binom.sf(-(-least // 1) - 1, count, shares.cpu().numpy()))

    def expected_floor(self, real: FeatureSet, count: int) -> float:
        """Returns the expected number of covered modes.

        A mixture has equal frequencies, each times the probability of three deviations. For
        classes, the frequencies are those of the reals.
        """
        from scipy.special import chdtr

        if real.mixture is None:
            shares = count_modes(real, None) / len(real)
        else:
            modes, width = real.mixture.centres.shape
            shares = torch.full((modes,), float(chdtr(width, 3**2)) / modes)
        return float(self.probability_of_hit(shares, count).sum())
