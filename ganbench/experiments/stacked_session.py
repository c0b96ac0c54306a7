"""A training session of stacked seeds: one program trains many trials.

Each trial has its own files.
"""

from collections.abc import Sequence
from typing import Any

from ganbench.training.stacked import StackedTrainer
from ganbench.training.trainer import Diverged

from .session import TrainingRecord, TrainingSession


class StackedSession(TrainingSession):
    """Trains trials that differ in their seeds alone, from checkpoints of one step.

    A member that diverges has its result, and the others go on. Members share time and memory equally,
    so a member's seconds are a share of the time.
    """

    def __init__(self, records: Sequence[TrainingRecord]):
        self.active = list(records)
        states = [record.load_checkpoint() for record in records]
        parts = [record.build() for record in records]
        setups, loaders, streams = map(list, zip(*parts, strict=True))
        self.trainer = StackedTrainer(setups, loaders, streams, records[0].trial.budget)
        for number, record in enumerate(records):
            record.training, record.stacked = self.trainer.member(number), len(records)
        self.load_states(states)
        self.start_saving()

    def load_states(self, states: Sequence[dict[str, Any] | None]) -> None:
        """Loads the states of checkpoints; raises ValueError if their steps differ."""
        found = [state for state in states if state is not None]
        if found:
            self.trainer.load_member_states(found)

    def read_terms(self) -> list[dict[str, float] | Diverged]:
        terms, diverged = self.trainer.flush(), self.trainer.diverged
        numbers = [record.training.number for record in self.active]  # type: ignore[attr-defined]
        return [diverged.get(number, terms[number]) for number in numbers]
