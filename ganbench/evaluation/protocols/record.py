"""A protocol record: everything but the metric that a number depends on."""

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from ganbench.files import hash_json

from .base import DEFAULT_PROTOCOL


@dataclass(frozen=True)
class ProtocolRecord:
    """What a number means, but for the metric's own settings and version.

    Numbers of different protocols never share a column.
    """

    rules: str  # whose estimators
    rules_version: int
    data: str
    fingerprint: str  # SHA-256 of the data's content
    extractor: str
    extractor_version: int
    weights: str | None  # SHA-256 of the extractor's weights
    resize: str
    real: int  # the first examples of the training split: the reference
    fake: int  # if nothing else is asked for, as many as the held-out split has
    seed: int  # of the latents
    split: str = "the first training examples are the reference; the floor is of held-out ones"
    rounding: str = "nearest of 256 levels, clamped"
    version: int = 2

    @cached_property
    def id(self) -> str:
        return hash_json(asdict(self), digits=12)

    def record(self) -> dict[str, Any]:
        """What tables need to know of it."""
        return {"id": self.id, "text": str(self), **asdict(self)}

    def __str__(self) -> str:
        rules = "" if self.rules == DEFAULT_PROTOCOL else f"{self.rules}: "
        seed = f", latents of seed {self.seed}" if self.seed else ""
        return (
            f"{rules}{self.extractor}, {self.fake} fakes against {self.real} training examples "
            f"of {self.data}{seed} [{self.id}]"
        )
