"""Detected faults and false alarms of the gates: the tables of results/published/gate.

    .venv/bin/python studies/gates.py baseline FOLDER   the quality gate's baseline on this machine
    .venv/bin/python studies/gates.py faults FOLDER     a quality gate of each fault in the code
    .venv/bin/python studies/gates.py sizes FOLDER      trainings that predict the gate's power
    .venv/bin/python studies/gates.py check FOLDER      `ganbench check` of each fault
    .venv/bin/python studies/gates.py slow FOLDER       a performance gate of each slowdown
    .venv/bin/python studies/gates.py live FOLDER       quality gates of unchanged code
    .venv/bin/python studies/gates.py rounds FOLDER     performance gates of unchanged code
    .venv/bin/python studies/gates.py power FOLDER      performance gates of slowdowns, without other load
    .venv/bin/python studies/gates.py busy FOLDER       the same beside four busy processes
    .venv/bin/python studies/gates.py tables FOLDER     writes the tables from all that ended

Everything but the tables runs for real, some minutes a gate. Each stage saves as it goes, and resumes.
The faults are in `studies/gate_faults.py`. Gates without results keep their published rows.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from gate_faults import (
    PERFORMANCE,
    QUALITY,
    ROOT,
    SLOWDOWNS,
    Fault,
    QualityFault,
    copy_sources,
)
from gate_measurements import (
    BUSY_PROCESSES,
    ELSEWHERE,
    ELSEWHERE_SEEDS,
    PUBLISHED,
    SUITE,
    baseline_path,
    check_path,
    gate_path,
    named_methods,
    short_cell,
    size_path,
)
from gate_page import render_page
from gate_tables import (
    alarms_row,
    faults_table,
    live_table,
    power_table,
    rounds_table,
    slow_table,
    trials_table,
    with_published,
)

from ganbench.files import read_json

ROUNDS = 10  # live gates of unchanged code
PERF_ROUNDS = 3  # performance gates of unchanged code
FIRST_LIVE_BLOCK = 10  # blocks of seeds below it have the published gates
STEPS = ("step[",)  # a training step of every variant
F = TypeVar("F", bound=Fault)


def baseline(folder: Path) -> None:
    """Makes the baseline on this machine, because canaries are compared on one machine only."""
    if not baseline_path(folder).exists():
        words = ["baseline", "make", SUITE, "--baseline", baseline_path(folder)]
        words += ["--reason", "the study of gates", "--results", folder / "baseline_store"]
        call_program(ROOT, words, folder / "cache")


def live(folder: Path) -> None:
    """Runs gates of unchanged code, each with a block of seeds of its own, until stopped."""
    for block in range(FIRST_LIVE_BLOCK, FIRST_LIVE_BLOCK + ROUNDS):
        if not (folder / f"live{block}" / "verdict.json").exists():
            verdict = run_gate(folder, ROOT, folder / f"live{block}", block)
            print(block, verdict["verdict"], f"{verdict['seconds']:.0f} s", flush=True)


def rounds(folder: Path) -> None:
    """Runs performance gates of the code against a copy of itself."""
    copy_sources(folder / "base"), copy_sources(folder / "head")
    for number in range(PERF_ROUNDS):
        if not (folder / f"round{number}.json").exists():
            out = folder / f"round{number}.json"
            run_perf(folder / "base", folder / "head", out)


def slow(folder: Path, only: list[str]) -> None:
    """Runs a performance gate of each slowdown."""
    for fault in choose_faults(PERFORMANCE, only):
        place = folder / fault.folder_name
        out = place / f"perf_{fault.key}.json"
        if not out.exists():
            place.mkdir(parents=True, exist_ok=True)
            trees = copy_sources(place / "base"), fault.plant(place / "tree")
            run_perf(*trees, out, fault.only)


def power(folder: Path, machine: str = "quiet") -> None:
    """Runs performance gates of slower training loops, and of the same one."""
    same = folder / "power_same"
    base, heads = copy_sources(folder / "power_base"), {0: copy_sources(same)}
    for fault in SLOWDOWNS:
        heads[round(100 * fault.size)] = fault.plant(folder / fault.folder_name / "tree")
    for percent, head in heads.items():
        out = folder / f"power_{machine}_{percent}.json"
        if not out.exists():
            run_perf(base, head, out, STEPS, "--no-instructions")


def busy(folder: Path) -> None:
    """Runs the gates of `power` beside busy processes."""
    command = [
        sys.executable,
        "-c",
        "import torch\nwhile True: torch.ones(500, 500).mm(torch.ones(500, 500))",
    ]
    around = {**os.environ, "OMP_NUM_THREADS": "1"}
    others = [subprocess.Popen(command, env=around) for _ in range(BUSY_PROCESSES)]
    try:
        power(folder, "busy")
    finally:
        for other in others:
            other.kill()


def run_perf(base: Path, head: Path, out: Path, only: Iterable[str] = (), *options: str) -> None:
    """Runs a performance gate of two trees, and saves its answer with the seconds."""
    parts = [word for part in only for word in ("--only", part)]
    words = ["perf", "--base", base, "--head", head, "--json", *parts, *options]
    began = time.perf_counter()
    answer = json.loads(call_program(ROOT, words, out.parent / "perf_cache"))
    answer["wall"] = time.perf_counter() - began
    out.write_text(json.dumps(answer), encoding="utf-8")
    print(out.parent.name, out.stem, answer["code"], f"{answer['wall']:.0f} s", flush=True)


def faults(folder: Path, only: list[str]) -> None:
    """Runs a gate of each fault, on the cells that it changes.

    Trainings of other cells are those of unchanged code, bit for bit, and run once.
    """
    if not (folder / "unchanged" / "verdict.json").exists():
        run_gate(folder, ROOT, folder / "unchanged", 0)
    for fault in choose_faults(QUALITY, only):
        place = folder / fault.folder_name
        if fault.cells and not gate_path(place, fault).exists():
            suite, known = write_part(fault, place, baseline_path(folder))
            verdict = run_gate(folder, fault.plant(place / "tree"), place / "gate", 0, suite, known)
            (place / "gate" / "verdict.json").rename(gate_path(place, fault))
            print(f"{fault.name}: {verdict['verdict']}, {verdict['seconds']:.0f} s", flush=True)


def choose_faults(known: Iterable[F], only: list[str]) -> list[F]:
    """Returns the faults with one of these parts in their names, or all without any."""
    return [fault for fault in known if not only or any(part in fault.name for part in only)]


def sizes(folder: Path, only: list[str]) -> None:
    """Trains with seeds that no gate has, for the power that is predicted."""
    for fault in choose_faults(QUALITY, only):
        place = folder / fault.folder_name
        if has_size(fault) and not size_path(place, fault).exists():
            suite, _ = write_part(fault, place, baseline_path(folder))
            seeds = list(range(ELSEWHERE, ELSEWHERE + ELSEWHERE_SEEDS))
            words = ["run", suite, "--results", place / "elsewhere", "-o", f"seeds={seeds}"]
            shutil.rmtree(place / "elsewhere", ignore_errors=True)
            call_program(fault.plant(place / "tree"), [*words, "--json"], place / "cache")
            size_path(place, fault).touch()
            print(f"{fault.name}: trained elsewhere", flush=True)


def has_size(fault: QualityFault) -> bool:
    """Returns whether a fault changes trainings of the gate."""
    return bool(fault.cells) and not fault.measures


def write_part(fault: QualityFault, place: Path, known: Path) -> tuple[Path, Path]:
    """Writes the part of the gate's suite and baseline with the cells that a fault changes."""
    place.mkdir(parents=True, exist_ok=True)
    text = SUITE.read_text(encoding="utf-8")
    head, *grids = text.partition("[budget.cpu]")[0].split("[[grid]]")
    grids = [part for grid in grids for part in parts_of_grid(grid, fault.cells)]
    suite, part = place / "gate.toml", place / "gate.baseline.json"
    budget = "".join(text.partition("[budget.cpu]")[1:])
    suite.write_text("[[grid]]".join([head, *grids]) + budget, encoding="utf-8")
    content = read_json(known)
    for key in ("cells", "canary"):
        content[key] = {c: v for c, v in content[key].items() if short_cell(c) in fault.cells}
    part.write_text(json.dumps(content), encoding="utf-8")
    return suite, part


def parts_of_grid(grid: str, cells: tuple[str, ...]) -> Iterator[str]:
    """Yields a grid of the gate's suite with only some of its cells, if it has any."""
    first, _, tricks = grid.partition("[grid.tricks]")
    chains = [f'["{cell}"]' for cell in cells if f'["{cell}"]' in tricks]
    if chains:
        yield f"{first}[grid.tricks]\nchains = [{', '.join(chains)}]\n\n"
    elif not tricks and any(f'"{cell}"' in first for cell in cells):
        yield grid


def run_gate(
    folder: Path,
    tree: Path,
    kept: Path,
    block: int,
    suite: Path = SUITE,
    known: Path | None = None,
) -> dict[str, Any]:
    """Runs the gate of a tree, keeps its trainings, and returns its answer."""
    shutil.rmtree(kept, ignore_errors=True)
    words = ["gate", suite, "--baseline", known or baseline_path(folder), "--block", block]
    answer = call_program(tree, [*words, "--results", kept, "--json"], kept.parent / "cache")
    kept.mkdir(exist_ok=True)
    (kept / "verdict.json").write_text(answer, encoding="utf-8")
    verdict: dict[str, Any] = json.loads(answer)
    return verdict


def check(folder: Path, only: list[str]) -> None:
    """Compares the methods of each faulty tree with their closed forms, and times that."""
    for fault in choose_faults((*QUALITY, *PERFORMANCE), only):
        place = folder / fault.folder_name
        if not check_path(place, fault).exists():
            place.mkdir(parents=True, exist_ok=True)
            tree = fault.plant(place / "checked")
            began = time.perf_counter()
            words = ["check", suite_of(fault), "--json"]
            report = json.loads(call_program(tree, words, place / "cache"))
            report["seconds"] = time.perf_counter() - began
            check_path(place, fault).write_text(json.dumps(report), encoding="utf-8")
            print(f"{fault.name}: {', '.join(named_methods(report)) or 'missed'}", flush=True)


def suite_of(fault: Fault) -> str:
    """Returns the suite that has the part: the gate's, or another shipped one."""
    return fault.suite if isinstance(fault, QualityFault) else "gate"


def call_program(tree: Path, words: Iterable[object], cache_folder: Path) -> str:
    """Returns the output of the program of a tree. It may fail, but not without an answer."""
    environment = os.environ | {"PYTHONPATH": str(tree), "GANBENCH_CACHE": str(cache_folder)}
    program = "import sys; sys.argv[0] = 'ganbench'; from ganbench.cli import main; main()"
    command = [sys.executable, "-c", program, *map(str, words)]
    if "check" not in command:
        command += ["--device", "cpu"]
    ran = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
    if not ran.stdout:
        raise RuntimeError(ran.stderr[-2000:])
    return ran.stdout


def tables(folder: Path) -> None:
    """Writes all tables and the page."""
    values = trials_table(folder)
    has_new = len(values) > len(pd.read_csv(PUBLISHED / "trials.csv"))
    alarms = (
        pd.DataFrame([alarms_row(values)]) if has_new else pd.read_csv(PUBLISHED / "alarms.csv")
    )
    made = {
        "trials": values,
        "live": live_table(folder),
        "alarms": alarms,
        "faults": with_published(faults_table(folder), "faults", QUALITY),
        "rounds": rounds_table(folder),
        "slow": slow_table(folder),
        "power": power_table(folder),
    }
    for name, table in made.items():
        table.to_csv(PUBLISHED / f"{name}.csv", index=False, float_format="%.6g")
    published = {name: pd.read_csv(PUBLISHED / f"{name}.csv") for name in made}
    (PUBLISHED / "README.md").write_text(render_page(published), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    stages = {f.__name__: f for f in (baseline, live, rounds, power, busy, tables)}
    stages_of_faults = {f.__name__: f for f in (faults, sizes, check, slow)}
    parser.add_argument("stage", choices=[*stages, *stages_of_faults])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", default=[], help="Parts of the names of faults.")
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    folder = chosen.folder.absolute()
    if chosen.stage in stages:
        stages[chosen.stage](folder)
    else:
        stages_of_faults[chosen.stage](folder, chosen.only)


if __name__ == "__main__":
    main()
