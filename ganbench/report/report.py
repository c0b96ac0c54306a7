"""The report of a suite: its rows and all tables and sentences computed from them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pandas as pd

from ganbench.analysis.coverage import TrickCoverage
from ganbench.analysis.effects import Effect, effect_scale
from ganbench.analysis.leaderboard import leaderboard
from ganbench.analysis.metric_scale import EffectScale
from ganbench.experiments.store import Store
from ganbench.human_study.error_rates import with_human_error

from .analyses import make_analyses
from .answer import SuiteAnswer, answer_of
from .best_arm import best_arm_sentences
from .dependence import TrickDependence
from .effects import effect_sections, effects_of_table
from .findings import SuiteChanges, run_findings
from .losses import collect_losses, empty_losses, read_losses


@dataclass(frozen=True)
class SuiteReport:
    frame: pd.DataFrame
    board: pd.DataFrame
    changes: dict[str, pd.DataFrame]  # effects, chains (of tricks), interactions, rates
    further: dict[str, pd.DataFrame]  # the analyses by name
    findings: list[str]
    best_arms: list[str]  # one sentence per data set
    coverage: TrickCoverage
    dependence: TrickDependence
    losses: pd.DataFrame = field(default_factory=empty_losses)  # of one training per arm

    @classmethod
    def of(
        cls, frame: pd.DataFrame, folder: Path | None = None, store: Store | None = None
    ) -> Self:
        """Computes the whole report from rows.

        Human error comes from the study file in the suite's folder, if there is one. Losses come from the store,
        or without a store from that folder. Raises CorruptFile if the folder's losses cannot be read.
        """
        board, changes = leaderboard(frame), SuiteChanges.of(frame)
        return cls(
            frame=frame,
            board=with_human_error(board, frame, folder) if folder else board,
            changes=effect_sections(frame, changes),
            further=make_analyses(frame, {"levels": changes.levels}),
            findings=run_findings(frame, changes, board),
            best_arms=best_arm_sentences(frame, board),
            coverage=changes.coverage,
            dependence=changes.dependence,
            losses=find_losses(frame, board, folder, store),
        )

    @property
    def plan(self) -> dict[str, Any]:
        return self.frame.attrs["plan"]

    @property
    def answer(self) -> SuiteAnswer | None:
        """The tricks that help or harm; None if no trick was compared."""
        return answer_of(self.frame, self.effects, self.coverage, self.dependence)

    @property
    def effects(self) -> list[Effect]:
        return effects_of_table(self.changes["effects"])

    @property
    def effect_scale(self) -> EffectScale:
        """Direction, transform and unit of the effects."""
        return effect_scale(self.frame)

    @property
    def chains(self) -> list[Effect]:
        return effects_of_table(self.changes["chains"])


def find_losses(
    frame: pd.DataFrame, board: pd.DataFrame, folder: Path | None, store: Store | None
) -> pd.DataFrame:
    """Returns the losses in the store, else those in the suite's folder, else none."""
    if store:
        return collect_losses(frame, board, store)
    return read_losses(folder) if folder else empty_losses()
