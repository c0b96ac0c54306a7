"""The leaderboard in a terminal of 80 columns or more; plain text if output is redirected."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ganbench.counts import count_of
from ganbench.evaluation.metric_names import metric_display_name

from .arm_names import ArmNamer
from .format_number import format_cell, format_number
from .line_wrapping import wrap_line
from .markdown import format_budget, format_measured_count, tie_mark
from .possible_range import clip_intervals, count_total, format_total
from .report import SuiteReport

MAX_WIDTH = 10_000  # of a table that is measured, in characters
MAX_CELLS_SHOWN = 12  # cells per data set; the file has the rest


def print_report(report: SuiteReport, console: Console) -> None:
    """Prints the leaderboard and the findings of a report, without computing them again."""
    namer = ArmNamer.of(report.board)
    board = clip_intervals(report.plan, report.board)
    for data, part in board.groupby("data", sort=False):
        print_data_set(report.frame, str(data), part, namer, console)
    budget = f"Budget: {format_budget(report.plan)}. {namer.describe_shared()}"
    console.print(budget.rstrip(), highlight=False, markup=False)
    notes = [f"note: {note}" for note in report.plan.get("notes", [])]
    for line in [*notes, *describe_untrained_arms(report.frame)]:
        print_unwrapped(line, console)
    print_findings(report.findings, console)


def print_data_set(
    frame: pd.DataFrame, data: str, part: pd.DataFrame, namer: ArmNamer, console: Console
) -> None:
    """Prints the table of a data set, and the cells and metrics that it leaves out."""
    table, left_out = widest_table(frame.attrs["plan"], data, part, namer, console)
    console.print(table)
    hidden = part["rank"].notna().sum() - select_shown_rows(part)["rank"].notna().sum()
    if hidden:
        more = count_of(int(hidden), "more cell")
        console.print(f"… and {more} in leaderboard.md", highlight=False)
    if left_out:
        names = ", ".join(metric_display_name(metric) for metric in left_out)
        print_unwrapped(f"Also measured, in leaderboard.md: {names}", console)
    for metric, reason in inapplicable_metrics(frame, data, part).items():
        print_unwrapped(f"{metric} has no value in any row: {reason}", console)


def print_findings(findings: Sequence[str], console: Console) -> None:
    """Prints the answer in bold, and the other findings as a list."""
    for answer in findings[:1]:
        console.print(answer, style="bold", highlight=False, markup=False)
    for line in findings[1:]:
        print_unwrapped(wrap_line(f"- {line}", console.width), console)


def print_unwrapped(line: str, console: Console) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def describe_untrained_arms(frame: pd.DataFrame) -> list[str]:
    """Returns a sentence with the tricks that no cell admits, or nothing."""
    trials = frame[frame["role"].eq("trial")]
    refused = trials["outcome"].eq("not_applicable").groupby(trials["tricks"], sort=False).all()
    names = ", ".join(refused[refused].index)
    return [f"Not applicable in any cell, so not compared: {names}."] if names else []


def widest_table(
    plan: dict[str, Any], data: str, part: pd.DataFrame, namer: ArmNamer, console: Console
) -> tuple[Table, list[str]]:
    """Returns the table with as many metrics as fit without wrapped names, and those left out."""
    metrics, unbounded = other_metrics(plan, part), console.options.update(max_width=MAX_WIDTH)
    for count in range(len(metrics), 0, -1):
        table = terminal_table(plan, data, part, namer, metrics[:count])
        if console.measure(table, options=unbounded).maximum <= console.width:
            return table, metrics[count:]
    return terminal_table(plan, data, part, namer), metrics


def other_metrics(plan: dict[str, Any], part: pd.DataFrame) -> list[str]:
    """Returns the metrics with values that have no column of their own in every table."""
    shown = (plan["analysis"]["outcome"], shown_modes_metric(plan, part))
    return [m for m in plan["metrics"] if m not in shown and part[m].notna().any()]


def terminal_table(
    plan: dict[str, Any],
    data: str,
    part: pd.DataFrame,
    namer: ArmNamer,
    others: Sequence[str] = (),
) -> Table:
    outcome = plan["analysis"]["outcome"]
    modes = shown_modes_metric(plan, part)
    title = f"{plan['suite']}: {data}"
    grid = Table(title=escape(title), box=SIMPLE_HEAD, title_justify="left", padding=(0, 1))
    grid.add_column("#", justify="right")
    grid.add_column(namer.heading())
    total = format_total(count_total(plan, part, outcome))
    grid.add_column(outcome_heading(plan, data, total), justify="right", no_wrap=True)
    if modes:
        grid.add_column("modes", justify="right")
    for metric in others:
        grid.add_column(metric_display_name(metric), justify="right", no_wrap=True)
    grid.add_column("n", justify="right")
    for row in select_shown_rows(part).to_dict("records"):
        cells = [
            terminal_rank(row),
            format_arm_name(row, namer),
            format_cell(row, outcome, True),
            *([format_modes(row, modes)] if modes else []),
            *(format_cell(row, metric, False) for metric in others),
            format_measured_count(row),
        ]
        style = None if row["role"] == "trial" else "dim"
        grid.add_row(*(escape(text) for text in cells), style=style)
    return grid


def outcome_heading(plan: dict[str, Any], data: str, total: str = "") -> str:
    """Returns the heading of the outcome with its total, and its features in a second line."""
    name = metric_display_name(plan["analysis"]["outcome"], plan, data)
    metric, space, features = name.partition(" (")
    return f"{metric}{total} [95 %]" + (f"\n({features}" if space else "")


def shown_modes_metric(plan: dict[str, Any], part: pd.DataFrame) -> str | None:
    """Returns the metric of the modes column, or None if no row has a value of it."""
    metrics = (m for m in plan["metrics"] if m.startswith("modes") and part[m].notna().any())
    return next(metrics, None)


def inapplicable_metrics(frame: pd.DataFrame, data: str, part: pd.DataFrame) -> dict[str, str]:
    """Returns the metrics without a value in any row of a data set, with a reason of one row."""
    metrics = [m for m in frame.attrs["plan"]["metrics"] if part[m].isna().all()]
    reasons = {metric: reason_of_metric(frame, data, metric) for metric in metrics}
    return {metric: reason for metric, reason in reasons.items() if reason}


def reason_of_metric(frame: pd.DataFrame, data: str, metric: str) -> str:
    """Returns the reason why finished trials have no value of a metric, or an empty text."""
    done = frame[frame["data"].eq(data) & frame["metric"].eq(metric) & frame["outcome"].eq("done")]
    return next((str(reason) for reason in done["reason"].dropna() if reason), "")


def format_modes(row: dict[Any, Any], metric: str) -> str:
    return "" if pd.isna(row[metric]) else format_number(row[metric])


def terminal_rank(row: dict[Any, Any]) -> str:
    return "" if row["role"] != "trial" or pd.isna(row["rank"]) else f"{row['rank']}{tie_mark(row)}"


def format_arm_name(row: dict[Any, Any], namer: ArmNamer) -> str:
    """Formats the varying parts of a name as `r1 · dcgan · hinge`, or the name of a reference."""
    match row["role"]:
        case "floor":
            return "floor: held-out data"
        case "theory":
            return "floor: by theory"
        case "untrained":
            return f"{row['variant']}, untrained"
    return namer.name(row)


def select_shown_rows(part: pd.DataFrame) -> pd.DataFrame:
    """Selects the best cells, the best of each variant, and all references, in order."""
    ranked = part[part["rank"].notna()]
    leaders = ranked.groupby("variant").head(1).index.union(ranked.index[:MAX_CELLS_SHOWN])
    return part[part.index.isin(leaders) | (part["role"] != "trial")]
