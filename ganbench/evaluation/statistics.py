"""Evaluation of stored statistics: FID from the mean and covariance that other tools keep.

pytorch-fid, TTUR and clean-fid store `mu` and `sigma` of features. FID needs no more. All other
metrics need images or features.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

from ganbench.data.image_decoding import Unreadable
from ganbench.evaluation.inputs.base import Source, StatisticsSource, VectorSource
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.base import Measurement
from ganbench.evaluation.metrics.feature_set import FeatureSet
from ganbench.evaluation.metrics.frechet import frechet_distance
from ganbench.evaluation.protocols import PROTOCOLS
from ganbench.evaluation.protocols.base import DEFAULT_PROTOCOL
from ganbench.registry import parse_spec

from .feature_extraction import Extraction
from .image_warnings import notes_of_source, notes_on_bias
from .metric_rows import make_metric_row
from .pipeline import EvaluationPipeline
from .result import Evaluation, EvaluationProtocol, MetricRow

STATISTICS_METRIC = "fid"


@dataclass(frozen=True, eq=False)
class StatisticsSide:
    """One side of the evaluation; statistics have no extraction."""

    source: Source
    features: FeatureSet
    extraction: Extraction | None = None

    @property
    def is_given(self) -> bool:
        return isinstance(self.source, StatisticsSource)

    @property
    def count(self) -> int:
        return 0 if self.extraction is None else len(self.extraction)

    @property
    def copies(self) -> int:
        return 0 if self.extraction is None else self.extraction.copies

    def content_hash(self) -> str:
        if self.extraction is not None:
            return self.extraction.content_hash()
        assert isinstance(self.source, StatisticsSource)
        parts = self.source.mean, self.source.covariance
        return hashlib.sha256(b"".join(p.contiguous().numpy().tobytes() for p in parts)).hexdigest()

    def notes(self, phase: str) -> list[str]:
        if self.extraction is not None:
            return notes_of_source(phase, self.source, self.extraction)
        return [f"{phase}: {note}" for note in self.source.notes]


class StatisticsPipeline(EvaluationPipeline):
    """The pipeline of an evaluation of which at least one side is a StatisticsSource."""

    @property
    def are_vectors(self) -> bool:
        given = VectorSource | StatisticsSource
        return isinstance(self.fake, given) and isinstance(self.real, given)

    def run(self) -> Evaluation:
        self.refuse_unused_options()
        self.refuse_broken_files()
        fake = self.make_side(self.fake, "fakes")
        real = self.make_side(self.real, "reals")
        self.check_widths(fake, real)
        self.show("metrics", 0, 1)
        rows = tuple(self.make_row(metric, fake, real) for metric in self.wanted.metrics)
        self.show("metrics", 1, 1)
        notes = (*fake.notes("fakes"), *real.notes("reals"), *self.notes_on_few_images(fake, real))
        terms = self.make_statistics_protocol(fake, real)
        names, floor = (self.fake.name, self.real.name), self.describe_floor()
        return Evaluation(*names, terms, rows, floor, notes, fake.copies)

    def notes_on_few_images(self, *sides: StatisticsSide) -> list[str]:
        """Returns a note if a side has too few images for FID; stored statistics have none."""
        counts = [side.count for side in sides if side.count]
        width = sides[0].features.features.shape[1]
        return notes_on_bias(min(counts), width, self.wanted.metrics) if counts else []

    def describe_floor(self) -> str:
        if not self.has_floor:
            return ""
        return self.describe_held_out_floor()

    def make_side(self, source: Source, phase: str) -> StatisticsSide:
        if isinstance(source, StatisticsSource):
            return StatisticsSide(source, features_of_statistics(source))
        chosen = self.fake_indices if source is self.fake else self.real_indices
        extraction = self.extract_source(source, chosen, phase)
        return StatisticsSide(source, self.make_feature_set(extraction, source, chosen), extraction)

    def check_widths(self, fake: StatisticsSide, real: StatisticsSide) -> None:
        widths = fake.features.features.shape[1], real.features.features.shape[1]
        if widths[0] != widths[1]:
            raise Unreadable(
                f"fakes have {widths[0]} features and reals {widths[1]}: choose the extractor of the statistics "
                "with --extractor"
            )

    def make_row(self, metric: str, fake: StatisticsSide, real: StatisticsSide) -> MetricRow:
        reading = self.measure(metric, fake, real)
        floor = self.measure_floor(metric, real)
        row = make_metric_row(metric, reading, floor, real.features, fake.count)
        return replace(row, expected=None)  # it depends on the number of reals

    def measure_floor(self, metric: str, real: StatisticsSide) -> Measurement | str | None:
        """Returns the floor of held-out images, or None if there are none."""
        if not self.has_floor:
            return None
        assert self.held_out is not None
        return self.measure(metric, StatisticsSide(self.held_out, self.held_out_features), real)

    @property
    def has_floor(self) -> bool:
        """Returns whether held-out images can be measured like the fakes."""
        is_wanted = self.wanted.floor and self.held_out is not None
        return is_wanted and not isinstance(self.fake, StatisticsSource)

    def measure(self, metric: str, fake: StatisticsSide, real: StatisticsSide) -> Measurement | str:
        """Returns FID, or the reason why a metric has no value."""
        holders = [side.source.name for side in (fake, real) if side.is_given]
        if parse_spec(metric).name != STATISTICS_METRIC:
            return f"needs images or features, but {holders[0]} holds a mean and a covariance only"
        if PROTOCOLS.resolve(self.wanted.protocol).name != DEFAULT_PROTOCOL:
            return f"{self.wanted.protocol} needs images or features, not statistics"
        if fake.is_given:
            return Measurement(frechet_distance(fake.features, real.features))
        measured: Measurement = METRICS.make(metric)(fake.features, real.features)
        return measured

    def make_statistics_protocol(
        self, fake: StatisticsSide, real: StatisticsSide
    ) -> EvaluationProtocol:
        return EvaluationProtocol(
            real=real.content_hash(), reals=real.count, fakes=fake.count, **self.extractor_facts()
        )


def features_of_statistics(source: StatisticsSource) -> FeatureSet:
    """Returns a feature set that has only its moments: the features repeat the mean.

    There are more features than dimensions, so that FID reads the moments.
    """
    count = len(source.mean) + 2
    sample = FeatureSet(source.mean.float().expand(count, -1))
    moments = {"mean": source.mean, "scatter": source.covariance * (count - 1)}
    sample.cache.put("moments", moments)
    return sample


def has_statistics(*sources: Any) -> bool:
    return any(isinstance(source, StatisticsSource) for source in sources)
