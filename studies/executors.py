"""Every executor on real clusters, and faults of clusters: results/published/executors.

    .venv/bin/python studies/executors.py --out results/published/executors

It runs the two test files of executors and writes their outcomes and seconds as a table.
"""

import argparse
import platform
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd

from ganbench.files import write_bytes, write_json

ROOT = Path(__file__).parents[1]
EVERY, FAULTS = "tests/contract/test_every_executor.py", "tests/integration/test_clusters.py"
PACKAGES = ("torch", "ray", "submitit")
PAGE = """\
# Executors on real clusters

`studies/executors.py` wrote this page by running `{every}` and `{faults}`
on {machine}. Ray had two nodes, and Slurm one; the tests started both.
Versions: {versions}.

**{summary}**

## The same tests for every executor

Seconds of a test that passed; `failed` or `skipped` otherwise, and empty where a test does not apply.

{matrix}

## Faults of clusters

{table}
"""


def run_tests(report: Path) -> None:
    """Runs the tests, fast and slow ones, and writes their outcomes as JUnit's XML."""
    command = [sys.executable, "-m", "pytest", "-q", EVERY, FAULTS, f"--junitxml={report}"]
    subprocess.run(command, cwd=ROOT, check=False)


def read_outcomes(report: Path) -> list[dict[str, str]]:
    """Returns file, test, executor and outcome of each test."""
    outcomes = []
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        name, _, executor = case.get("name", "").partition("[")
        test = name.removeprefix("test_").replace("_", " ")
        outcomes.append(
            {
                "file": case.get("classname", "").rpartition(".")[2],
                "test": test,
                "executor": executor.removesuffix("]"),
                "outcome": outcome_of(case),
            }
        )
    return outcomes


def outcome_of(case: ElementTree.Element) -> str:
    for child in case:
        if child.tag in ("failure", "error", "skipped"):
            return "skipped" if child.tag == "skipped" else "failed"
    return f"{float(case.get('time', 0)):.0f} s"


def matrix_of(outcomes: list[dict[str, str]]) -> str:
    """Returns a table with a row for each test and a column for each executor."""
    rows: dict[str, dict[str, str]] = defaultdict(dict)
    for outcome in outcomes:
        if outcome["executor"]:
            rows[outcome["test"]][outcome["executor"]] = outcome["outcome"]
    frame = pd.DataFrame.from_dict(rows, orient="index").fillna("")
    return str(frame.to_markdown())


def version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def slurm_version() -> str:
    try:
        shown = subprocess.run(["slurmd", "-V"], capture_output=True, text=True)
    except OSError:
        return "missing"
    return (re.search(r"[\d.]+", shown.stdout) or [""])[0]


def write_page(out: Path, outcomes: list[dict[str, str]]) -> None:
    passed = sum(outcome["outcome"].endswith(" s") for outcome in outcomes)
    failed = sum(outcome["outcome"] == "failed" for outcome in outcomes)
    versions = [f"{name} {version_of(name)}" for name in PACKAGES] + [f"Slurm {slurm_version()}"]
    faults = [o for o in outcomes if o["file"] == Path(FAULTS).stem]
    table = pd.DataFrame(faults)[["test", "outcome"]].to_markdown(index=False)
    page = PAGE.format(
        every=EVERY,
        faults=FAULTS,
        machine=f"{platform.machine()}, two cores",
        versions=", ".join(versions),
        summary=f"{passed} passed, {failed} failed, {len(outcomes) - passed - failed} skipped.",
        matrix=matrix_of([o for o in outcomes if o["file"] == Path(EVERY).stem]),
        table=table,
    )
    write_bytes(out / "README.md", page.encode())
    write_json(out / "outcomes.json", {"outcomes": outcomes, "versions": versions})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", type=Path, help="an existing report of JUnit, to write again")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = arguments.report or Path(folder) / "report.xml"
        if not arguments.report:
            run_tests(report)
        write_page(arguments.out, read_outcomes(report))


if __name__ == "__main__":
    main()
