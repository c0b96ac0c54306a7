"""The default protocol: the data set's extractor and counts, and ganbench's estimators."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ganbench.deprecation import RenamedHooks
from ganbench.evaluation.extractors import EXTRACTORS
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.base import (
    Measurement,
    Metric,
    MetricNotApplicable,
    compute_pairwise_statistics,
    require_possible,
)
from ganbench.evaluation.metrics.feature_set import FeatureSet
from ganbench.renamed import PROTOCOL_HOOKS

DEFAULT_PROTOCOL = "ganbench"

OWN_EXTRACTOR = "own"  # the data set's own extractor


@dataclass(frozen=True)
class MeasurementRules(RenamedHooks):
    """The settings of a protocol; the data set gives the defaults.

    `extractor` is a spec, or "own" for the data set's extractor. `fakes` is the number of fakes, or
    0 for the held-out count. `reals` is the number of reals, or 0 for the data set's reference.
    `seed` seeds the latents of the fakes.

    Raises ValueError for a count of 1 or less than 0.
    """

    version: ClassVar[int] = 1
    neutral: ClassVar[dict[str, Any]] = {}
    renamed_hooks: ClassVar[Mapping[str, str]] = PROTOCOL_HOOKS

    extractor: str = OWN_EXTRACTOR
    fakes: int = 0
    reals: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.extractor != OWN_EXTRACTOR:
            EXTRACTORS.resolve(self.extractor)
        for name in ("fakes", "reals"):
            if (count := getattr(self, name)) < 0 or count == 1:
                raise ValueError(f"{name} must be at least 2, or 0 for the data's own, not {count}")

    def prepare_metrics(self, metrics: Sequence[str], fake: FeatureSet, real: FeatureSet) -> None:
        """Computes the shared intermediate results of all metrics."""
        compute_pairwise_statistics(list(map(METRICS.make, metrics)), fake, real)

    def measure_metric(self, metric: str, fake: FeatureSet, real: FeatureSet) -> Measurement:
        """Returns a metric's measurement of fakes against reals.

        Raises MetricNotApplicable if the metric has no value for these samples, or an impossible one.
        """
        part: Metric = METRICS.make(metric)
        measured = part(fake, real)
        require_possible(metric, part, measured)
        return measured

    def measure_or_reason(
        self, metric: str, fake: FeatureSet, real: FeatureSet
    ) -> Measurement | str:
        """Returns a metric's measurement, or the reason why it is not applicable."""
        try:
            return self.measure_metric(metric, fake, real)
        except MetricNotApplicable as reason:
            return str(reason)
