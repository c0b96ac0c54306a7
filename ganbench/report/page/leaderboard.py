"""The leaderboard of a data set as a table with a strip of seeds in every row."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ganbench.analysis.leaderboard import ARM_COLUMNS, IMAGES_PER_SECOND
from ganbench.report.markdown import (
    PARAMETER_COUNT_COLUMNS,
    format_cell,
    format_flag_counts,
    format_measured_count,
    format_number,
    format_rank,
)
from ganbench.report.seeds import seed_values

from .plots import PercentAxis, make_strip_axis, metric_title

VISIBLE_ROWS = 25  # rows that are shown before the reader asks for more
Row = dict[Any, Any]


@dataclass(frozen=True)
class CellName:
    """A cell as it is called; the plan only where its variant has several."""

    tricks: str
    loss: str
    variant: str
    plan: str = ""


@dataclass(frozen=True)
class SortableValue:
    """A number as it is read, and by what it is sorted."""

    text: str
    note: str  # its interval or error, set smaller
    key: float | None


@dataclass(frozen=True)
class SeedStrip:
    """Seeds as dots and their interval as a bar, in percent of the axis."""

    dots: list[float]
    low: float | None
    high: float | None


@dataclass(frozen=True)
class LeaderboardLine:
    """A row of the leaderboard."""

    number: int  # in the board, which cards have too
    role: str
    rank: str
    name: CellName
    outcome: SortableValue
    strip: SeedStrip
    seeds: str
    flags: str
    values: list[SortableValue]


@dataclass(frozen=True)
class LeaderboardBoard:
    data: str
    protocols: list[str]
    axis: PercentAxis
    floor: float | None  # its place on the axis
    columns: list[str]  # of the values
    flagged: bool
    references: list[LeaderboardLine]
    lines: list[LeaderboardLine]
    untrained: list[LeaderboardLine]
    facets: dict[str, list[str]]  # names to choose from, by what they are of


def make_boards(frame: pd.DataFrame, board: pd.DataFrame) -> list[LeaderboardBoard]:
    """One a data set."""
    plan = frame.attrs["plan"]
    seeds = seed_values(frame)
    return [
        board_of_data(plan, str(data), part, seeds)
        for data, part in board.groupby("data", sort=False)
    ]


def board_of_data(
    plan: dict[str, Any], data: str, part: pd.DataFrame, seeds: dict[Any, list[float]]
) -> LeaderboardBoard:
    outcome = plan["analysis"]["outcome"]
    facts = plan["metrics"][outcome]
    records = part.to_dict("records")
    every = [v for key, values in seeds.items() if key[1] == data for v in values]
    axis = make_strip_axis(every, facts["transform"] == "log")
    floors = [row[outcome] for row in records if row["role"] == "floor"]
    several = variants_with_several_plans(part)
    others = [m for m in plan["metrics"] if m != outcome and part[m].notna().any()]
    lines = [
        make_line(int(number), row, outcome, others, axis, seeds, several)
        for number, row in zip(part.index, records, strict=True)
    ]
    shown = [each for each in lines if each.role == "trial"]
    return LeaderboardBoard(
        data,
        [p["text"] for p in plan["protocols"].values() if p["data"] == data],
        axis,
        axis.place(floors[0]) if floors and not math.isnan(floors[0]) else None,
        [*(metric_title(m, plan["metrics"][m]) for m in others), *COST_HEADINGS],
        any(each.flags for each in lines),
        [each for each in lines if each.role in ("floor", "theory")],
        shown,
        [each for each in lines if each.role == "untrained"],
        name_facets(each.name for each in shown),
    )


def variants_with_several_plans(part: pd.DataFrame) -> set[str]:
    """The variants that have more than one plan."""
    counts = part[part["role"] == "trial"].groupby("variant")["plan"].nunique()
    return set(counts.index[counts > 1])


def name_facets(names: Iterable[CellName]) -> dict[str, list[str]]:
    """What a reader may choose by: whatever has several values."""
    listed_names = list(names)
    values = {
        key: list(dict.fromkeys(getattr(name, key) for name in listed_names if getattr(name, key)))
        for key in ("tricks", "loss", "variant", "plan")
    }
    return {key: values for key, values in values.items() if len(values) > 1}


def make_cell_name(row: Row, several: set[str]) -> CellName:
    """What a row is called: its cell, or what reference it is."""
    match row["role"]:
        case "floor":
            return CellName("held-out data", "", "floor")
        case "theory":
            return CellName("a perfect generator, by theory", "", "floor")
        case "untrained":
            return CellName("untrained", "", row["variant"])
    plan = row["plan"] if row["variant"] in several else ""
    return CellName(row["tricks"], row["loss"], row["variant"], plan or "")


def make_line(
    number: int,
    row: Row,
    outcome: str,
    others: list[str],
    axis: PercentAxis,
    seeds: dict[Any, Any],
    several: set[str],
) -> LeaderboardLine:
    key = tuple("" if pd.isna(row[k]) else row[k] for k in ("role", *ARM_COLUMNS))
    trial = row["role"] == "trial"
    return LeaderboardLine(
        number,
        row["role"],
        format_rank(row) if trial else "",
        make_cell_name(row, several),
        make_value(row, outcome, interval=True),
        make_seed_strip(row, outcome, seeds.get(key, [row[outcome]]), axis),
        format_measured_count(row),
        format_flag_counts(row),
        [*(make_value(row, metric) for metric in others), *make_costs(row)],
    )


def make_value(row: Row, metric: str, interval: bool = False) -> SortableValue:
    """A mean with its interval over seeds, or with the error of one trial's value."""
    if pd.isna(row[metric]):
        return SortableValue("", "", None)
    error, note = row[f"{metric} error"], ""
    if interval:
        note = format_cell(row, metric, True).removeprefix(format_number(row[metric])).strip()
    elif error > 1e-4 * abs(row[metric]):
        note = f"± {error:.2g}"
    return SortableValue(format_number(row[metric]), note, float(f"{row[metric]:.6g}"))


COST_HEADINGS = ("img/s", "seconds", "MB", "1,000 weights")


def make_costs(row: Row) -> list[SortableValue]:
    weights = sum(row[key] for key in PARAMETER_COUNT_COLUMNS)
    numbers = (
        row[IMAGES_PER_SECOND],
        row["train_seconds"],
        row["peak_memory"] / 1e6,
        weights / 1e3,
    )
    return [
        SortableValue("", "", None)
        if pd.isna(v)
        else SortableValue(f"{v:,.0f}", "", float(f"{v:.6g}"))
        for v in numbers
    ]


def make_seed_strip(row: Row, outcome: str, values: list[float], axis: PercentAxis) -> SeedStrip:
    inside = [p for v in values if not math.isnan(v) and 0 <= (p := axis.place(v)) <= 100]
    low, high = row[f"{outcome} low"], row[f"{outcome} high"]
    if pd.isna(low) or not inside:
        return SeedStrip(inside, None, None)
    return SeedStrip(inside, max(axis.place(low), 0.0), min(axis.place(high), 100.0))
