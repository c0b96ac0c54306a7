"""Runs the checks of all methods that the cells of a suite use."""

from collections.abc import Iterable, Iterator
from functools import partial

from ganbench.devices import Numerics
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.protocols.base import DEFAULT_PROTOCOL
from ganbench.experiments.plan import PlannedTrial
from ganbench.registry import parse_spec

from .base import CheckedMethod, MethodReport, run_check
from .cells import CheckedCell
from .losses import FORMS, check_loss
from .measuring import check_measuring
from .metrics import METRIC_CHECKS
from .training import CELL_CHECKS
from .tricks import TRICK_CHECKS

METRIC_CELL = "metrics"  # the name of the place of checks that belong to no cell


def cells_of_plan(plan: Iterable[PlannedTrial]) -> list[CheckedCell]:
    """Returns the cells that can be trained, each once."""
    cells: dict[str, CheckedCell] = {}
    for item in plan:
        if item.role == "trial" and not item.incompatibility:
            label = item.label()
            cells.setdefault(label, CheckedCell(label, item.trial.recipe, item.trial.data))
    return list(cells.values())


def check_methods(
    cells: list[CheckedCell], metrics: Iterable[str], protocol: str = DEFAULT_PROTOCOL
) -> MethodReport:
    """Checks losses, tricks and trainings of all cells, and metrics, against closed forms.

    A trick or loss with the same settings in several cells is checked in each, because it acts on
    other networks.
    """
    Numerics("cpu").apply()  # one thread: the networks are small, and other processes may run
    labels = list(map(METRICS.label, metrics))
    checked = [one for cell in cells for one in check_cell(cell)]
    checked += [*check_measuring(cells, protocol), *check_metrics(labels)]
    return MethodReport(checked, list(dict.fromkeys(list_unchecked(cells, labels))))


def check_cell(cell: CheckedCell) -> Iterator[CheckedMethod]:
    for name, check in CELL_CHECKS.items():
        yield run_check(cell.label, name, partial(check, cell))
    if parse_spec(cell.recipe.loss).name in FORMS:
        loss = cell.recipe.loss
        yield run_check(cell.label, f"loss {loss}", partial(check_loss, loss))
    for spec in cell.tricks():
        if spec.name in TRICK_CHECKS:
            run = partial(TRICK_CHECKS[spec.name], cell, str(spec), dict(spec.settings))
            yield run_check(cell.label, f"trick {spec.name}", run)


def check_metrics(labels: list[str]) -> Iterator[CheckedMethod]:
    for label in labels:
        spec = METRICS.resolve(label)
        if spec.name in METRIC_CHECKS:
            run = partial(METRIC_CHECKS[spec.name], label, dict(spec.settings))
            yield run_check(METRIC_CELL, f"metric {label}", run)


def list_unchecked(cells: list[CheckedCell], labels: list[str]) -> Iterator[str]:
    """Yields the tricks, losses and metrics without a closed form here."""
    for cell in cells:
        if (loss := parse_spec(cell.recipe.loss).name) not in FORMS:
            yield f"loss {loss}"
        for spec in cell.tricks():
            if spec.name not in TRICK_CHECKS:
                yield f"trick {spec.name}"
    for label in labels:
        if (name := parse_spec(label).name) not in METRIC_CHECKS:
            yield f"metric {name}"
