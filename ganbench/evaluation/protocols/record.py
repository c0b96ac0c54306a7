"""Protocol records: all facts that a metric's value depends on, except the metric."""

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from ganbench.files import hash_json

from .base import DEFAULT_PROTOCOL


@dataclass(frozen=True)
class ProtocolRecord:
    """The conditions of a measurement, without the metric's settings and version.

    Values of different protocols never share a column.
    """

    rules: str  # the protocol that gives the estimators
    rules_version: int
    data: str
    fingerprint: str  # SHA-256 of the data's content
    extractor: str
    extractor_version: int
    weights: str | None  # SHA-256 of the extractor's weights
    resize: str
    real: int  # size of the reference, the first training examples
    fake: int  # number of fakes; by default the size of the held-out split
    seed: int  # seed of the latents
    split: str = "the first training examples are the reference; the floor is of held-out ones"
    rounding: str = "nearest of 256 levels, clamped"
    version: int = 2

    @cached_property
    def id(self) -> str:
        return hash_json(asdict(self), digits=12)

    def record(self) -> dict[str, Any]:
        """Returns the record as plain data with its id and its text, for tables."""
        return {"id": self.id, "text": str(self), **asdict(self)}

    def __str__(self) -> str:
        rules = "" if self.rules == DEFAULT_PROTOCOL else f"{self.rules}: "
        seed = f", latents of seed {self.seed}" if self.seed else ""
        return (
            f"{rules}{self.extractor}, {self.fake:,} fakes against {self.real:,} training examples "
            f"of {self.data}{seed} [{self.id}]"
        )
