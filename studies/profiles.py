"""Profiles of the training loop before and after its speed work, by operator and by Python line.

    python studies/profiles.py      writes results/performance/profiles.{csv,md}

It profiles the loops of two revisions and a bare loop over the same networks, each in a process of its
own on one thread of the CPU. PyTorch's profiler counts the operators. A timer's interrupts sample the
lines, 1,000 times a second. A line's time has everything that it calls outside ganbench. A step's time is
that of the fastest of 70 blocks, in turn with the other loops.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[1]
PERFORMANCE = ROOT / "results" / "performance"
CHILD = ROOT / "studies" / "profile_step.py"
CASES = (("gan2d(width=32)", "ring"), ("gan", "digits"), ("dcgan(width=16)", "digits"))
BEFORE = "7e81ace"  # the last revision before the work on speed
ROUNDS, SHOWN = 7, 12
SIDES = ("before", "after", "bare")
COLUMNS = ["networks", "side", "part", "name", "calls", "microseconds"]


@dataclass(frozen=True)
class Loop:
    """One side of the comparison: a tree of ganbench, and whether its loop or the bare one runs."""

    side: str
    tree: Path

    def command(self, case: tuple[str, str], work: str) -> list[str]:
        bare = ["bare"] if self.side == "bare" else []
        return [sys.executable, str(CHILD), *case, work, *bare]

    def run(self, case: tuple[str, str], work: str) -> str:
        """Returns what a process prints that does this work."""
        environment = os.environ | {"PYTHONPATH": str(self.tree), "OMP_NUM_THREADS": "1"}
        command = self.command(case, work)
        done = subprocess.run(
            command, env=environment, cwd=self.tree, capture_output=True, text=True, check=True
        )
        return done.stdout.strip().splitlines()[-1]


def measure_case(case: tuple[str, str], loops: list[Loop]) -> Iterator[tuple[object, ...]]:
    """Yields the rows of one kind of networks."""
    seconds: dict[str, list[float]] = {loop.side: [] for loop in loops}
    for _ in range(ROUNDS):
        for loop in loops:
            seconds[loop.side].append(json.loads(loop.run(case, "time")))
    for loop in loops:
        step = 1e6 * min(seconds[loop.side])
        yield case[0], loop.side, "step", "step", 1, step
        for name, (calls, spent) in json.loads(loop.run(case, "operators")).items():
            yield case[0], loop.side, "operator", name, calls, spent
        if loop.side != "bare":
            for line, share in json.loads(loop.run(case, "lines")).items():
                yield case[0], loop.side, "line", line, None, share * step


def format_page(rows: pd.DataFrame) -> str:
    """Returns the page: a table of steps, and two of the largest parts for each kind of networks."""
    head = str(__doc__).split("\n\n", 2)
    parts = [
        f"# Profiles of the training loop\n\n`python studies/profiles.py` wrote this page.\n{head[2]}"
    ]
    parts += [
        f"*Before* is revision {BEFORE}, *after* is this one, *bare* is a loop that is written out.\n"
        "`profiles.csv` has all lines and operators. Here are the operators that our loop called more often than\n"
        "the bare one, and the lines with the most time.",
        "## Steps",
        format_steps(rows),
    ]
    for networks, of_case in rows.groupby("networks", sort=False):
        parts += [f"## {networks}: operators", format_operators(of_case)]
        parts += [f"## {networks}: lines", format_lines(of_case)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def format_steps(rows: pd.DataFrame) -> str:
    """Returns microseconds of a step, of its operators, and their number, for each side."""
    keys = ["networks", "side"]
    operators = rows[rows["part"].eq("operator")].groupby(keys, sort=False)
    steps = rows[rows["part"].eq("step")].groupby(keys, sort=False)["microseconds"].first()
    table = steps.to_frame("step, µs").round()
    table["beside bare, µs"] = (
        steps - steps.unstack()["bare"].reindex(steps.index, level=0)
    ).round()
    table["operator calls"] = operators["calls"].sum().round()
    return str(table.reset_index().to_markdown(index=False))


def format_operators(rows: pd.DataFrame) -> str:
    """Returns calls and own microseconds of the operators that our loop calls more often."""
    operators = rows[rows["part"].eq("operator")]
    table = operators.pivot(index="name", columns="side", values=["calls", "microseconds"]).fillna(
        0
    )
    calls = table["calls"]
    largest = (calls["before"] - calls["bare"]).abs().nlargest(SHOWN).index
    shown = table.loc[largest].round(1)
    shown.columns = [f"{side}, {'µs' if kind == 'microseconds' else kind}" for kind, side in shown]
    order = [f"{side}, {kind}" for kind in ("calls", "µs") for side in SIDES]
    return str(shown[order].rename_axis("operator").reset_index().to_markdown(index=False))


def format_lines(rows: pd.DataFrame) -> str:
    """Returns the lines that take the most time, before and after."""
    lines = rows[rows["part"].eq("line")]
    sides = [lines[lines["side"].eq(side)].nlargest(SHOWN, "microseconds") for side in SIDES[:2]]
    table = pd.concat(
        [
            side[["name", "microseconds"]]
            .round(1)
            .set_axis([f"{name}: line", "µs a step"], axis=1)
            .reset_index(drop=True)
            for name, side in zip(SIDES, sides, strict=False)
        ],
        axis=1,
    )
    return str(table.to_markdown(index=False))


def check_out(revision: str, folder: str) -> Path:
    """Clones this repository to a folder, at a revision."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), folder], check=True)
    subprocess.run(["git", "-C", folder, "checkout", "--quiet", revision], check=True)
    return Path(folder)


def measure_all() -> pd.DataFrame:
    with tempfile.TemporaryDirectory() as folder:
        trees = (check_out(BEFORE, folder), ROOT, ROOT)
        loops = [Loop(side, tree) for side, tree in zip(SIDES, trees, strict=True)]
        rows = [row for case in CASES for row in measure_case(case, loops)]
    return pd.DataFrame(rows, columns=COLUMNS)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--page", action="store_true", help="write the page from the table alone")
    table = PERFORMANCE / "profiles.csv"
    if not parser.parse_args().page:
        measure_all().round(2).to_csv(table, index=False)
    page = format_page(pd.read_csv(table))
    table.with_suffix(".md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
