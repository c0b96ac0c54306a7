"""Coverage: the cells in which each trick was compared, and the reasons for the others.

Effects of tricks that were compared in different cells are means over different cells.
"""

from dataclasses import dataclass, field
from typing import Self

import pandas as pd

from ganbench.experiments.plan_names import LOST_OUTCOMES

from .contrasts import CELL_COLUMNS, Cell, cell_tables, contrast_within_cell
from .effects import Effect, effect_weights, outcome_rows
from .factors import NO_TRICK, tricks_in, tricks_of_arm
from .metric_scale import outcome_scale

NAMED_ALONE = tuple(map(CELL_COLUMNS.index, ("variant", "loss", "data")))
NOT_IN_SUITE = "not in the suite"
NO_BASELINE = "no arm without tricks in the suite"
NO_COMMON_SEED = "no seed has a value in both arms"
NOT_ALONE = "tried only with other tricks"
Reasons = dict[str, str]  # by the name of an arm


@dataclass(frozen=True)
class TrickCoverage:
    """The cells of a suite in which tricks vary, their measured arms, and reasons for others."""

    cells: list[Cell]  # data, variant, loss, hyperparameters
    measured: dict[Cell, set[str]]  # names of arms
    reasons: dict[Cell, Reasons]
    tables: dict[Cell, pd.DataFrame]  # outcomes by seed and arm
    paired: bool  # whether effects compare equal seeds
    compared: dict[tuple[Cell, str], bool] = field(default_factory=dict)  # known answers

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Self:
        """Collects the cells in which several arms were planned, in the suite's order."""
        values = outcome_rows(frame)
        arms = values.groupby([*CELL_COLUMNS, "tricks"], dropna=False, sort=False)
        measured: dict[Cell, set[str]] = {}
        reasons: dict[Cell, Reasons] = {}
        for (*cell, tricks), part in arms:
            names = measured.setdefault(tuple(cell), set())
            if part["value"].notna().any():
                names.add(str(tricks))
            else:
                own = reasons.setdefault(tuple(cell), {})
                own[str(tricks)] = reason_without_value(part)
        cells = [cell for cell in measured if len(measured[cell]) + len(reasons.get(cell, {})) > 1]
        tables = dict(cell_tables(values, outcome_scale(frame).transform))
        return cls(cells, measured, reasons, tables, frame.attrs["plan"]["analysis"]["paired"])

    def cells_of(self, effect: Effect) -> list[Cell]:
        """Returns the cells of the effect's data set, variant and loss, or all cells."""
        places = (effect.data, effect.variant, effect.loss)
        return [
            cell
            for cell in self.cells
            if all(place in ("", part) for place, part in zip(places, cell, strict=False))
        ]

    def is_compared(self, cell: Cell, tricks: str) -> bool:
        """Returns whether the cell has a change by these tricks, as their effect counts it."""
        key = (cell, tricks)
        if key not in self.compared:
            table = self.tables.get(cell)
            weights = None if table is None else effect_weights(table, tricks)
            self.compared[key] = bool(
                weights and contrast_within_cell(self.tables[cell], weights, self.paired)
            )
        return self.compared[key]

    def tricks_of(self, cell: Cell) -> list[str]:
        """Returns the single tricks of a cell's measured arms, and the lists of several tricks."""
        arms = sorted(self.measured[cell] - {NO_TRICK})
        return list(dict.fromkeys([*tricks_in(arms), *arms]))

    def is_complete(self, effect: Effect) -> bool:
        return all(self.is_compared(cell, effect.tricks) for cell in self.cells_of(effect))

    def count(self, effect: Effect) -> str:
        """Returns the number of compared cells, as `4 of 5`."""
        cells = self.cells_of(effect)
        compared = sum(self.is_compared(cell, effect.tricks) for cell in cells)
        return f"{compared} of {len(cells)}"

    def missing(self, effect: Effect) -> dict[str, list[str]]:
        """Returns the names of the cells without a comparison, by reason."""
        found: dict[str, list[Cell]] = {}
        cells = self.cells_of(effect)
        for cell in cells:
            if not self.is_compared(cell, effect.tricks):
                found.setdefault(self.reason(cell, effect.tricks), []).append(cell)
        return {reason: name_cells(missing, cells) for reason, missing in found.items()}

    def reason(self, cell: Cell, tricks: str) -> str:
        """Returns the reason why the cell has no change by these tricks."""
        wanted, reasons = tricks_of_arm(tricks), self.reasons.get(cell, {})
        own = {arm: why for arm, why in reasons.items() if wanted <= tricks_of_arm(arm)}
        measured = [arm for arm in self.measured[cell] if wanted <= tricks_of_arm(arm)]
        if tricks in own or (own and not measured):
            return own.get(tricks, next(iter(own.values())))
        if not measured:
            return NOT_IN_SUITE
        if NO_TRICK in reasons:
            return f"the arm without tricks has no value ({reasons[NO_TRICK]})"
        if NO_TRICK not in self.measured[cell]:
            return NO_BASELINE
        return NO_COMMON_SEED if tricks in measured else NOT_ALONE


def reason_without_value(part: pd.DataFrame) -> str:
    """Returns the recorded reason of trainings without a value, or their outcome."""
    recorded = [str(reason) for reason in part["reason"].dropna() if reason]
    if recorded:
        return recorded[0]
    lost = [outcome for outcome in part["outcome"].dropna() if outcome in LOST_OUTCOMES]
    return str(next(iter(lost), "not trained yet"))


def name_cells(chosen: list[Cell], cells: list[Cell]) -> list[str]:
    """Returns short names of the chosen cells among all cells.

    A part that all its cells share is named alone, such as a variant. Other cells have the names of all
    parts that vary.
    """
    names, left = [], list(chosen)
    for place in NAMED_ALONE:
        for part in dict.fromkeys(cell[place] for cell in left):
            own = [cell for cell in cells if cell[place] == part]
            if part and len(own) < len(cells) and set(own) <= set(left):
                names.append(str(part))
                left = [cell for cell in left if cell[place] != part]
    return names + [full_cell_name(cell, cells) for cell in left]


def full_cell_name(cell: Cell, cells: list[Cell]) -> str:
    """Returns the parts of a cell's name in which these cells differ."""
    varying = [len(set(parts)) > 1 for parts in zip(*cells, strict=True)]
    parts = [str(part) for part, varies in zip(cell, varying, strict=True) if varies and part]
    return " · ".join(parts) or "all cells"
