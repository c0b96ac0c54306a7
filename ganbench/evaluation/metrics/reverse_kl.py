"""Reverse KL (Srivastava et al., 2017): the divergence of fakes from reals over modes.

`Σₖ pₖ log(pₖ / qₖ)` in nats over modes `k`, with frequencies `p` of fakes and `q` of reals.

A known mixture is uniform over its modes. Perfect samples then score about (K - 1) / 2N. For classes,
the frequencies of M reals are the target, which adds (K - 1) / 2M. For 1,000 stacked digits and
50,000 reals, 26,000 perfect samples score 0.0293, and 10,000 score 0.0609. The standard error is a
jackknife's.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .base import Measurement, Metric, MetricNotApplicable, count_modes
from .feature_set import FeatureSet


@dataclass(frozen=True)
class ReverseKL(Metric):
    direction = "lower"
    transform = "none"
    unit = "nats"
    needs = ("features", "modes")

    def check_applicable(self, fake: FeatureSet, real: FeatureSet) -> None:
        super().check_applicable(fake, real)
        if count_modes(fake, real.mixture).sum() == 0:
            raise MetricNotApplicable("no fake is near any mode")

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        counts, reals = count_modes(fake, real.mixture), target_shares(real)
        value = divergence_from_total(divergence_parts(counts, reals).sum(), counts.sum())
        return Measurement(max(0.0, float(value)), reverse_kl_standard_error(counts, reals))

    def expected_floor(self, real: FeatureSet, count: int) -> float:
        """Returns the expected divergence of samples from the target.

        For classes it adds (K - 1) / 2M, because the target is itself a sample of M reals.
        """
        from scipy.special import xlogy  # imported here: training needs no SciPy
        from scipy.stats import binom

        shares = target_shares(real).cpu().numpy()
        most = int(binom.isf(1e-12, count, shares.max())) + 1
        hits = np.arange(1, most + 1)[:, None]
        found = (
            binom.pmf(hits, count, shares) * xlogy(hits, hits / (count * shares))
        ).sum() / count
        has_mixture = real.mixture is not None
        return float(found) + (0.0 if has_mixture else (len(shares) - 1) / (2 * len(real)))


def target_shares(real: FeatureSet) -> Tensor:
    """Returns the target frequency of each mode [K]."""
    if real.mixture is not None:
        count = len(real.mixture.centres)
        return torch.full((count,), 1 / count, dtype=torch.float64, device=real.features.device)
    counts = count_modes(real, None).clamp(min=0.5)  # every class keeps a positive frequency
    return counts / counts.sum()


def divergence_parts(counts: Tensor, reals: Tensor) -> Tensor:
    """Returns each mode's term of the divergence's sum [K]."""
    return torch.special.xlogy(counts, counts / reals)


def divergence_from_total(total: Tensor, count: Tensor) -> Tensor:
    return total / count - count.log()


def reverse_kl_standard_error(counts: Tensor, reals: Tensor) -> float | None:
    """Returns the jackknife standard error (Tukey, 1958).

    All fakes of a mode are alike, so one divergence per mode suffices. The jackknife counts the
    joint effect of two fakes twice (Efron and Stein, 1981). That term is (K - 1) / 2N² for equal
    distributions. It is subtracted once, and the variance is at least that term.
    """
    n, is_hit = counts.sum(), counts > 0
    if n < 2:
        return None
    parts = divergence_parts(counts, reals)
    less = parts.sum() - parts + divergence_parts((counts - 1).clamp(min=0), reals)
    without = divergence_from_total(less, n - 1)
    gaps = (counts * (without - (counts * without).sum() / n).square()).sum()
    twice = (is_hit.sum() - 1) / (2 * n**2)
    return float((gaps - twice).clamp(min=twice)) ** 0.5
