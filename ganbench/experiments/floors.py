"""Floors of a run: held-out real data, measured as generated images are."""

from collections.abc import Iterable

from ganbench.evaluation.evaluator import evaluator_for
from ganbench.evaluation.scores_file import add_readings, unmeasured_metrics

from .plan import PlannedTrial
from .store import Store
from .suite import Suite


def measure_floors(
    sets: Iterable[tuple[str, str]], metrics: tuple[str, ...], protocol: str, store: Store
) -> None:
    """Measures the floor of each data set and device, once per store."""
    for data, device in dict.fromkeys(sets):
        evaluator = evaluator_for(data, device, protocol)
        path = store.floor_path(evaluator.protocol.id)
        if missing := unmeasured_metrics(path, metrics):
            readings = evaluator.measure_floor(missing)
            expected = evaluator.expected_floors(missing)
            add_readings(path, evaluator.protocol, readings, expected)


def measure_floors_of_plan(plan: list[PlannedTrial], suite: Suite, store: Store) -> None:
    sets = ((item.trial.data, item.trial.device) for item in plan)
    measure_floors(sets, tuple(suite.metrics), suite.protocol, store)
