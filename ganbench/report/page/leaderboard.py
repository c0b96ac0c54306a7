"""The leaderboard of a data set as a table, with a strip of seeds in each row."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ganbench.analysis.leaderboard import IMAGES_PER_SECOND
from ganbench.analysis.metric_scale import metric_scale
from ganbench.analysis.rank_interval import format_rank_interval
from ganbench.analysis.rows import ARM_COLUMNS
from ganbench.counts import format_signed
from ganbench.report.arm_names import ArmNamer
from ganbench.report.format_number import (
    format_cell,
    format_error,
    format_number,
    is_visible_error,
)
from ganbench.report.markdown import (
    PARAMETER_COUNT_COLUMNS,
    format_flag_counts,
    format_measured_count,
    format_rank,
)
from ganbench.report.possible_range import count_total, format_total
from ganbench.report.seeds import seed_values

from .arm_data import plain_key
from .plots import PercentAxis, make_strip_axis, metric_title

VISIBLE_ROWS = 25  # rows shown at first
COST_HEADINGS = ["img/s", "seconds", "MB", "1,000 weights"]
Row = dict[Any, Any]
SeedValues = dict[tuple[Any, ...], list[float]]  # by role and cell


@dataclass(frozen=True)
class CellName:
    """The parts of a cell's name in which cells differ; the first is its title."""

    tricks: str
    loss: str
    variant: str
    plan: str = ""

    def __str__(self) -> str:
        parts = (self.tricks, self.variant, self.loss, self.plan)
        return " · ".join(part for part in parts if part)


@dataclass(frozen=True)
class SortableValue:
    """A formatted number and its sort key."""

    text: str
    note: str  # its interval or error, in small type
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

    number: int  # row number in the board, shared with the cards
    role: str
    rank: str
    open_ranks: str  # the ranks that pairwise tests leave open
    name: CellName
    outcome: SortableValue
    strip: SeedStrip
    seeds: str
    flags: str
    values: list[SortableValue]


@dataclass(frozen=True)
class LeaderboardBoard:
    data: str
    heading: str  # of the column of names
    outcome: str  # its title
    protocols: list[str]
    axis: PercentAxis
    floor: float | None  # its position on the axis
    columns: list[str]  # of the values
    flagged: bool
    references: list[LeaderboardLine]
    lines: list[LeaderboardLine]
    untrained: list[LeaderboardLine]
    facets: dict[str, list[str]]  # names to filter by, for each part of a name


@dataclass(frozen=True)
class BoardColumns:
    """Shared data of a board's rows: metrics, axis of the strips, and values of seeds."""

    outcome: str
    metrics: list[str]  # the others
    axis: PercentAxis
    seeds: SeedValues
    namer: ArmNamer


def make_boards(frame: pd.DataFrame, board: pd.DataFrame) -> list[LeaderboardBoard]:
    """Makes one board per data set."""
    plan = frame.attrs["plan"]
    seeds, namer = seed_values(frame), ArmNamer.of(board)
    return [
        board_of_data(plan, str(data), part, seeds, namer)
        for data, part in board.groupby("data", sort=False)
    ]


def board_of_data(
    plan: dict[str, Any], data: str, part: pd.DataFrame, seeds: SeedValues, namer: ArmNamer
) -> LeaderboardBoard:
    columns = board_columns(plan, data, part, seeds, namer)
    lines = [
        make_line(int(number), row, columns)
        for number, row in zip(part.index, part.to_dict("records"), strict=True)
    ]
    trials = lines_of_roles(lines, "trial")
    return LeaderboardBoard(
        data=data,
        heading=namer.heading(),
        outcome=title_with_total(columns.outcome, plan, data, part),
        protocols=[p["text"] for p in plan["protocols"].values() if p["data"] == data],
        axis=columns.axis,
        floor=place_of_floor(part, columns),
        columns=[title_with_total(m, plan, data, part) for m in columns.metrics] + COST_HEADINGS,
        flagged=any(line.flags for line in lines),
        references=lines_of_roles(lines, "floor", "theory"),
        lines=trials,
        untrained=lines_of_roles(lines, "untrained"),
        facets=name_facets(line.name for line in trials),
    )


def title_with_total(metric: str, plan: dict[str, Any], data: str, part: pd.DataFrame) -> str:
    """Returns a metric's title, of a count with its total: `modes of 25 ↑`."""
    name, _, arrow = metric_title(metric, plan, data).rpartition(" ")
    return f"{name}{format_total(count_total(plan, part, metric))} {arrow}"


def lines_of_roles(lines: list[LeaderboardLine], *roles: str) -> list[LeaderboardLine]:
    return [line for line in lines if line.role in roles]


def board_columns(
    plan: dict[str, Any], data: str, part: pd.DataFrame, seeds: SeedValues, namer: ArmNamer
) -> BoardColumns:
    outcome = plan["analysis"]["outcome"]
    values = [v for key, values in seeds.items() if key[1] == data for v in values]
    return BoardColumns(
        outcome=outcome,
        metrics=[m for m in plan["metrics"] if m != outcome and part[m].notna().any()],
        axis=make_strip_axis(values, metric_scale(plan, outcome).is_log),
        seeds=seeds,
        namer=namer,
    )


def place_of_floor(part: pd.DataFrame, columns: BoardColumns) -> float | None:
    """Returns the position of the floor on the axis; None if there is no floor."""
    floors = part.loc[part["role"].eq("floor"), columns.outcome]
    if floors.empty or math.isnan(floors.iloc[0]):
        return None
    return columns.axis.place(floors.iloc[0])


def name_facets(names: Iterable[CellName]) -> dict[str, list[str]]:
    """Returns the filters of a table: each part of the names that has several values."""
    listed_names, facets = list(names), {}
    for key in ("tricks", "loss", "variant", "plan"):
        values = list(dict.fromkeys(getattr(name, key) for name in listed_names))
        choices = [value for value in values if value]
        if len(choices) > 1:
            facets[key] = choices
    return facets


def make_cell_name(row: Row, namer: ArmNamer) -> CellName:
    """Returns the varying parts of an arm's name, or the name of a reference."""
    match row["role"]:
        case "floor":
            return CellName("held-out data", "", "floor")
        case "theory":
            return CellName("a perfect generator, by theory", "", "floor")
        case "untrained":
            return CellName("untrained", "", row["variant"])
    empty = {"tricks": "", "loss": "", "variant": ""}
    return CellName(**{**empty, **namer.parts(row)})


def make_line(number: int, row: Row, columns: BoardColumns) -> LeaderboardLine:
    return LeaderboardLine(
        number=number,
        role=row["role"],
        rank=format_rank(row) if row["role"] == "trial" else "",
        open_ranks=format_rank_interval(row["rank low"], row["rank high"]),
        name=make_cell_name(row, columns.namer),
        outcome=make_value(row, columns.outcome, interval=True),
        strip=make_seed_strip(row, columns),
        seeds=format_measured_count(row),
        flags=format_flag_counts(row),
        values=[make_value(row, metric) for metric in columns.metrics] + make_costs(row),
    )


def make_value(row: Row, metric: str, interval: bool = False) -> SortableValue:
    """Formats a mean with its interval over seeds, or with the error of one trial's value."""
    if pd.isna(row[metric]):
        return SortableValue("", "", None)
    error, note = row[f"{metric} error"], ""
    if interval:
        note = format_cell(row, metric, True).removeprefix(format_number(row[metric])).strip()
    elif is_visible_error(error, row[metric]):
        note = format_error(error)
    return SortableValue(format_number(row[metric]), note, float(f"{row[metric]:.6g}"))


def make_costs(row: Row) -> list[SortableValue]:
    weights = sum(row[key] for key in PARAMETER_COUNT_COLUMNS)
    numbers = (
        row[IMAGES_PER_SECOND],
        row["train_seconds"],
        row["peak_memory"] / 1e6,
        weights / 1e3,
    )
    return [make_cost(number) for number in numbers]


def make_cost(number: float) -> SortableValue:
    if pd.isna(number):
        return SortableValue("", "", None)
    return SortableValue(format_signed(number, ",.0f"), "", float(f"{number:.6g}"))


def make_seed_strip(row: Row, columns: BoardColumns) -> SeedStrip:
    outcome, axis = columns.outcome, columns.axis
    key = plain_key(row[k] for k in ("role", *ARM_COLUMNS))
    values = columns.seeds.get(key, [row[outcome]])
    places = [axis.place(value) for value in values if not math.isnan(value)]
    inside = [place for place in places if 0 <= place <= 100]
    low, high = row[f"{outcome} low"], row[f"{outcome} high"]
    if pd.isna(low) or not inside:
        return SeedStrip(inside, None, None)
    return SeedStrip(inside, max(axis.place(low), 0.0), min(axis.place(high), 100.0))
