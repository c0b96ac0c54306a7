"""Backward: another metric on translations from the last domain into the first.

The setting `of` names the metric, by default FID. It compares the other generator's images with the
reals of their own domain.
"""

from dataclasses import dataclass
from functools import cached_property

from ganbench.evaluation.metrics import METRICS

from .base import Direction, Measurement, Metric, Transform
from .feature_set import FeatureSet


@dataclass(frozen=True)
class Backward(Metric):
    needs = ("back",)

    of: str = "fid"

    def __post_init__(self) -> None:
        if isinstance(self.inner_metric, Backward):
            raise ValueError(
                "of must not be backward: two domains have no third way of translation"
            )

    @cached_property
    def inner_metric(self) -> Metric:
        metric: Metric = METRICS.make(self.of)
        return metric

    @property
    def direction(self) -> Direction:  # type: ignore[override]
        return self.inner_metric.direction

    @property
    def transform(self) -> Transform:  # type: ignore[override]
        return self.inner_metric.transform

    @property
    def unit(self) -> str:  # type: ignore[override]
        return self.inner_metric.unit

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        assert fake.back
        assert real.back
        return self.inner_metric(fake.back, real.back)

    def expected_floor(self, real: FeatureSet, count: int) -> float | None:
        assert real.back
        return self.inner_metric.expected_floor(real.back, count)
