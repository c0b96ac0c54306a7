"""The trial list of a suite: its trials, untrained references and incompatible cells."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from ganbench.data import DATA
from ganbench.data.base import NotDownloaded
from ganbench.data.image_paths import name_data
from ganbench.devices import Numerics
from ganbench.evaluation.evaluator import evaluator_for
from ganbench.evaluation.extractors import EXTRACTORS
from ganbench.evaluation.extractors.weight_files import WITHOUT_DOWNLOAD, replace_extractor_remedy
from ganbench.evaluation.image_warnings import notes_on_counts
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.protocols import PROTOCOLS
from ganbench.evaluation.protocols.base import OWN_EXTRACTOR
from ganbench.evaluation.protocols.record import ProtocolRecord
from ganbench.gan.build import Incompatible, check_recipe, make_build_config, make_trick_list
from ganbench.gan.recipe import Recipe
from ganbench.gan.variants import resolve_variant
from ganbench.local_files import name_files
from ganbench.training.budget import Budget, Spent, Unit
from ganbench.training.build_trainer import numerics_incompatibility
from ganbench.training.distributable import recipe_slicing_incompatibility
from ganbench.training.stackable import recipe_stacking_incompatibility

from .cells import Cell, expand_cells
from .outcome_check import Tasks, metric_notes, require_outcome, require_sources
from .plan_names import ARM_FIELDS, join_names
from .provenance import versions
from .seed_rounds import SeedRounds, arm_of_trial
from .suite import Suite
from .trial import Trial
from .watched_returns import watched_returns

Role = Literal["trial", "untrained"]
WHOLE_STEPS = "a budget ends with a whole training step"
MAX_OVERRUN = 0.01  # by which an arm may see more images than another without a note
CHOOSE_EXTRACTOR = (  # commands on suites have no --extractor
    "choose an extractor in the suite that needs no download: "
    f"protocol = \"ganbench(extractor='{WITHOUT_DOWNLOAD}')\" (extra `imagenet`), or "
    "\"ganbench(extractor='identity')\""
)


@dataclass(frozen=True)
class PlannedTrial:
    """A trial of a suite, with the reason if its cell is incompatible."""

    role: Role
    trial: Trial
    incompatibility: str = ""

    def label(self) -> str:
        return join_names(arm_of_trial(self.trial))

    def record(self, protocol: str) -> dict[str, Any]:
        """Returns the facts that tables need, as plain data that is readable without torch."""
        trial = self.trial
        return {
            "role": self.role,
            "trial": trial.id,
            **dict(zip(ARM_FIELDS, arm_of_trial(trial), strict=True)),
            "seed": trial.seed,
            "objection": self.incompatibility,
            "protocol": evaluator_for(trial.data, trial.device, protocol).protocol.id,
        }


def plan_trials(
    suite: Suite, profile: str, device: str, rounds: SeedRounds | None = None
) -> list[PlannedTrial]:
    """Returns every cell with every seed, ordered by seed.

    With rounds of adaptive seeds, each arm has its own number of seeds. Without them, it has those of the
    suite or of the first round. In this order even a run that is stopped early has trained comparable arms.
    For each seed, the untrained generator of each data set and variant comes first, as a trial with a
    budget of 0.
    """
    budget, grid = suite.budget[profile].budget(), expand_cells(suite)[0]
    require_extractors(grid, device, suite.protocol)
    require_outcome(tasks_by_data((cell.data, cell.recipe) for cell in grid), device, suite)
    with watched_returns(cell.recipe for cell in grid):
        objections = {cell: cell_incompatibility(cell, device, budget.unit) for cell in grid}
    trained = tasks_by_data((cell.data, cell.recipe) for cell in grid if not objections[cell])
    require_sources(trained, device, suite.protocol)
    starts = {
        (cell.data, cell.variant): untrained_cell(cell) for cell in grid if not objections[cell]
    }
    seeds = list(range(rounds.most)) if rounds else suite.seeds_of(profile)
    start = Budget(budget.unit, 0)
    first = [
        PlannedTrial("untrained", make_trial(suite, cell, start, seeds[0], device))
        for cell in starts.values()
    ]
    for cell in grid:
        arm = make_trial(suite, cell, budget, seeds[0], device)
        first.append(PlannedTrial("trial", arm, objections[cell]))
    return [
        replace(item, trial=item.trial.with_seed(seed))
        for seed in seeds
        for item in first
        if rounds is None or rounds.has_seed(item.trial, seed)
    ]


def cell_incompatibility(cell: Cell, device: str = "cpu", unit: Unit = "images") -> str:
    """Returns the reason why a cell is incompatible, or an empty string.

    The check builds the cell on the meta device, so it computes nothing.
    """
    numerics = Numerics.from_spec(device, cell.numerics)
    if reason := numerics_incompatibility(cell.recipe, numerics):
        return reason
    try:
        check_recipe(cell.recipe, cell.data)
    except Incompatible as reason:
        return name_files(str(reason))
    if numerics.gpus > 1:
        return slicing_obstacle(cell, numerics.gpus)
    return stacking_obstacle(cell, unit) if numerics.stacked else ""


def stacking_obstacle(cell: Cell, unit: Unit) -> str:
    """Returns the reason why the seeds of a cell cannot be stacked, or an empty string."""
    reason = recipe_stacking_incompatibility(cell.recipe, cell.data)
    if unit == "seconds":
        reason = "stacked seeds share their time: give a budget of images or generator_turns"
    return f"numerics: stacked: {reason}" if reason else ""


def slicing_obstacle(cell: Cell, processes: int) -> str:
    """Returns the reason why several processes cannot train a cell, or an empty string."""
    reason = recipe_slicing_incompatibility(cell.recipe, cell.data, processes)
    return f"numerics: gpus = {processes}: {reason}" if reason else ""


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
        numerics_spec=cell.numerics,
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
            raise replace_extractor_remedy(missing, CHOOSE_EXTRACTOR) from None


def plan_notes(plan: Iterable[PlannedTrial], suite: Suite) -> list[str]:
    """Returns notes on files that were left out of the data, and on sets that are too small."""
    plan = list(plan)
    tasks = tasks_by_data((item.trial.data, item.trial.recipe) for item in plan)
    notes = metric_notes(tasks, plan[0].trial.device, suite) if plan else []
    for data, device in data_and_devices(plan):
        notes += note_data(data, evaluator_for(data, device).split.notes)
        notes += small_set_notes(data, device, suite)
    if images := uneven_images(plan):
        notes.append(f"{WHOLE_STEPS}, so that arms see {images[0]:,} to {images[1]:,} images")
    return notes


def tasks_by_data(recipes: Iterable[tuple[str, Recipe]]) -> Tasks:
    """Returns the tasks on each data set, without repeats."""
    tasks: dict[str, dict[str, None]] = {}
    for data, recipe in recipes:
        tasks.setdefault(data, {})[recipe.task] = None
    return tasks


def small_set_notes(data: str, device: str, suite: Suite) -> list[str]:
    """Returns notes if a data set has too few images for FID or its extrapolation."""
    evaluator = evaluator_for(data, device, suite.protocol)
    width = evaluator.extract(evaluator.reference[:1]).features.shape[1]
    counts = evaluator.protocol.fake, evaluator.protocol.real
    return note_data(data, notes_on_counts(*counts, width, suite.metrics))


def note_data(data: str, notes: Iterable[str]) -> list[str]:
    """Returns notes with the name of their data set."""
    return [f"{name_data(data)}: {note}" for note in notes]


def uneven_images(plan: Iterable[PlannedTrial]) -> list[int]:
    """Returns the fewest and most images of an arm if whole steps make them differ.

    The list is empty if they differ by MAX_OVERRUN at most.
    """
    trials = (item.trial for item in plan if item.role == "trial" and not item.incompatibility)
    arms = {(trial.data, trial.recipe): trial for trial in trials}.values()  # without seeds
    images = [images_of_whole_steps(arm) for arm in arms if arm.budget.unit == "images"]
    if not images or max(images) <= (1 + MAX_OVERRUN) * min(images):
        return []
    return [min(images), max(images)]


def images_of_whole_steps(trial: Trial) -> int:
    """Returns the real images that a trial sees until the step that ends its budget."""
    config = make_build_config(trial.recipe, DATA.make(trial.data), make_trick_list(trial.recipe))
    step = Spent().after_step(config.hyperparameters).images
    return step * math.ceil(trial.budget.amount / step)


def data_and_devices(plan: Iterable[PlannedTrial]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((item.trial.data, item.trial.device) for item in plan))


def plan_record(
    suite: Suite,
    profile: str,
    device: str,
    plan: list[PlannedTrial],
    rounds: SeedRounds | None = None,
) -> dict[str, Any]:
    """Returns the content of plan.json. Tables are made from this file and the store alone."""
    sets = data_and_devices(plan)
    notes = [note for pair in sets for note in small_set_notes(*pair, suite)]
    return {
        "schema": 1,
        "suite": suite.name,
        "about": suite.about,
        "profile": profile,
        "device": device,
        "budget": asdict(suite.budget[profile].budget()),
        "seeds": list(range(rounds.most)) if rounds else suite.seeds_of(profile),
        **({"adaptive": rounds.record} if rounds else {}),
        "analysis": suite.analysis.model_dump(),
        "metrics": dict(map(metric_facts, suite.metrics)),
        "limits": suite.limits.model_dump(),
        "protocol": suite.protocol,
        "protocols": {p.id: p.record() for p in protocols_of_plan(plan, suite.protocol)},
        "excluded": [{"cell": str(cell), "reason": why} for cell, why in expand_cells(suite)[1]],
        "trials": [item.record(suite.protocol) for item in plan],
        "provenance": versions(),
        **({"notes": notes} if notes else {}),
        **({"images": images} if (images := uneven_images(plan)) else {}),
    }


def protocols_of_plan(plan: list[PlannedTrial], protocol: str) -> Iterator[ProtocolRecord]:
    for data, device in data_and_devices(plan):
        yield evaluator_for(data, device, protocol).protocol


def metric_facts(metric: str) -> tuple[str, dict[str, Any]]:
    part = METRICS.make(metric)
    return metric, {
        "direction": part.direction,
        "transform": part.transform,
        "unit": part.unit,
        "version": part.version,
    }
