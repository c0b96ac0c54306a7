"""Reverse KL (Srivastava et al., 2017): from the fakes' distribution over modes to the reals', in nats.

A known mixture is uniform over its modes; for classes the reals' own frequencies are the target.
"""

from dataclasses import dataclass

import torch

from .base import Measurement, Metric, Sample, Unmeasurable, mode_counts


@dataclass(frozen=True)
class ReverseKl(Metric):
    direction = "lower"
    transform = "none"
    unit = "nats"

    def __call__(self, fake: Sample, real: Sample) -> Measurement:
        counts = mode_counts(fake, real).double()
        if counts.sum() == 0:
            raise Unmeasurable("no fake is near any mode")
        target = torch.ones_like(counts)
        if real.mixture is None:
            target = mode_counts(real, real).double().clamp(min=0.5)  # no class is impossible
        fakes, reals = counts / counts.sum(), target / target.sum()
        return Measurement(max(0.0, float(torch.xlogy(fakes, fakes / reals).sum())))
