"""Rounds of adaptive seeds: the number of seeds of each arm so far."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .plan_names import Arm, PlanItem, arm_of_item, format_chain
from .trial import Trial


@dataclass(frozen=True)
class SeedRounds:
    """The seeds of each arm after some looks at the results, and the record for plan.json."""

    first: int  # seeds of arms that are not named, and of untrained references
    counts: Mapping[Arm, int] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def most(self) -> int:
        return max([self.first, *self.counts.values()])

    def has_seed(self, trial: Trial, seed: int) -> bool:
        """Returns whether a trial of the first seed is planned with this seed."""
        if trial.budget.amount == 0:
            return seed < self.first
        return seed < self.counts.get(arm_of_trial(trial), self.first)


def arm_of_trial(trial: Trial) -> Arm:
    chain = format_chain(trial.tricks)
    return (trial.data_name, trial.variant, trial.loss, chain, trial.plan)


def planned_arms(items: Iterable[PlanItem]) -> list[Arm]:
    """Returns the arms that can be trained, in the order of a plan."""
    return list(
        dict.fromkeys(
            arm_of_item(item) for item in items if item["role"] == "trial" and not item["objection"]
        )
    )
