"""The cells of two tables of results that are compared: their trainings before and after."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from ganbench.experiments.plan_names import ENDED_OUTCOMES

from .contrasts import Background, network_of
from .intervals import SCALES
from .metric_scale import metric_scale
from .rows import ARM_COLUMNS
from .shared_numerics import without_shared_numerics
from .verdicts import ComparisonVerdict

# The fields of TrainingOutcome.
COMPARED_COLUMNS = ["value", "outcome", "reason", "protocol", "metric_version"]

Names = tuple[str, ...]


@dataclass(frozen=True)
class TrainingOutcome:
    """The table's entries for one training and one metric at the last checkpoint."""

    value: float  # NaN if there is none
    outcome: str | None
    reason: str | None
    protocol: str | None
    version: int | None  # of the metric

    def has_ended(self) -> bool:
        return self.outcome in ENDED_OUTCOMES

    def has_failed(self) -> bool:
        return self.has_ended() and self.outcome != "done"

    def value_or_none(self) -> float | None:
        return None if math.isnan(self.value) else self.value


Side = dict[int, TrainingOutcome]  # the trainings of a cell by seed


@dataclass(frozen=True)
class MatchedCell:
    """The trainings of one cell before and after.

    `refusal` is the reason why their values are not comparable, or empty.
    """

    names: Names
    before: Side
    after: Side
    refusal: str = ""

    @property
    def network(self) -> Background:
        """Returns the data set and the variant, whose trainings share initial weights by seed."""
        return network_of(self.names)

    def untested_verdict(self) -> tuple[ComparisonVerdict | None, str]:
        """Returns a verdict that needs no test, with its reason.

        The verdict is None if the cell has to be tested.
        """
        if not count_ended(self.before):
            return ComparisonVerdict.NEW, describe_absence(self.before)
        if not count_ended(self.after):
            return ComparisonVerdict.MISSING, describe_absence(self.after)
        if self.refusal:
            return ComparisonVerdict.NOT_COMPARABLE, self.refusal
        is_same = has_same_results(self.before, self.after)
        return (ComparisonVerdict.IDENTICAL if is_same else None), ""


def match_cells(a: pd.DataFrame, b: pd.DataFrame, metric: str) -> list[MatchedCell]:
    """Returns the cells that were trained in either frame, in the order of `b`.

    Runs of other numerics have the same cells: these numerics are a condition of the whole run.
    """
    frames = [without_shared_numerics(frame) for frame in (a, b)]
    before, after = (trainings_by_cell(frame, metric) for frame in frames)
    every = dict.fromkeys([*after, *before])
    cells = [MatchedCell(names, before.get(names, {}), after.get(names, {})) for names in every]
    scales = [describe_scale(frame, metric) for frame in (a, b)]
    reasons = incomparable_datasets(metric, scales, cells)
    trained = [match for match in cells if count_ended(match.before) or count_ended(match.after)]
    return [replace(match, refusal=reasons[match.names[0]]) for match in trained]


def trainings_by_cell(frame: pd.DataFrame, metric: str) -> dict[Names, Side]:
    """Returns the trainings of each cell, keyed by seed."""
    last = frame["role"].eq("trial") & frame["checkpoint"].eq("last")
    rows = frame.loc[last & frame["metric"].eq(metric), [*ARM_COLUMNS, "seed", *COMPARED_COLUMNS]]
    cells: dict[Names, Side] = {}
    width = len(ARM_COLUMNS)
    for row in rows.itertuples(index=False, name=None):
        names, seed, entries = row[:width], row[width], row[width + 1 :]
        cells.setdefault(names, {})[int(seed)] = TrainingOutcome(*entries)
    return cells


def incomparable_datasets(
    metric: str, scales: list[str], cells: Sequence[MatchedCell]
) -> dict[str, str]:
    """Returns for each data set why the metric's values are not comparable.

    The reason is empty for comparable data sets.
    """
    cells_by_dataset: dict[str, list[MatchedCell]] = {}
    for match in cells:
        cells_by_dataset.setdefault(match.names[0], []).append(match)
    if scales[0] != scales[1]:
        reason = f"{metric} is declared differently: {scales[0]} before; {scales[1]} after"
        return dict.fromkeys(cells_by_dataset, reason)
    return {
        data: describe_changed_protocol(f"{metric} of {data}", matched)
        for data, matched in cells_by_dataset.items()
    }


def describe_changed_protocol(what: str, cells: Sequence[MatchedCell]) -> str:
    """Returns a sentence with the protocols of both sides if they differ.

    The sentence is empty if there is only one protocol, or if one side has no values.
    """
    before = measured_protocols(match.before for match in cells)
    after = measured_protocols(match.after for match in cells)
    if not before or not after or len({*before, *after}) == 1:
        return ""
    protocols = f"{' and '.join(before)} before, and by {' and '.join(after)} after"
    return f"{what} was measured by {protocols}"


def describe_scale(frame: pd.DataFrame, metric: str) -> str:
    """Describes the direction, scale and unit that a suite declares for a metric."""
    scale = metric_scale(frame.attrs["plan"], metric)
    description = f"better if {scale.direction}, on the scale {scale.transform}"
    return f"{description}, in {scale.unit}" if scale.unit else description


def measured_protocols(sides: Iterable[Side]) -> list[str]:
    """Returns the protocols under which these trainings have values."""
    trainings = [training for side in sides for training in side.values()]
    measured = [training for training in trainings if training.value_or_none() is not None]
    return sorted({f"protocol {t.protocol} (version {t.version})" for t in measured})


def count_ended(side: Side) -> int:
    """Counts the trainings that ended, whether done, diverged or failed."""
    return sum(training.has_ended() for training in side.values())


def describe_absence(side: Side) -> str:
    """Returns the reason why no training of a cell ended on one side."""
    reasons = [t.reason for t in side.values() if t.outcome == "not_applicable"]
    if reasons:
        return f"not applicable: {reasons[0]}"
    return "not trained" if side else "not planned"


def has_same_results(before: Side, after: Side) -> bool:
    """Returns whether all seeds of both sides have the same outcomes and values.

    Values are compared exactly, to the last bit. A training that ended on one side alone is no equal one.
    """
    planned = before.keys() & after.keys()
    if any(before[seed].has_ended() != after[seed].has_ended() for seed in planned):
        return False
    results = [
        (result_of(before[seed]), result_of(after[seed]))
        for seed in planned
        if before[seed].has_ended()
    ]
    has_values = any(value is not None for (_, value), _ in results)
    return has_values and all(earlier == later for earlier, later in results)


def result_of(training: TrainingOutcome) -> tuple[str | None, float | None]:
    return training.outcome, training.value_or_none()


def transformed_values(side: Side, transform: str = "none") -> dict[int, float]:
    """Returns the measured values by seed, on the transformed scale."""
    to = SCALES[transform].to
    values = {seed: training.value_or_none() for seed, training in side.items()}
    return {seed: to(value) for seed, value in values.items() if value is not None}
