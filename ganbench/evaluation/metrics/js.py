"""Jensen-Shannon divergence (Lin, 1991) of fakes and reals over the bins of NDB, in nats.

`½ KL(p ‖ m) + ½ KL(q ‖ m)` with `m = ½ (p + q)`.

Richardson and Weiss (2018) report it with NDB. Values lie in [0, log 2]. The standard error comes
from the divergence's derivative towards each fake's bin; near the floor it is up to 1.4 times too
large.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .base import Measurement
from .feature_set import FeatureSet
from .kmeans_bins import BinnedMetric


@dataclass(frozen=True)
class JS(BinnedMetric):
    direction = "lower"
    transform = "none"
    unit = "nats"

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        fake_shares, real_shares = (
            counts / counts.sum()
            for counts in (self.count_fakes(fake, real), self.count_reals(real))
        )
        middle = (fake_shares + real_shares) / 2
        value = (kl_divergence(fake_shares, middle) + kl_divergence(real_shares, middle)) / 2
        slopes = torch.where(fake_shares > 0, (fake_shares / middle).log() / 2, 0.0)
        variance = (fake_shares * slopes.square()).sum() - (fake_shares * slopes).sum().square()
        error = (variance.clamp(min=0) / len(fake)).sqrt()
        return Measurement(max(0.0, float(value)), float(error))

    def expected_floor(self, real: FeatureSet, count: int) -> float:
        """Returns the expected divergence to second order in its expansion.

        To that order it is a chi-squared statistic of the bins that contain reals.
        """
        counts = self.count_reals(real)
        return (int((counts > 0).sum()) - 1) / 8 * (1 / count + 1 / float(counts.sum()))


def kl_divergence(p: Tensor, q: Tensor) -> Tensor:
    """Returns the Kullback-Leibler divergence in nats; q must be positive where p is."""
    return torch.where(p > 0, p * (p / q).log(), 0.0).sum()
