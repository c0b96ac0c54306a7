"""The leaderboard of a data set as a table with a strip of seeds in every row."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ganbench.analysis.leaderboard import ARM_COLUMNS, IMAGES_PER_SECOND
from ganbench.report.markdown import WEIGHTS, cell, flags, measured, number, rank
from ganbench.report.seeds import seed_values

from .plots import Axis, strip_axis, title_of

FIRST = 25  # rows that are shown before the reader asks for more
Row = dict[Any, Any]


@dataclass(frozen=True)
class Name:
    """A cell as it is called; the plan only where its variant has several."""

    tricks: str
    loss: str
    variant: str
    plan: str = ""


@dataclass(frozen=True)
class Value:
    """A number as it is read, and by what it is sorted."""

    text: str
    note: str  # its interval or error, set smaller
    key: float | None


@dataclass(frozen=True)
class Strip:
    """Seeds as dots and their interval as a bar, in percent of the axis."""

    dots: list[float]
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Line:
    """A row of the leaderboard."""

    number: int  # in the board, which cards have too
    role: str
    rank: str
    name: Name
    outcome: Value
    strip: Strip
    seeds: str
    flags: str
    values: list[Value]


@dataclass(frozen=True)
class Board:
    data: str
    protocols: list[str]
    axis: Axis
    floor: float | None  # its place on the axis
    columns: list[str]  # of the values
    flagged: bool
    references: list[Line]
    lines: list[Line]
    untrained: list[Line]
    facets: dict[str, list[str]]  # names to choose from, by what they are of


def boards(frame: pd.DataFrame, board: pd.DataFrame) -> list[Board]:
    """One a data set."""
    plan = frame.attrs["plan"]
    seeds = seed_values(frame)
    return [
        of_data(plan, str(data), part, seeds) for data, part in board.groupby("data", sort=False)
    ]


def of_data(
    plan: dict[str, Any], data: str, part: pd.DataFrame, seeds: dict[Any, list[float]]
) -> Board:
    outcome = plan["analysis"]["outcome"]
    facts = plan["metrics"][outcome]
    records = part.to_dict("records")
    every = [v for key, values in seeds.items() if key[1] == data for v in values]
    axis = strip_axis(every, facts["transform"] == "log")
    floors = [row[outcome] for row in records if row["role"] == "floor"]
    several = several_plans(part)
    others = [m for m in plan["metrics"] if m != outcome and part[m].notna().any()]
    lines = [
        line(int(number), row, outcome, others, axis, seeds, several)
        for number, row in zip(part.index, records, strict=True)
    ]
    shown = [each for each in lines if each.role == "trial"]
    return Board(
        data,
        [p["text"] for p in plan["protocols"].values() if p["data"] == data],
        axis,
        axis.place(floors[0]) if floors and not math.isnan(floors[0]) else None,
        [*(title_of(m, plan["metrics"][m]) for m in others), *COSTS],
        any(each.flags for each in lines),
        [each for each in lines if each.role in ("floor", "theory")],
        shown,
        [each for each in lines if each.role == "untrained"],
        facets(each.name for each in shown),
    )


def several_plans(part: pd.DataFrame) -> set[str]:
    """The variants that have more than one plan."""
    counts = part[part["role"] == "trial"].groupby("variant")["plan"].nunique()
    return set(counts.index[counts > 1])


def facets(names: Iterable[Name]) -> dict[str, list[str]]:
    """What a reader may choose by: whatever has several values."""
    known = list(names)
    found = {
        key: list(dict.fromkeys(getattr(name, key) for name in known if getattr(name, key)))
        for key in ("tricks", "loss", "variant", "plan")
    }
    return {key: values for key, values in found.items() if len(values) > 1}


def name(row: Row, several: set[str]) -> Name:
    """What a row is called: its cell, or what reference it is."""
    match row["role"]:
        case "floor":
            return Name("held-out data", "", "floor")
        case "theory":
            return Name("a perfect generator, by theory", "", "floor")
        case "untrained":
            return Name("untrained", "", row["variant"])
    plan = row["plan"] if row["variant"] in several else ""
    return Name(row["tricks"], row["loss"], row["variant"], plan or "")


def line(
    number: int,
    row: Row,
    outcome: str,
    others: list[str],
    axis: Axis,
    seeds: dict[Any, Any],
    several: set[str],
) -> Line:
    key = tuple("" if pd.isna(row[k]) else row[k] for k in ("role", *ARM_COLUMNS))
    trial = row["role"] == "trial"
    return Line(
        number,
        row["role"],
        rank(row) if trial else "",
        name(row, several),
        value(row, outcome, interval=True),
        strip(row, outcome, seeds.get(key, [row[outcome]]), axis),
        measured(row),
        flags(row),
        [*(value(row, metric) for metric in others), *costs(row)],
    )


def value(row: Row, metric: str, interval: bool = False) -> Value:
    """A mean with its interval over seeds, or with the error of one trial's value."""
    if pd.isna(row[metric]):
        return Value("", "", None)
    error, note = row[f"{metric} error"], ""
    if interval:
        note = cell(row, metric, True).removeprefix(number(row[metric])).strip()
    elif error > 1e-4 * abs(row[metric]):
        note = f"± {error:.2g}"
    return Value(number(row[metric]), note, float(f"{row[metric]:.6g}"))


COSTS = ("img/s", "seconds", "MB", "1,000 weights")


def costs(row: Row) -> list[Value]:
    weights = sum(row[key] for key in WEIGHTS)
    known = (row[IMAGES_PER_SECOND], row["train_seconds"], row["peak_memory"] / 1e6, weights / 1e3)
    return [
        Value("", "", None) if pd.isna(v) else Value(f"{v:,.0f}", "", float(f"{v:.6g}"))
        for v in known
    ]


def strip(row: Row, outcome: str, values: list[float], axis: Axis) -> Strip:
    inside = [p for v in values if not math.isnan(v) and 0 <= (p := axis.place(v)) <= 100]
    low, high = row[f"{outcome} low"], row[f"{outcome} high"]
    if pd.isna(low) or not inside:
        return Strip(inside, None, None)
    return Strip(inside, max(axis.place(low), 0.0), min(axis.place(high), 100.0))
