"""Adaptive seeds: arms of undecided effects get more seeds, round after round.

A look follows each round, when all its trials are finished. It decides the effects of tricks over the grid
by `LookRule`. A decided effect gets no more seeds, and neither does one with little chance of a decision.
All looks are replayed from the store, so the same results give the same rounds after any interruption.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import pandas as pd

from ganbench.experiments.outcomes import check_trial_files
from ganbench.experiments.plan import PlannedTrial, plan_record, plan_trials
from ganbench.experiments.plan_names import Arm, arm_of_item
from ganbench.experiments.seed_rounds import SeedRounds, planned_arms
from ganbench.experiments.store import Store
from ganbench.experiments.suite import AdaptiveSeeds, Suite
from ganbench.experiments.suite_errors import SuiteError

from .contrasts import BACKGROUND_COLUMNS, Estimate, background_tables
from .effects import (
    DIRECTED_VERDICTS,
    Effect,
    effect_weights,
    estimate_effects,
    names_of_effects,
    outcome_rows,
)
from .metric_scale import MetricScale, outcome_scale
from .rows import collect_rows
from .sequential import LookRule

GOES_ON, LITTLE_CHANCE, LAST_ROUND = "goes on", "little chance", "last round"
NO_BUDGET, NO_VALUES = "budget", "no values"
DECISIONS = (*DIRECTED_VERDICTS, "equivalent")


@dataclass(frozen=True)
class EffectState:
    """An effect at its last look: its seeds, and the decision or the reason why seeds ended."""

    tricks: str
    seeds: int
    state: str = GOES_ON  # or one of DECISIONS, or a reason
    chance: float = math.nan  # of a decision by the last round

    @property
    def goes_on(self) -> bool:
        return self.state == GOES_ON

    def record(self) -> dict[str, Any]:
        """Returns the state for plan.json."""
        entry = asdict(self)
        entry.pop("chance")
        return entry


@dataclass
class LookReplay:
    """The looks that the results of a store allow, and the seeds that follow from them."""

    suite: Suite
    profile: str
    device: str
    store: Store
    settings: AdaptiveSeeds
    counts: dict[Arm, int] = field(default_factory=dict)
    effects: list[EffectState] = field(default_factory=list)
    taken: int = 0

    def run(self) -> SeedRounds:
        """Takes all looks whose rounds are finished; returns the seeds of each arm after them.

        Raises SuiteError if the budget is too small for the first round, and CorruptFile.
        """
        for look in range(len(self.settings.rounds)):
            plan = self.plan()
            if look == 0:
                self.begin(plan)
            if not self.is_finished(plan):
                break
            self.take_look(look, plan)
            if not self.undecided:
                break
        return self.rounds()

    @property
    def undecided(self) -> list[EffectState]:
        return [effect for effect in self.effects if effect.goes_on]

    def rounds(self) -> SeedRounds:
        return SeedRounds(self.settings.rounds[0], dict(self.counts), self.record())

    def record(self) -> dict[str, Any]:
        """Returns the looks for plan.json, from which tables are made."""
        return {
            **self.settings.model_dump(),
            "taken": self.taken,
            "over": self.taken > 0 and not self.undecided,
            "effects": [effect.record() for effect in self.effects],
        }

    def plan(self) -> dict[str, Any]:
        """Returns the content of plan.json with the seeds so far."""
        rounds = self.rounds()
        trials = [p for p in self.all_trials if rounds.has_seed(p.trial, p.trial.seed)]
        return plan_record(self.suite, self.profile, self.device, trials, rounds)

    @cached_property
    def all_trials(self) -> list[PlannedTrial]:
        """The trials of the suite with the seeds of the last round, of which a look has some."""
        most = SeedRounds(self.settings.rounds[-1])
        return plan_trials(self.suite, self.profile, self.device, most)

    def begin(self, plan: dict[str, Any]) -> None:
        """Gives all arms the seeds of the first round, and names the effects."""
        first = self.settings.rounds[0]
        self.counts = dict.fromkeys(planned_arms(plan["trials"]), first)
        trainings, most = first * len(self.counts), self.settings.trainings
        if most is not None and most < trainings:
            raise SuiteError(
                f"suite {self.suite.name}: the budget of trainings = {most:,} does not cover the first "
                f"round: {len(self.counts):,} arms with {first} seeds are {trainings:,} trainings"
            )
        names = names_of_effects(outcome_rows(collect_rows(plan, self.store)))
        self.effects = [EffectState(name, first) for name in names]

    def is_finished(self, plan: dict[str, Any]) -> bool:
        summaries = check_trial_files(plan, self.store).values()
        return all(summary.is_finished for summary in summaries)

    def take_look(self, look: int, plan: dict[str, Any]) -> None:
        """Decides the undecided effects, and gives the others the seeds of the next round."""
        frame = collect_rows(plan, self.store)
        self.taken = look + 1
        decided = {effect.tricks: effect for effect in self.decide(look, frame)}
        self.effects = [decided.get(effect.tricks, effect) for effect in self.effects]
        if self.undecided:
            self.add_seeds(look + 1, frame, plan)

    def decide(self, look: int, frame: pd.DataFrame) -> list[EffectState]:
        """Returns the states of the undecided effects after a look."""
        values, scale = outcome_rows(frame), outcome_scale(frame)
        seeds, analysis = self.settings.rounds[look], self.suite.analysis
        rule = look_rule(self.settings, len(self.effects), analysis.equivalence, scale.transform)
        estimates = estimate_effects(
            values[values["seed"] < seeds],
            [effect.tricks for effect in self.undecided],
            scale.transform,
            analysis.paired,
        )
        return [
            self.state_after(rule, look, effect, estimate, scale) for effect, estimate in estimates
        ]

    def state_after(
        self, rule: LookRule, look: int, effect: Effect, estimate: Estimate, scale: MetricScale
    ) -> EffectState:
        numbers = (estimate.mean, estimate.error, estimate.freedom)
        state = EffectState(effect.tricks, rule.rounds[look])
        if not effect.pairs:
            return replace(state, state=NO_VALUES)
        if rule.are_equivalent(look, *numbers):
            return replace(state, state="equivalent")
        if rule.are_changed(look, *numbers):
            is_better = scale.is_improvement(scale.change_of(estimate.mean))
            return replace(state, state="helps" if is_better else "harms")
        if look == len(rule.rounds) - 1:
            return replace(state, state=LAST_ROUND)
        chance = float(rule.chance_of_decision(look, *numbers))
        return replace(
            state, chance=chance, state=LITTLE_CHANCE if chance < self.settings.chance else GOES_ON
        )

    def add_seeds(self, look: int, frame: pd.DataFrame, plan: dict[str, Any]) -> None:
        """Gives the arms of undecided effects the seeds of a round, as far as the budget reaches.

        Effects with the best chance of a decision come first.
        """
        seeds, arms = self.settings.rounds[look], arms_of_effects(frame)
        budget = TrainingBudget.left(self.settings, plan, self.store)
        by_chance = sorted(self.undecided, key=lambda e: -1 if math.isnan(e.chance) else -e.chance)
        for effect in by_chance:
            wanted = {arm: seeds for arm in arms[effect.tricks] if self.counts[arm] < seeds}
            added = {arm: seeds - self.counts[arm] for arm in wanted}
            if budget.spend(added):
                self.counts |= wanted
            else:
                place = self.effects.index(effect)
                self.effects[place] = replace(effect, state=NO_BUDGET)


@dataclass
class TrainingBudget:
    """The trainings and hours that are left, and the hours of one training of each arm."""

    trainings: float
    hours: float
    hours_by_arm: dict[Arm, float]

    @classmethod
    def left(cls, settings: AdaptiveSeeds, plan: dict[str, Any], store: Store) -> "TrainingBudget":
        """Returns the rest of the budget after the trainings of a plan, which are finished."""
        items = [i for i in plan["trials"] if i["role"] == "trial" and not i["objection"]]
        hours: dict[Arm, list[float]] = {}
        for item in items:
            result = store.trial_folder(item["trial"]).read_result() or {}
            seconds = result.get("spent", {}).get("seconds", 0.0)
            hours.setdefault(arm_of_item(item), []).append(seconds / 3600)
        spent = sum(map(sum, hours.values()))
        return cls(
            trainings=math.inf if settings.trainings is None else settings.trainings - len(items),
            hours=math.inf if settings.hours is None else settings.hours - spent,
            hours_by_arm={arm: sum(own) / len(own) for arm, own in hours.items()},
        )

    def spend(self, seeds: dict[Arm, int]) -> bool:
        """Subtracts further seeds of arms, or returns False if too little is left."""
        trainings = sum(seeds.values())
        hours = sum(count * self.hours_by_arm[arm] for arm, count in seeds.items())
        if trainings > self.trainings or hours > self.hours:
            return False
        self.trainings, self.hours = self.trainings - trainings, self.hours - hours
        return True


def replay_looks(suite: Suite, profile: str, device: str, store: Store) -> SeedRounds | None:
    """Returns the rounds of adaptive seeds that follow from a store, or None for fixed seeds.

    Raises SuiteError if the budget is too small for the first round, and CorruptFile.
    """
    settings = suite.adaptive_seeds_of(profile)
    return LookReplay(suite, profile, device, store, settings).run() if settings else None


def look_rule(
    settings: AdaptiveSeeds, effects: int, equivalence: float, transform: str
) -> LookRule:
    """Returns the rule of a suite; equivalence is a claim only on a logarithmic scale."""
    margin = -math.log1p(-equivalence) if transform == "log" else 0.0
    return LookRule(tuple(settings.rounds), settings.error, max(1, effects), margin)


def arms_of_effects(frame: pd.DataFrame) -> dict[str, list[Arm]]:
    """Returns the arms with which each effect over the grid is estimated."""
    values = outcome_rows(frame)
    tables = dict(background_tables(values, outcome_scale(frame).transform))
    return {
        name: [
            arm_of_background(background, tricks)
            for background, table in tables.items()
            for tricks in effect_weights(table, name) or ()
        ]
        for name in names_of_effects(values)
    }


def arm_of_background(background: Sequence[Any], tricks: str) -> Arm:
    names = dict(zip(BACKGROUND_COLUMNS, background, strict=True))
    return (names["data"], names["variant"], names["loss"], tricks, names["plan"])
