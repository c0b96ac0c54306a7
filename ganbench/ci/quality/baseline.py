"""A baseline: what trainings of a suite scored when it was made, on which machine, by whom and why.

A JSON file that is committed beside the code. It is checked whole when it is read, and making it anew
keeps what its predecessors said, so that a slow slide from baseline to baseline can be seen.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ganbench.ci.history.records import current_revision
from ganbench.ci.machine import describe_machine
from ganbench.evaluation.metrics import METRICS
from ganbench.experiments.provenance import versions
from ganbench.files import write_bytes
from ganbench.registry import SpecError

from .hypothesis_tests import CellTrainings, MetricScale
from .loss_trace import LossTrace, TraceComparison, compare_trace

Finite = Annotated[float, Field(allow_inf_nan=False)]
Margin = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Kind = Literal["suite", "images"]
IMAGES_CELL = "images"  # the one cell of a baseline of images


class StrictRecord(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class FloorRecord(StrictRecord):
    """What held-out data score, and the standard error of that."""

    value: Finite
    error: Finite | None = None


class LossTraceRecord(StrictRecord):
    """A canary's song."""

    losses: Mapping[str, Sequence[Finite | None]]
    scores: Mapping[str, Finite | None]


class MetricFactsRecord(StrictRecord):
    """What a metric declared of itself."""

    direction: Literal["lower", "higher"]
    transform: Literal["log", "logit", "none"]
    version: int


class CellRecord(StrictRecord):
    """How the trainings of one cell ended."""

    protocol: str  # what its values mean, as an identifier
    ended: int = Field(ge=1)
    failed: int = Field(ge=0)  # diverged
    values: Mapping[str, Sequence[Finite | None]]  # by metric and seed

    @model_validator(mode="after")
    def _counts(self) -> "CellRecord":
        counts = [sum(v is not None for v in values) for values in self.values.values()]
        if (most := max([self.failed, *counts])) > self.ended:
            raise ValueError(f"{most} values or failures of {self.ended} trainings")
        return self


class BaselineProvenance(StrictRecord):
    """When a baseline was made, of which code, where and why."""

    date: str
    reason: str = Field(min_length=1)
    revision: str
    machine: str
    versions: dict[str, str]

    @model_validator(mode="after")
    def _torch(self) -> "BaselineProvenance":
        if "torch" not in self.versions:
            raise ValueError("versions lack torch's")
        return self

    @property
    def conditions(self) -> str:
        """What digits depend on."""
        return f"torch {self.versions['torch']} on {self.machine}"


class PreviousBaseline(StrictRecord):
    """A predecessor: how it was made, and the mean of each metric of each cell."""

    made: BaselineProvenance
    means: dict[str, dict[str, Finite]]


class Baseline(StrictRecord):
    """The file as a whole."""

    schema_: Literal[1] = Field(alias="schema", default=1)
    kind: Kind
    name: str  # of the suite, or of the reals
    made: BaselineProvenance
    device: str
    budget: str = ""
    seeds: list[int] = []
    metrics: dict[str, MetricFactsRecord]
    margins: dict[str, Margin]  # when it was made
    gate: int = Field(ge=1)  # trainings of a cell in the gates that it is made for
    settings: dict[Literal["metrics", "extractor", "size"], str | int | None] = {}  # of images
    protocols: dict[str, str]  # identifier: text
    cells: dict[str, CellRecord] = Field(min_length=1)
    floors: dict[str, dict[str, FloorRecord]] = {}  # by data set and metric
    canary: dict[str, LossTraceRecord] = {}
    earlier: list[PreviousBaseline] = []

    @model_validator(mode="after")
    def _whole(self) -> "Baseline":
        for cell, record in self.cells.items():
            lengths = {len(values) for values in record.values.values()}
            if lengths - {len(self.seeds) if self.kind == "suite" else max(lengths)}:
                raise ValueError(f"{cell} has not one value a seed")
            if record.protocol not in self.protocols:
                raise ValueError(
                    f"{cell} is measured by {record.protocol}, which is no protocol here"
                )
            if other := record.values.keys() - self.metrics:
                raise ValueError(f"{min(other)} is no metric here")
        if other := self.margins.keys() - self.metrics:
            raise ValueError(f"the margin of {min(other)} is of no metric here")
        if self.kind == "suite" and not (self.floors and self.seeds):
            raise ValueError("a suite's baseline has floors and seeds")
        if self.kind == "images" and list(self.cells) != [IMAGES_CELL]:
            raise ValueError(f"a baseline of images has one cell, {IMAGES_CELL}")
        return self

    def trainings_by_cell(self) -> dict[str, CellTrainings]:
        return {
            cell: CellTrainings(record.ended, record.failed, record.values)
            for cell, record in self.cells.items()
        }

    def metric_scales(self) -> dict[str, MetricScale]:
        return {m: MetricScale(f.direction, f.transform) for m, f in self.metrics.items()}

    def smallest_count(self) -> int:
        """Trainings that ended well, of the cell that has fewest."""
        return min(record.ended - record.failed for record in self.cells.values())

    def metric_means(self) -> dict[str, dict[str, float]]:
        """Of each metric of each cell, on the metric's scale and back."""
        return {
            cell: {
                m: self.metric_scales()[m].mean(t.measured_values(m))
                for m in t.values
                if t.measured_values(m)
            }
            for cell, t in self.trainings_by_cell().items()
        }


def make_provenance(reason: str, device: str) -> BaselineProvenance:
    """How a baseline is made here and now."""
    return BaselineProvenance(
        date=datetime.now(UTC).date().isoformat(),
        reason=reason,
        revision=current_revision(Path.cwd()),
        machine=describe_machine(device),
        versions=versions(),
    )


def digit_conditions(device: str) -> str:
    return make_provenance("to compare", device).conditions


def previous_baselines(before: Baseline | None) -> list[PreviousBaseline]:
    """A baseline and its predecessors, by their means."""
    return (
        [*before.earlier, PreviousBaseline(made=before.made, means=before.metric_means())]
        if before
        else []
    )


def compare_traces(
    baseline: Baseline, songs: Mapping[str, LossTrace], conditions: str
) -> list[TraceComparison]:
    """The canaries of the cells that both sides have. Other digits of other conditions say nothing."""
    recorded = {cell: LossTrace(s.losses, s.scores) for cell, s in baseline.canary.items()}
    comparisons = [
        compare_trace(cell, recorded[cell], song)
        for cell, song in songs.items()
        if cell in recorded
    ]
    if baseline.made.conditions == conditions:
        return comparisons
    other = f"the baseline's ran with {baseline.made.conditions}, this one with {conditions}"
    return [
        h if h.verdict == "identical" else TraceComparison(h.cell, "not comparable", other)
        for h in comparisons
    ]


def list_version_differences(baseline: Baseline, metrics: Iterable[str]) -> Iterator[str]:
    """The metrics that this baseline does not speak of, in sentences."""
    for metric in metrics:
        before, now = baseline.metrics.get(metric), metric_facts_record(metric)
        if before is None:
            yield f"it does not have {metric}"
        elif before != now:
            yield f"its {metric} is {format_validation_problem(before)}, and this one {format_validation_problem(now)}"


def metric_facts_record(metric: str) -> MetricFactsRecord:
    part = METRICS.make(metric)
    return MetricFactsRecord(
        direction=part.direction, transform=part.transform, version=part.version
    )


def format_validation_problem(found: MetricFactsRecord) -> str:
    scale = f"better if {found.direction}, on the scale {found.transform}"
    return f"{scale}, of version {found.version}"


def read_baseline_file(path: Path) -> Baseline:
    """Raises SpecError with all that is wrong with the file, each with its key."""
    try:
        return Baseline.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise SpecError(
            f"there is no baseline {path}: `ganbench baseline make` makes one"
        ) from None
    except OSError as error:
        raise SpecError(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        lines = [f"{path}: {format_key_path(e['loc'])}{e['msg']}" for e in error.errors()[:5]]
        raise SpecError("\n".join(lines)) from None


def format_key_path(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)) + ": " if location else ""


def write_baseline_file(path: Path, baseline: Baseline) -> None:
    content = baseline.model_dump(by_alias=True)
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    write_bytes(path, fold_number_lists(text).encode() + b"\n")


def fold_number_lists(text: str) -> str:
    """JSON with each list of numbers on one line, for people who read how two baselines differ."""
    return re.sub(r"\[\s*([^][{}\"]*?)\s*\]", lambda found: f"[{' '.join(found[1].split())}]", text)


def list_drift(baseline: Baseline) -> dict[str, dict[str, float]]:
    """How much worse each mean is than in the first baseline of this line, on the metric's scale."""
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
            for m, value in sentences.items()
            if m in first.get(cell, {})
        }
        for cell, sentences in now.items()
    }
