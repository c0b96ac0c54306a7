"""Schemas of the JSON files of the store, as far as tables and commands read them."""

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from ganbench.records import Record

TrialId = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^[^/\\\x00]+$")]


class CodeProvenance(Record):
    code: str
    torch_minor: str


class SpentBudget(Record):
    images: int | None = None
    generator_turns: int | None = None


class ResultRecord(Record):
    """The content of result.json."""

    id: TrialId
    outcome: Literal["done", "diverged"]
    reason: str
    step: int | None = None
    spent: SpentBudget = SpentBudget()
    costs: dict[str, float | None] = Field(default={})
    provenance: CodeProvenance


class CurvePoint(Record):
    """A row of losses or scores, with numbers under further keys."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float | None]
    step: int


class CurveRecord(Record):
    """The content of curve.json."""

    losses: list[CurvePoint]
    scores: list[CurvePoint]
    floor: dict[str, float] = Field(default={})


class RatesRecord(Record):
    optimizer: str
    batch: int
    latent: int
    discriminator_turns: int
    decay: float
    generator_lr: float
    discriminator_lr: float
    generator_betas: tuple[float, float] = Field(strict=False)
    discriminator_betas: tuple[float, float] = Field(strict=False)


class RecipeRecord(Record):
    game: str
    network: str
    loss: str
    tricks: list[str]
    plan: RatesRecord


class BudgetRecord(Record):
    unit: str
    amount: float  # of seconds, too


class TrialRecord(Record):
    data: str
    variant: str
    loss: str
    tricks: list[str]
    plan: str
    recipe: RecipeRecord
    budget: BudgetRecord
    seed: int
    points: int
    device: str
    fingerprint: str


class SpecRecord(Record):
    """The content of spec.json."""

    id: TrialId
    identity: dict[str, Any]
    trial: TrialRecord

    @classmethod
    def schema_of(cls, content: dict[str, Any]) -> Any:
        """Returns the number of the schema, which the identity of a trial holds."""
        identity = content.get("identity")
        return identity.get("schema", 1) if isinstance(identity, dict) else 1


class EndRecord(Record):
    """The content of an attempt's exit.json."""

    outcome: Literal["done", "diverged", "failed", "interrupted"]
    reason: str


class PlannedItem(Record):
    role: Literal["trial", "untrained"]
    trial: TrialId
    data: str
    variant: str
    loss: str
    tricks: str
    plan: str
    seed: int
    objection: str
    protocol: FileName


class MetricFacts(Record):
    direction: str
    transform: str
    unit: str
    version: int | None = None


class ProtocolFacts(Record):
    id: str
    text: str
    data: str
    fake: int
    real: int


class AnalysisFacts(Record):
    outcome: str
    collapse: float


class PlanRecord(Record):
    """The content of plan.json."""

    suite: FileName
    analysis: AnalysisFacts
    metrics: dict[str, MetricFacts]
    protocols: dict[str, ProtocolFacts]
    trials: list[PlannedItem]
    options: list[str] = Field(default=[])  # of the command that planned it
    suite_hash: str = ""  # of the suite file
    notes: list[str] = Field(default=[])  # on data sets that are too small
    images: list[int] = Field(default=[])  # fewest and most of an arm, if they differ


def hash_identity(identity: dict[str, Any]) -> str:
    """Returns the SHA-256 of a trial's identity as canonical JSON, which is the trial's id."""
    text = json.dumps(
        identity, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )
    return hashlib.sha256(text.encode()).hexdigest()
