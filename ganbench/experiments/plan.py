"""What a suite comes to on a machine: its trials, its references, and what has no meaning in it."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ganbench.evaluation.evaluator import yardstick
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.protocols.record import Protocol
from ganbench.gan.build import Incompatible, checked
from ganbench.gan.variants import variant
from ganbench.training.budget import Budget

from .provenance import versions
from .suite import Cell, Suite, cells
from .trial import Trial

Role = Literal["trial", "untrained"]


@dataclass(frozen=True)
class Planned:
    """One trial that a suite asks for, or the objection to it."""

    role: Role
    trial: Trial
    objection: str = ""

    def label(self) -> str:
        trial = self.trial
        chain = " + ".join(trial.tricks) or "none"
        names = [trial.data, trial.variant, trial.loss, chain, trial.plan]
        return " / ".join(filter(None, names))

    def record(self, protocol: str) -> dict[str, Any]:
        """What tables need to know of it, without anything of torch."""
        trial = self.trial
        return {
            "role": self.role,
            "trial": trial.id,
            "data": trial.data,
            "variant": trial.variant,
            "loss": trial.loss,
            "tricks": " + ".join(trial.tricks) or "none",
            "plan": trial.plan,
            "seed": trial.seed,
            "objection": self.objection,
            "protocol": yardstick(trial.data, trial.device, protocol).protocol.id,
        }


def planned(suite: Suite, profile: str, device: str) -> list[Planned]:
    """Every cell with every seed, seed by seed, so that a run that is stopped has compared something.

    Ahead of them, for each data set and variant, its untrained self: a trial without a budget.
    """
    budget, grid = suite.budget[profile].budget(), cells(suite)[0]
    objections = {cell: objection(cell) for cell in grid}
    starts = {(cell.data, cell.variant): untrained(cell) for cell in grid if not objections[cell]}
    found = []
    for seed in suite.seeds_of(profile):
        for cell in starts.values():
            start = Budget(budget.unit, 0)
            found.append(Planned("untrained", trial(suite, cell, start, seed, device)))
        for cell in grid:
            arm = trial(suite, cell, budget, seed, device)
            found.append(Planned("trial", arm, objections[cell]))
    return found


def objection(cell: Cell) -> str:
    """Why a cell has no meaning, or nothing. It is assembled on the meta device, without computing."""
    try:
        checked(cell.recipe, cell.data)
    except Incompatible as reason:
        return str(reason)
    return ""


def untrained(cell: Cell) -> Cell:
    recipe = variant(cell.variant)
    return Cell(cell.data, cell.variant, recipe.loss, (), "", recipe)


def trial(suite: Suite, cell: Cell, budget: Budget, seed: int, device: str) -> Trial:
    return Trial(
        data=cell.data,
        variant=cell.variant,
        loss=cell.loss,
        tricks=cell.tricks,
        plan=cell.plan,
        recipe=cell.recipe,
        budget=budget,
        seed=seed,
        points=suite.points,
        device=device,
        fingerprint=yardstick(cell.data, device).fingerprint,
    )


def record(suite: Suite, profile: str, device: str, plan: list[Planned]) -> dict[str, Any]:
    """The content of plan.json: with the store, all that tables are made from."""
    return {
        "schema": 1,
        "suite": suite.name,
        "about": suite.about,
        "profile": profile,
        "device": device,
        "budget": asdict(suite.budget[profile].budget()),
        "seeds": suite.seeds_of(profile),
        "analysis": suite.analysis.model_dump(),
        "metrics": dict(map(facts, suite.metrics)),
        "protocol": suite.protocol,
        "protocols": {p.id: p.record() for p in protocols(plan, suite.protocol)},
        "excluded": [{"cell": str(cell), "reason": why} for cell, why in cells(suite)[1]],
        "trials": [item.record(suite.protocol) for item in plan],
        "provenance": versions(),
    }


def protocols(plan: list[Planned], protocol: str) -> Iterator[Protocol]:
    for data, device in dict.fromkeys((p.trial.data, p.trial.device) for p in plan):
        yield yardstick(data, device, protocol).protocol


def facts(metric: str) -> tuple[str, dict[str, Any]]:
    part = METRICS.make(metric)
    return metric, {
        "direction": part.direction,
        "transform": part.transform,
        "unit": part.unit,
        "version": part.version,
    }
