"""The result of an evaluation: values with errors and floors, protocol and notes."""

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from ganbench.evaluation.metric_names import (
    GIVEN_FEATURES,
    comparison_warning,
    depends_on_features,
    features_of_extractor,
    name_with_features,
)
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.base import MetricNotApplicable
from ganbench.files import hash_json


@dataclass(frozen=True)
class EvaluationProtocol:
    """The conditions of an evaluation; values of equal protocols can be compared."""

    rules: str  # the protocol that gives the estimators
    rules_version: int
    extractor: str
    extractor_version: int
    weights: str | None  # SHA-256 of the file
    resize: str
    channels: int
    real: str  # SHA-256 of the reals
    reals: int
    fakes: int
    rounding: str = "nearest of 256 levels, clamped"
    decoding: str = "upright by EXIF, alpha dropped, first frame"
    version: int = 1
    reduced: tuple[str, ...] = ()  # labels of metrics with reduced settings; the counts decide them

    @property
    def features(self) -> str:
        """The name of the features for readers; empty for Inception's."""
        return features_of_extractor(self.extractor)

    @cached_property
    def id(self) -> str:
        facts = asdict(self)
        del facts["reduced"]
        return hash_json(facts, digits=12)

    def __str__(self) -> str:
        rules = "" if self.rules == "ganbench" else f"{self.rules}'s estimators on "
        weights = f" (weights {self.weights[:8]})" if self.weights else ""
        resize = "" if self.resize == "none" else f", {self.resize}"
        parts = [
            f"{rules}{self.extractor}{weights}{resize}",
            f"{describe_count(self.fakes, 'fakes')} against {describe_count(self.reals, 'reals')}",
            *([] if self.has_given_features else [f"levels rounded to the {self.rounding}"]),
            *self.reduced,
        ]
        return f"{', '.join(parts)} [{self.id}]"

    @property
    def has_given_features(self) -> bool:
        """Whether both sides are features, so that no image was decoded or rounded."""
        return self.extractor.endswith(GIVEN_FEATURES)


def describe_count(count: int, what: str) -> str:
    """Returns `50 fakes`, or `statistics of fakes` where no images were measured."""
    return f"{count:,} {what}" if count else f"statistics of {what}"


@dataclass(frozen=True)
class MetricRow:
    """A metric's value and standard error, its measured floor and its expected floor.

    `reason` says why there is no value. `label` is the metric with the settings that were used, which
    a small sample reduces.
    """

    metric: str
    direction: str
    value: float | None = None
    standard_error: float | None = None
    floor: float | None = None
    floor_standard_error: float | None = None
    expected: float | None = None
    reason: str = ""
    label: str = ""


@dataclass(frozen=True)
class Evaluation:
    """The result of `ganbench.evaluate`; `evaluation["fid"]` is the value of a metric.

    Raises KeyError for a metric that was not measured, MetricNotApplicable for one without a value.
    """

    fake: str
    real: str
    terms: EvaluationProtocol
    rows: tuple[MetricRow, ...]
    floor: str  # a description of the data that give the floor
    notes: tuple[str, ...]
    copies: int = 0  # of the `terms.fakes` fakes, those that repeat another one
    shared: int = 0  # of the `terms.fakes` fakes, those with the same pixels as one of the reals

    def __getitem__(self, metric: str) -> float:
        label = METRICS.label(metric)
        row = next((row for row in self.rows if row.metric == label), None)
        if row is None:
            raise KeyError(metric)
        if row.value is None:
            raise MetricNotApplicable(f"{label}: {row.reason}")
        return row.value

    def as_dict(self) -> dict[str, Any]:
        """Returns the whole result as plain data."""
        return {
            "fake": self.fake,
            "real": self.real,
            "protocol": {"id": self.terms.id, "text": str(self.terms), **asdict(self.terms)},
            "metrics": [asdict(row) | self.name_of_row(row) for row in self.rows],
            "floor": self.floor,
            "notes": list(self.notes),
            "warning": comparison_warning((row.metric for row in self.rows), self.terms.features),
        }

    def name_of_row(self, row: MetricRow) -> dict[str, str]:
        """Returns a metric's name with its features, and the features alone."""
        features = self.terms.features if depends_on_features(row.metric) else ""
        return {"name": name_with_features(row.label or row.metric, features), "features": features}

    def table(self) -> str:
        """Returns the text that the command `ganbench eval` prints."""
        from .table import evaluation_text

        return evaluation_text(self.as_dict())

    __str__ = table
