"""KID (Bińkowski et al., 2018): unbiased squared MMD under a cubic kernel, averaged over subsets.

A subset holds at most half of the smaller side: a subset that is nearly the whole set does not vary.
Below zero is a value like any other, within the error of zero.
"""

from dataclasses import dataclass

from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

from .base import Measurement, Metric, Sample, Unmeasurable, finite


@dataclass(frozen=True)
class Kid(Metric):
    direction = "lower"
    transform = "none"

    subsets: int = 100
    subset_size: int = 1000

    def __post_init__(self) -> None:
        if self.subsets < 1 or self.subset_size < 2:
            raise ValueError("KID needs at least one subset of at least 2")

    def __call__(self, fake: Sample, real: Sample) -> Measurement:
        size = min(self.subset_size, len(fake) // 2, len(real) // 2)
        if size < 2:
            raise Unmeasurable("KID needs at least 4 examples of each side")
        found = kid_features_to_metric(
            finite(fake).double(),
            finite(real).double(),
            kid_subsets=self.subsets,
            kid_subset_size=size,
            verbose=False,
        )
        return Measurement(float(found[KEY_METRIC_KID_MEAN]))
