"""How a page was made: what was not measured and why, further tables, protocol, versions, command."""

import shlex
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ganbench.report.analyses import ANALYSES, texts

from .leaderboard import Name, name, several_plans

MOST = 60  # rows of a further table; the files beside the page have all
OUTCOMES = ("diverged", "failed", "not_applicable")
MORE = (  # tables of the effects, as the analyses are
    (
        "interactions",
        "Where a trick changes more",
        "How many times as large the change is in one place as in the others that are alike but for this; "
        "Holm's correction is over all of a kind.",
    ),
    (
        "rates",
        "What goes wrong, and how often",
        "Of all trainings that ended, with Wilson's 95 % intervals; p is McNemar's, exact, by Holm's correction.",
    ),
)


@dataclass(frozen=True)
class Failure:
    """A cell that did not end well in all seeds."""

    data: str
    name: Name
    counts: str
    reason: str


@dataclass(frozen=True)
class Table:
    """A table as it is read: the first rows of it."""

    name: str
    title: str
    note: str
    columns: list[str]
    rows: list[list[str]]
    hidden: int


def failures(plan: dict[str, Any], board: pd.DataFrame) -> list[Failure]:
    """Cells that diverged, failed or do not apply, and those that the suite excludes."""
    several, found = several_plans(board), []
    for row in board[board["role"] != "floor"].to_dict("records"):
        counts = [f"{row[o]} {o.replace('_', ' ')}" for o in OUTCOMES if row[o]]
        if counts:
            reason = row["reason"] or "no reason was kept"
            found.append(Failure(row["data"], name(row, several), ", ".join(counts), reason))
    return found + [
        Failure("", Name(entry["cell"], "", ""), "excluded", entry["reason"])
        for entry in plan["excluded"]
    ]


def tables(changes: dict[str, pd.DataFrame], further: dict[str, pd.DataFrame]) -> list[Table]:
    """Whatever else was made of the rows."""
    told = [(a.name, a.title, a.note, a.shown) for a in ANALYSES]
    more = [(*each, lambda table: table) for each in MORE]
    known = further | {key: changes[key] for key, *_ in MORE if not changes[key].empty}
    return [
        as_read(key, title, note, shown(known[key]))
        for key, title, note, shown in [*more, *told]
        if key in known
    ]


def as_read(key: str, title: str, note: str, table: pd.DataFrame) -> Table:
    read = texts(table.head(MOST))
    return Table(
        key,
        title,
        note,
        [str(c) for c in read],
        read.to_numpy().tolist(),
        max(0, len(table) - MOST),
    )


def command(plan: dict[str, Any]) -> str:
    """What makes the run again."""
    seeds = plan["seeds"]
    parts = [
        "ganbench",
        "run",
        plan["suite"],
        "--device",
        plan["device"],
        "--profile",
        plan["profile"],
    ]
    if seeds == list(range(len(seeds))):
        parts += ["--seeds", str(len(seeds))]
    return shlex.join(map(str, parts))


def made_with(frame: pd.DataFrame) -> dict[str, str]:
    """Versions of what took part, and of the code that trained."""
    told = {str(key): str(value) for key, value in frame.attrs["plan"]["provenance"].items()}
    code = list(dict.fromkeys(frame["code"].dropna()))
    return told | ({"training code": ", ".join(code)} if code else {})
