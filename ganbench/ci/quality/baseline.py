"""Baselines: the scores of a suite's trainings, with their revision, machine and reason.

A baseline is a JSON file that is committed beside the code. Reading a baseline validates the whole file.
A new baseline keeps the means of its predecessors, so that a slow drift over baselines is visible.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ganbench.analysis.metric_scale import MetricScale
from ganbench.analysis.verdicts import ComparisonVerdict
from ganbench.ci.git import current_revision
from ganbench.ci.machine import describe_machine
from ganbench.evaluation.metric_names import name_with_features
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.possible_values import POSSIBLE_VALUES
from ganbench.experiments.config_model import Finite
from ganbench.experiments.provenance import versions
from ganbench.files import write_bytes
from ganbench.records import format_misfits, require_known_schema
from ganbench.registry import SpecError

from .hypothesis_tests import CellTrainings
from .loss_trace import LossTrace
from .protocol_changes import describe_protocol_change, features_of_protocol
from .trace_comparison import TraceComparison, compare_trace

Margin = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Kind = Literal["suite", "images"]
IMAGES_CELL = "images"  # the one cell of a baseline of images
RESTORE_BASELINE = (
    "Restore the file from git, or delete it and make it again with `ganbench baseline make`"
)
BASELINE_SCHEMA = 1  # the newest that this program reads


class StrictRecord(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class FloorRecord(StrictRecord):
    """The floor of a metric (the score of held-out data) and its standard error."""

    value: Finite
    error: Finite | None = None


class LossTraceRecord(StrictRecord):
    """The stored canary of a cell: its loss trace, see `LossTrace`."""

    losses: Mapping[str, Sequence[Finite | None]]
    scores: Mapping[str, Finite | None]


class MetricFactsRecord(StrictRecord):
    """The properties that a metric declares."""

    direction: Literal["lower", "higher"]
    transform: Literal["log", "logit", "none"]
    version: int


class CellRecord(StrictRecord):
    """The outcomes and the values of the trainings of one cell."""

    protocol: str  # identifier of the protocol
    ended: int = Field(ge=1)
    failed: int = Field(ge=0)  # diverged
    values: Mapping[str, Sequence[Finite | None]]  # by metric and seed

    @model_validator(mode="after")
    def _counts(self) -> "CellRecord":
        counts = [sum(v is not None for v in values) for values in self.values.values()]
        if (most := max([self.failed, *counts])) > self.ended:
            raise ValueError(f"{most} values or failures, but only {self.ended} trainings")
        return self


class BaselineProvenance(StrictRecord):
    """The date, the reason, the revision, the machine and the versions behind a baseline."""

    date: str
    reason: str = Field(min_length=1)
    revision: str
    machine: str
    versions: dict[str, str]

    @model_validator(mode="after")
    def _torch(self) -> "BaselineProvenance":
        if "torch" not in self.versions:
            raise ValueError("versions lack that of torch")
        return self

    @property
    def conditions(self) -> str:
        """The conditions for identical digits: the version of torch, and the machine."""
        return f"torch {self.versions['torch']} on {self.machine}"


class PreviousBaseline(StrictRecord):
    """A predecessor of a baseline: its provenance, and the mean of each metric of each cell."""

    made: BaselineProvenance
    means: dict[str, dict[str, Finite]]


class Baseline(StrictRecord):
    """A baseline file."""

    schema_: Literal[1] = Field(alias="schema", default=1)
    kind: Kind
    name: str  # of the suite, or of the real images
    made: BaselineProvenance
    device: str
    budget: str = ""
    seeds: list[int] = []
    metrics: dict[str, MetricFactsRecord]
    margins: dict[str, Margin] = Field(min_length=1)  # when the baseline was made
    gate: int = Field(ge=1)  # trainings per cell in the gates of this baseline
    settings: dict[
        Literal["metrics", "extractor", "size"], str | int | None
    ] = {}  # only for images
    protocols: dict[str, str]  # descriptions, by identifier
    protocol_fields: dict[str, dict[str, str | int | None]] = {}  # by identifier; since release 0.2
    cells: dict[str, CellRecord] = Field(min_length=1)
    floors: dict[str, dict[str, FloorRecord]] = {}  # by data set and metric
    canary: dict[str, LossTraceRecord] = {}
    earlier: list[PreviousBaseline] = []

    @model_validator(mode="after")
    def _whole(self) -> "Baseline":
        for cell, record in self.cells.items():
            lengths = {len(values) for values in record.values.values()}
            if lengths - {len(self.seeds) if self.kind == "suite" else max(lengths)}:
                raise ValueError(f"{cell} does not have one value per seed")
            if record.protocol not in self.protocols:
                raise ValueError(
                    f"{cell} is measured by {record.protocol}, which is not among the protocols"
                )
            if other := record.values.keys() - self.metrics:
                raise ValueError(f"{min(other)} is not among the metrics")
            self._require_possible_values(cell, record)
        if other := self.margins.keys() - self.metrics:
            raise ValueError(f"{min(other)} has a margin, but is not among the metrics")
        if self.kind == "suite" and not (self.floors and self.seeds):
            raise ValueError("a suite's baseline has floors and seeds")
        if self.kind == "images" and list(self.cells) != [IMAGES_CELL]:
            raise ValueError(f"a baseline of images has one cell, {IMAGES_CELL}")
        return self

    def _require_possible_values(self, cell: str, record: CellRecord) -> None:
        """Raises ValueError for a value outside of the range of its metric's scale."""
        for metric, values in record.values.items():
            low, high = POSSIBLE_VALUES[self.metrics[metric].transform]
            known = [value for value in values if value is not None]
            if known and not low <= min(known) <= max(known) <= high:
                raise ValueError(f"{cell}: {metric} has an impossible value")

    def trainings_by_cell(self) -> dict[str, CellTrainings]:
        return {
            cell: CellTrainings(record.ended, record.failed, record.values)
            for cell, record in self.cells.items()
        }

    def metric_scales(self) -> dict[str, MetricScale]:
        return {m: MetricScale(f.direction, f.transform) for m, f in self.metrics.items()}

    def features(self) -> str:
        """Returns the features of the metrics; empty for Inception's."""
        names = dict.fromkeys(
            features_of_protocol(self.protocol_fields.get(name, {}), text)
            for name, text in self.protocols.items()
        )
        return " or ".join(filter(None, names))

    def display_name(self, metric: str) -> str:
        """Returns a metric's name with its features: `FID (efficientnet_lite0)`."""
        return name_with_features(metric, self.features()) if metric in self.metrics else metric

    def describe_protocol_change(self, name: str, now: Mapping[str, object]) -> str:
        """Returns how the protocol of this name differs from another; see `protocol_changes`."""
        before = self.protocol_fields.get(name, {})
        texts = self.protocols.get(name, name), str(now["text"])
        return describe_protocol_change(before, now, texts)

    def smallest_count(self) -> int:
        """Returns the number of successful trainings of the cell with the fewest."""
        return min(record.ended - record.failed for record in self.cells.values())

    def metric_means(self) -> dict[str, dict[str, float]]:
        """Returns the mean of each metric of each cell, averaged on the metric's scale."""
        return {
            cell: {
                m: self.metric_scales()[m].mean(t.measured_values(m))
                for m in t.values
                if t.measured_values(m)
            }
            for cell, t in self.trainings_by_cell().items()
        }


def make_provenance(reason: str, device: str) -> BaselineProvenance:
    """Returns the provenance of a baseline made now, on this machine."""
    return BaselineProvenance(
        date=datetime.now(UTC).date().isoformat(),
        reason=reason,
        revision=current_revision(Path.cwd()),
        machine=describe_machine(device),
        versions=versions(),
    )


def protocol_fields_of(record: Mapping[str, object]) -> dict[str, str | int | None]:
    """Returns the plain fields of a protocol's record, without its id and its text."""
    return {
        key: value
        for key, value in record.items()
        if key not in ("id", "text") and isinstance(value, str | int | None)
    }


def digit_conditions(device: str) -> str:
    return make_provenance("to compare", device).conditions


def previous_baselines(before: Baseline | None) -> list[PreviousBaseline]:
    """Returns the means of a baseline and of its predecessors, the oldest first."""
    return (
        [*before.earlier, PreviousBaseline(made=before.made, means=before.metric_means())]
        if before
        else []
    )


def compare_traces(
    baseline: Baseline, traces: Mapping[str, LossTrace], conditions: str
) -> list[TraceComparison]:
    """Compares the canaries of the cells that both sides have.

    Under other conditions, different digits give the verdict "not comparable".
    """
    recorded = {cell: LossTrace(s.losses, s.scores) for cell, s in baseline.canary.items()}
    comparisons = [
        compare_trace(cell, recorded[cell].values_by_place(), trace.values_by_place())
        for cell, trace in traces.items()
        if cell in recorded
    ]
    if baseline.made.conditions == conditions:
        return comparisons
    other = f"the baseline was made with {baseline.made.conditions}, this run uses {conditions}"
    return [
        each
        if each.verdict is ComparisonVerdict.IDENTICAL
        else TraceComparison(each.cell, ComparisonVerdict.NOT_COMPARABLE, other)
        for each in comparisons
    ]


def list_version_differences(baseline: Baseline, metrics: Iterable[str]) -> Iterator[str]:
    """Yields a sentence for each metric that the baseline lacks or declares differently."""
    for metric in metrics:
        before, now = baseline.metrics.get(metric), metric_facts_record(metric)
        if before is None:
            yield f"the baseline does not have {metric}"
        elif before != now:
            yield f"the baseline's {metric} is {describe_metric_facts(before)}, but is now {describe_metric_facts(now)}"


def metric_facts_record(metric: str) -> MetricFactsRecord:
    part = METRICS.make(metric)
    return MetricFactsRecord(
        direction=part.direction, transform=part.transform, version=part.version
    )


def describe_metric_facts(facts: MetricFactsRecord) -> str:
    scale = f"better if {facts.direction}, on the scale {facts.transform}"
    return f"{scale}, of version {facts.version}"


def read_baseline_file(path: Path) -> Baseline:
    """Reads a baseline; raises SpecError with the first five errors, each with its key.

    Raises NewerSchema if a newer program wrote it.
    """
    try:
        return Baseline.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise SpecError(
            f"there is no baseline {path}: `ganbench baseline make` makes one"
        ) from None
    except OSError as error:
        raise SpecError(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        refuse_newer_baseline(path, error)
        lines = [f"{path}: {misfit}" for misfit in format_misfits(error, most=5)]
        raise SpecError("\n".join([*lines, RESTORE_BASELINE])) from None


def refuse_newer_baseline(path: Path, error: ValidationError) -> None:
    """Raises NewerSchema if a number of a newer schema is among the errors."""
    for each in error.errors():
        if each["loc"] == ("schema",) and isinstance(each["input"], int):
            require_known_schema(path, each["input"], BASELINE_SCHEMA)


def write_baseline_file(path: Path, baseline: Baseline) -> None:
    content = baseline.model_dump(by_alias=True)
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    write_bytes(path, fold_number_lists(text).encode() + b"\n")


def fold_number_lists(text: str) -> str:
    """Puts each list of numbers of a JSON text on one line, for readable diffs."""
    return re.sub(r"\[\s*([^][{}\"]*?)\s*\]", lambda match: f"[{' '.join(match[1].split())}]", text)


def list_drift(baseline: Baseline) -> dict[str, dict[str, float]]:
    """Returns how much each mean worsened since the oldest predecessor, on the metric's scale."""
    if not baseline.earlier:
        return {}
    first, now, scales = (
        baseline.earlier[0].means,
        baseline.metric_means(),
        baseline.metric_scales(),
    )
    return {
        cell: {
            m: scales[m].worsening_between(first[cell][m], value)
            for m, value in means.items()
            if m in first.get(cell, {})
        }
        for cell, means in now.items()
    }
