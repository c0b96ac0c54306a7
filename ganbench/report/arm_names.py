"""Names of arms: the parts in which the arms of a suite differ."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import pandas as pd

from ganbench.analysis.factors import NO_TRICK, OWN_HYPERPARAMETERS

NAME_PARTS = ("tricks", "variant", "loss")  # the first that varies is the title of an arm
PART_NAMES = {"plan": "hyperparameters"}
NAME_SEPARATOR = re.compile(r"( · | \+ )")  # between the parts of a name
SPEC = re.compile(r"([^()]+)\((.*)\)")
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
        if row["variant"] in self.variants_with_plans:
            parts["plan"] = str(row["plan"] or OWN_HYPERPARAMETERS)
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
        """Returns the shared parts without `none`: `All arms have the loss hinge.`"""
        named = [f"the {part} {value}" for part, value in self.shared.items() if value != NO_TRICK]
        return f"All arms have {' and '.join(named)}." if named else ""

    def heading(self) -> str:
        """Returns the heading of a column of names: `tricks, variant`."""
        with_plan = ("plan",) if self.variants_with_plans else ()
        return ", ".join(PART_NAMES.get(part, part) for part in (*self.varying, *with_plan))


def shorten_names(names: list[str]) -> dict[str, str]:
    """Returns the names without shared settings, if they stay different.

    A setting is shared if all uses of its part have it.
    `pacgan` and `pacgan(pack=4)` keep their settings; a single `unrolled(turns=1)` becomes `unrolled`.
    """
    bare = [rewrite_parts(name, lambda part, settings: part) for name in names]
    if len(set(bare)) == len(set(names)):
        return dict(zip(names, bare, strict=True))
    shared = shared_settings(names)

    def differing(part: str, settings: list[str]) -> str:
        left = [each for each in settings if each not in shared[part]]
        return f"{part}({', '.join(left)})" if left else part

    short = [rewrite_parts(name, differing) for name in names]
    chosen = short if len(set(short)) == len(set(names)) else names
    return dict(zip(names, chosen, strict=True))


def shared_settings(names: list[str]) -> dict[str, set[str]]:
    """Returns the settings that all uses of each part have."""
    shared: dict[str, set[str]] = {}

    def collect(part: str, settings: list[str]) -> str:
        shared[part] = shared.get(part, set(settings)) & set(settings)
        return part

    for name in names:
        rewrite_parts(name, collect)
    return shared


def rewrite_parts(name: str, rewrite: Callable[[str, list[str]], str]) -> str:
    """Returns a name with each of its parts rewritten, given its word and its settings."""
    texts = NAME_SEPARATOR.split(name)
    texts[::2] = [rewrite(*split_settings(text)) for text in texts[::2]]
    return "".join(texts)


def split_settings(text: str) -> tuple[str, list[str]]:
    """Splits `dcgan(norm='layer', width=16)` into its word and its settings."""
    spec = SPEC.fullmatch(text)
    return (spec[1], spec[2].split(", ")) if spec else (text, [])
