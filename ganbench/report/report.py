"""A report: the rows of a suite, and all that is made of them before it is written in any form."""

from dataclasses import dataclass
from typing import Any, Self

import pandas as pd

from ..analysis.effects import Effect
from ..analysis.leaderboard import leaderboard
from .analyses import analyses
from .effects import effects_of, sections
from .words import findings


@dataclass(frozen=True)
class Report:
    frame: pd.DataFrame
    board: pd.DataFrame
    changes: dict[str, pd.DataFrame]  # effects, chains, interactions, rates
    further: dict[str, pd.DataFrame]  # the analyses by name
    findings: list[str]

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Self:
        """Makes everything, once."""
        return cls(frame, leaderboard(frame), sections(frame), analyses(frame), findings(frame))

    @property
    def plan(self) -> dict[str, Any]:
        return self.frame.attrs["plan"]

    @property
    def effects(self) -> list[Effect]:
        return effects_of(self.changes["effects"])

    @property
    def chains(self) -> list[Effect]:
        return effects_of(self.changes["chains"])
