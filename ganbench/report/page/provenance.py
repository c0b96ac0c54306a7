"""Provenance of a page: failures, further tables, versions, and the command of the run."""

import shlex
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ganbench.analysis.leaderboard import NO_REASON
from ganbench.analysis.rows import name_processors
from ganbench.experiments.run_options import remove_seeds
from ganbench.experiments.suite_files import known_suites
from ganbench.report.analyses import ANALYSES, format_columns
from ganbench.report.arm_names import ArmNamer
from ganbench.report.markdown import format_failure_counts

from .leaderboard import CellName, make_cell_name

WORKERS = "--workers"  # the option that changes no number
MAX_TABLE_ROWS = 60  # rows of a further table; the files beside the page have all rows
MORE_TABLES = (  # name, title and note of the tables of effects
    (
        "interactions",
        "Interactions",
        "The change at one level relative to the change at the other levels, over backgrounds that are otherwise "
        "equal. On a logarithmic scale this is a ratio, else a difference. Holm's correction covers all rows "
        "of one kind.",
    ),
    (
        "rates",
        "Failures and collapses",
        "Shares of all ended trainings, with Wilson's 95 % intervals. Each seed of a network counts once. p comes "
        "from an exact randomization test over these seeds after Holm's correction.",
    ),
)


@dataclass(frozen=True)
class FailedCell:
    """A cell with trainings that did not end well."""

    data: str
    name: CellName
    counts: str
    reason: str


@dataclass(frozen=True)
class PageTable:
    """A formatted table with its first rows."""

    name: str
    title: str
    note: str
    columns: list[str]
    rows: list[list[str]]
    hidden: int


def failed_cells(plan: dict[str, Any], board: pd.DataFrame) -> list[FailedCell]:
    """Returns the cells with failed or not applicable trainings, and the excluded cells."""
    namer, cells = ArmNamer.of(board), []
    for row in board[board["role"] != "floor"].to_dict("records"):
        counts = format_failure_counts(row)
        if counts:
            reason = row["reason"] or NO_REASON
            cells.append(FailedCell(row["data"], make_cell_name(row, namer), counts, reason))
    return cells + [
        FailedCell("", CellName(entry["cell"], "", ""), "excluded", entry["reason"])
        for entry in plan["excluded"]
    ]


def make_page_tables(
    changes: dict[str, pd.DataFrame], further: dict[str, pd.DataFrame]
) -> list[PageTable]:
    """Makes the further tables of the page."""
    tables = [
        make_page_table(key, title, note, changes[key])
        for key, title, note in MORE_TABLES
        if not changes[key].empty
    ]
    return tables + [
        make_page_table(each.name, each.title, each.note, each.shown(further[each.name]))
        for each in ANALYSES
        if each.name in further
    ]


def make_page_table(key: str, title: str, note: str, table: pd.DataFrame) -> PageTable:
    texts = format_columns(table.head(MAX_TABLE_ROWS))
    return PageTable(
        name=key,
        title=title,
        note=note,
        columns=[str(name) for name in texts],
        rows=texts.to_numpy().tolist(),
        hidden=max(0, len(table) - MAX_TABLE_ROWS),
    )


def rerun_command(plan: dict[str, Any]) -> str:
    """Returns the command that repeats the run, and its further measurements."""
    measured = plan.get("measured")
    suite = measured["suite"] if measured else plan["suite"]
    known = suite if suite in known_suites() else f"{suite}.toml"  # a file of the user's own
    run = shlex.join(["ganbench", "run", known, *options_of_every_machine(plan)])
    return f"{run} && {measure_command(measured)}" if measured else run


def measure_command(measured: dict[str, Any]) -> str:
    """Returns the command that measures a run again as a plan says."""
    parts = ["ganbench", "measure", measured["suite"]]
    if measured["protocol"]:
        parts += ["--protocol", measured["protocol"]]
    if measured["metrics"]:
        parts += ["--metrics", ",".join(measured["metrics"])]
    return shlex.join(parts)


def options_of_every_machine(plan: dict[str, Any]) -> list[str]:
    """Returns the options of a run that determine its trials."""
    options = list(plan.get("options", []))
    if WORKERS in options:
        place = options.index(WORKERS)
        del options[place : place + 2]
    seeds, has_seeds = plan["seeds"], remove_seeds(options) != options
    needed = {"--device": plan["device"], "--profile": plan["profile"]}
    if seeds == list(range(len(seeds))) and "adaptive" not in plan and not has_seeds:
        needed["--seeds"] = len(seeds)
    left_out = {name: value for name, value in needed.items() if name not in options}
    return options + [word for name, value in left_out.items() for word in (name, str(value))]


def run_versions(frame: pd.DataFrame) -> dict[str, str]:
    """Returns the versions of the software, and the code and the processors that trained."""
    versions = {str(key): str(value) for key, value in frame.attrs["plan"]["provenance"].items()}
    code = ", ".join(frame["code"].dropna().unique())
    return versions | name_processors(frame) | ({"training code": code} if code else {})
