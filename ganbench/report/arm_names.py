"""Names of arms: the parts in which the arms of a suite differ."""

from dataclasses import dataclass
from typing import Any, Self

import pandas as pd

NAME_PARTS = ("tricks", "variant", "loss")  # the first that varies is the title of an arm
PART_NAMES = {"plan": "hyperparameters"}
Row = dict[Any, Any]


@dataclass(frozen=True)
class ArmNamer:
    """The parts of names that vary in a suite, and the values that all its arms share."""

    varying: tuple[str, ...]  # of tricks, variant and loss
    shared: dict[str, str]  # the values of the others
    variants_with_plans: frozenset[str]  # variants with several sets of hyperparameters

    @classmethod
    def of(cls, board: pd.DataFrame) -> Self:
        """Compares the trainings of a leaderboard."""
        trials = board[board["role"] == "trial"]
        values = {part: trials[part].dropna().unique().tolist() for part in NAME_PARTS}
        varying = tuple(part for part in NAME_PARTS if len(values[part]) > 1)
        shared = {part: str(own[0]) for part, own in values.items() if len(own) == 1}
        if not varying and trials["plan"].nunique() < 2:  # a single arm keeps its whole name
            varying, shared = NAME_PARTS, {}
        counts = trials.groupby("variant")["plan"].nunique()
        return cls(varying, shared, frozenset(counts.index[counts > 1]))

    def parts(self, row: Row) -> dict[str, str]:
        """Returns the varying parts of an arm's name, the title first."""
        parts = {part: str(row[part]) for part in self.varying if row[part]}
        if row["variant"] in self.variants_with_plans and row["plan"]:
            parts["plan"] = str(row["plan"])
        return parts

    @property
    def has_tricks(self) -> bool:
        """Returns whether tricks vary, so that charts compare tricks within cells."""
        return "tricks" in self.varying

    def line(self, row: Row) -> str:
        """Returns the name of an arm's line in a chart: its tricks, else all that varies."""
        return str(row["tricks"]) if self.has_tricks else self.name(row)

    def panel(self, row: Row) -> str:
        """Returns the name of the panel with an arm's line: `dcgan · hinge`.

        It is empty where one panel has the lines of all arms.
        """
        if not self.has_tricks:
            return ""
        return " · ".join(text for part, text in self.parts(row).items() if part != "tricks")

    def add_line_names(self, arms: pd.DataFrame) -> pd.DataFrame:
        """Adds the columns `line` and `panel` to a table with the columns of arms."""
        rows = arms.to_dict("records")
        names = {
            "line": [self.line(row) for row in rows],
            "panel": [self.panel(row) for row in rows],
        }
        return arms.assign(**names)

    def name(self, row: Row) -> str:
        """Returns the name of an arm: `r1 · dcgan · hinge`."""
        return " · ".join(self.parts(row).values())

    def describe_shared(self) -> str:
        """Returns the settings that all arms share: `All arms: loss hinge, tricks none.`"""
        shared = ", ".join(f"{part} {value}" for part, value in self.shared.items())
        return f"All arms: {shared}." if shared else ""

    def heading(self) -> str:
        """Returns the heading of a column of names: `tricks, variant`."""
        with_plan = ("plan",) if self.variants_with_plans else ()
        return ", ".join(PART_NAMES.get(part, part) for part in (*self.varying, *with_plan))
