"""The protocol by default: a data set's own extractor, its held-out count, and this package's estimators."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ganbench.deprecation import RenamedHooks
from ganbench.evaluation.extractors import EXTRACTORS
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.base import (
    Measurement,
    MetricNotApplicable,
    compute_pairwise_statistics,
)
from ganbench.evaluation.metrics.feature_set import FeatureSet
from ganbench.renamed import PROTOCOL_HOOKS

DEFAULT_PROTOCOL = "ganbench"  # the protocol

OWN_EXTRACTOR = "own"  # the extractor that a data set has by itself


@dataclass(frozen=True)
class MeasurementRules(RenamedHooks):
    """What a protocol declares; a data set gives the rest.

    `extractor`: a spec, or "own", the data set's. `fakes`, `reals`: how many, or 0 for as many
    as are held out and for the data set's reference. `seed`: of the latents that fakes are made from.
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
        """What is done once for all metrics together."""
        compute_pairwise_statistics(list(map(METRICS.make, metrics)), fake, real)

    def measure_metric(self, metric: str, fake: FeatureSet, real: FeatureSet) -> Measurement:
        """A metric of fakes against reals; raises MetricNotApplicable if it has no value."""
        measured: Measurement = METRICS.make(metric)(fake, real)
        return measured

    def measure_or_reason(
        self, metric: str, fake: FeatureSet, real: FeatureSet
    ) -> Measurement | str:
        """A metric of fakes against reals, or the sentence why it has no value."""
        try:
            return self.measure_metric(metric, fake, real)
        except MetricNotApplicable as reason:
            return str(reason)
