"""The JSON of verdicts: what `gate`, `perf`, `check` and `bisect` print with `--json`.

The commands print these records, and the JSON Schema is generated from them:

    python -m ganbench.ci.verdict_records > docs/ci/verdict.schema.json

Numbers that are not finite are null.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from ganbench.analysis.verdicts import ComparisonVerdict
from ganbench.files import write_json

Number = float | None  # null in JSON unless finite
GateWord = Literal["passed", "regressed", "cannot decide"]


class Record(BaseModel):
    model_config = ConfigDict(
        extra="forbid", ser_json_inf_nan="null", json_schema_serialization_defaults_required=True
    )

    def to_json(self) -> dict[str, Any]:
        """Returns plain data for JSON."""
        content: dict[str, Any] = json.loads(self.model_dump_json(by_alias=True))
        return content


class VerdictRecord(Record):
    """The keys of every verdict."""

    schema_: Literal[2] = Field(alias="schema", default=2)
    title: str  # of a comment or a page
    code: int = Field(description="Exit code of the command.")
    sentences: list[str] = Field(description="Findings, the most serious first.")


class FaultRecord(Record):
    cell: str
    method: str
    sentence: str


class MethodsRecord(Record):
    """The checks of methods against their closed forms."""

    checked: int
    faults: list[FaultRecord]
    errors: list[str] = Field(description="Checks that crashed.")
    unchecked: list[str] = Field(description="Parts without a closed form.")


class CheckRecord(VerdictRecord, MethodsRecord):
    """The verdict of `ganbench check`."""

    command: Literal["check"] = "check"
    verdict: GateWord


class ScaleRecord(Record):
    direction: Literal["lower", "higher"] = Field(description="The better direction.")
    transform: Literal["log", "logit", "none"]
    unit: str = Field(default="", description="The metric's unit; empty for none.")


class GateTestRecord(Record):
    """A hypothesis test of the quality gate."""

    cell: str = Field(description="Empty for tests over all cells.")
    metric: str
    name: str = Field(description="The metric with its features.")
    before: Number
    after: Number
    worse: Number = Field(description="The worsening on the transformed scale.")
    bound: Number = Field(description="One-sided upper bound of `worse`; null without an error.")
    margin: Number
    change: str = Field(description="The worsening as text.")
    p: Number = Field(description="One-sided, Holm-corrected.")
    counts: tuple[int, int]
    scale: ScaleRecord
    verdict: ComparisonVerdict


class PowerRecord(Record):
    """The worsenings that a gate detects with some probabilities."""

    cell: str
    metric: str
    mean: Number
    spread: Number
    margin: Number
    caught: dict[str, str]
    scale: ScaleRecord


class FloorShiftRecord(Record):
    data: str
    metric: str
    before: Number
    after: Number


class CanaryRecord(Record):
    cell: str
    verdict: ComparisonVerdict
    detail: str


class BaselineMadeRecord(Record):
    date: str
    reason: str
    revision: str
    machine: str
    versions: dict[str, str]


class GateRecord(VerdictRecord):
    """The verdict of `ganbench gate`."""

    command: Literal["gate"] = "gate"
    verdict: GateWord
    features: str
    tests: list[GateTestRecord]
    methods: MethodsRecord | None
    floors_moved: list[FloorShiftRecord]
    canary: list[CanaryRecord]
    refusals: list[str]
    notes: list[str]
    power: list[PowerRecord]
    baseline: BaselineMadeRecord
    seconds: float


class BenchmarkRecord(Record):
    """The comparison of a benchmark on both sides."""

    benchmark: str
    verdict: ComparisonVerdict
    base: Number
    head: Number
    unit: str
    exact: bool
    ratio: Number = Field(
        description="head / base: the geometric mean over pairs, or the ratio of exact counts."
    )
    low: Number
    high: Number
    pairs: int
    reason: str


class PerfRecord(VerdictRecord):
    """The verdict of `ganbench perf`."""

    command: Literal["perf"] = "perf"
    verdict: GateWord
    base: str
    head: str
    margin: float
    power: dict[str, float] = Field(description="Probability of detection, by slowdown.")
    device: str
    pairs: int
    waiting: float
    seconds_of_pairs: list[float]
    unsteady: list[str]
    comparisons: list[BenchmarkRecord]


class CommitRecord(Record):
    hash: str
    parents: list[str]
    author: str
    date: str
    subject: str


class SeparationRecord(Record):
    difference: Number
    p: Number
    level: Number
    counts: tuple[int, int]


class CandidateRecord(Record):
    commit: str
    probability: float


class MeasurementRecord(Record):
    """A line of a bisection's state file."""

    model_config = ConfigDict(extra="allow")
    commit: str
    kind: Literal["exact", "value", "skip"]


class BisectRecord(VerdictRecord):
    """The verdict of `ganbench bisect`."""

    command: Literal["bisect"] = "bisect"
    verdict: Literal["found", "between", "cannot decide"]
    measure: str
    question: dict[str, Any]
    good: str
    bad: str
    evidence: Literal["", "canary", "count", "noise"]
    culprit: CommitRecord | None
    candidates: list[CommitRecord]
    probability: float
    error: float | None
    separation: SeparationRecord | None
    posterior: list[CandidateRecord]
    measurements: list[MeasurementRecord]
    state: str | None


AnyVerdict = Annotated[
    GateRecord | PerfRecord | CheckRecord | BisectRecord, Field(discriminator="command")
]


def write_verdict(path: Path | None, record: VerdictRecord) -> None:
    """Writes the JSON of a verdict to a file, if one is given."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, record.to_json())


def verdict_json_schema() -> dict[str, Any]:
    """Returns the JSON Schema of verdicts."""
    content = TypeAdapter(AnyVerdict).json_schema(by_alias=True, mode="serialization")
    about = {"title": "A verdict of ganbench", "description": "What `--json` prints."}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **about, **content}


if __name__ == "__main__":
    print(json.dumps(verdict_json_schema(), indent=2))
