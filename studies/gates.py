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
import math
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from gate_faults import (
    PERFORMANCE,
    QUALITY,
    ROOT,
    SLOWDOWNS,
    Fault,
    PerformanceFault,
    QualityFault,
    copy_sources,
)

from ganbench.analysis.rates import wilson_interval
from ganbench.analysis.rows import collect_rows
from ganbench.analysis.verdicts import ComparisonVerdict
from ganbench.ci.quality.baseline import Baseline, read_baseline_file
from ganbench.ci.quality.hypothesis_tests import ALL_CELLS, CellTrainings, run_tests
from ganbench.ci.quality.power import detectable_powers, detection_probability
from ganbench.ci.quality.training_runs import floors_of_frame, trainings_of_frame
from ganbench.ci.quality.verdict import GateVerdict, MeasuredSide, decide_gate_verdict
from ganbench.experiments.store import Store
from ganbench.experiments.suite import GateConfig
from ganbench.experiments.suite_loader import load_suite
from ganbench.files import read_json

PUBLISHED = ROOT / "results" / "published" / "gate"
SUITE = ROOT / "suites" / "gate.toml"
RESAMPLED, RESAMPLING_SEED = 5000, 0  # gates drawn from the recorded trainings
COUNTED_VERDICTS = (  # of benchmarks; identical counts are also equivalent
    ComparisonVerdict.WORSE,
    ComparisonVerdict.UNDECIDED,
    ComparisonVerdict.BETTER,
    ComparisonVerdict.EQUIVALENT,
)
ROUNDS, SEEDS = 10, 8  # live gates of unchanged code; seeds of a quality gate
PERF_ROUNDS = 3  # performance gates of unchanged code
FIRST_LIVE_BLOCK = 10  # blocks of seeds below it have the published gates
ELSEWHERE, ELSEWHERE_SEEDS = 500, 3  # seeds that estimate a fault's size before its gate runs
STEPS = ("step[",)  # a training step of every variant
BUSY_PROCESSES = 4
F = TypeVar("F", bound=Fault)


# Stages


def baseline(folder: Path) -> None:
    """Makes the baseline on this machine, because canaries are compared on one machine only."""
    if not baseline_path(folder).exists():
        words = ["baseline", "make", SUITE, "--baseline", baseline_path(folder)]
        words += ["--reason", "the study of gates", "--results", folder / "baseline_store"]
        call_program(ROOT, words, folder / "cache")


def baseline_path(folder: Path) -> Path:
    return folder / "baseline.json"


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


def gate_path(place: Path, fault: Fault) -> Path:
    return place / f"gate_{fault.key}.json"


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


def size_path(place: Path, fault: Fault) -> Path:
    return place / f"size_{fault.key}"


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


def check_path(place: Path, fault: Fault) -> Path:
    return place / f"check_{fault.key}.json"


def suite_of(fault: Fault) -> str:
    """Returns the suite that has the part: the gate's, or another shipped one."""
    return fault.suite if isinstance(fault, QualityFault) else "gate"


def named_methods(report: dict[str, Any]) -> list[str]:
    """Returns the methods that a check names, each once."""
    return list(dict.fromkeys(fault["method"] for fault in report["faults"]))


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


# Verdicts of kept trainings


def frame_of(store: Path) -> pd.DataFrame:
    return collect_rows(read_json(store / "gate" / "plan.json"), Store(store))


@cache
def gate_terms() -> GateConfig:
    terms = load_suite(SUITE).gate
    assert terms
    return terms


@cache
def read_baseline(path: Path) -> Baseline:
    return read_baseline_file(path)


def statistical_verdict(baseline_file: Path, stores: list[Path]) -> GateVerdict:
    """Returns the verdict by trainings and floors alone, without checks.

    The cells of later stores replace those of earlier ones.
    """
    frames, terms = [frame_of(store) for store in stores], gate_terms()
    trainings = {c: t for frame in frames for c, t in trainings_of_frame(frame).items()}
    side = MeasuredSide(trainings, floors_of_frame(frames[-1]))
    known = read_baseline(baseline_file)
    return decide_gate_verdict(known, side, terms.margins, terms.false_alarms, SEEDS)


def describe_tests(verdict: GateVerdict) -> str:
    return "; ".join(f"{short_cell(q.cell)}: {q.metric}" for q in verdict.worsened_tests)


def short_cell(cell: str) -> str:
    """Returns the tricks of a gate's cell, or its variant, or `all cells`."""
    if cell == ALL_CELLS:
        return "all cells"
    _, variant, *_, tricks, _ = cell.split(" / ")
    return variant if tricks == "none" else tricks


def count_other_canaries(answer: dict[str, Any]) -> str:
    verdicts = [canary["verdict"] for canary in answer["canary"]]
    return f"{len(verdicts) - verdicts.count('identical')} of {len(verdicts)}"


# Tables


def live_table(folder: Path) -> pd.DataFrame:
    """Returns a row for each gate of unchanged code: the published ones, then those here."""
    rows = [live_row(folder, place) for place in ended_gates(folder)]
    return pd.concat([pd.read_csv(PUBLISHED / "live.csv"), pd.DataFrame(rows)]).drop_duplicates(
        "gate", keep="last"
    )


def ended_gates(folder: Path) -> list[Path]:
    paths = (path.parent for path in folder.glob("live*/verdict.json"))
    return sorted(paths, key=lambda path: int(path.name.removeprefix("live")))


def live_row(folder: Path, place: Path) -> dict[str, Any]:
    answer, verdict = (
        read_json(place / "verdict.json"),
        statistical_verdict(baseline_path(folder), [place]),
    )
    verdicts = [canary["verdict"] for canary in answer["canary"]]
    return {
        "gate": place.name,
        "verdict": answer["verdict"],
        "smallest_p": min(test.p for test in verdict.tests),
        "worse": describe_tests(verdict),
        "floors_moved": "; ".join(map(str, verdict.moved)),
        "canaries_identical": f"{verdicts.count('identical')} of {len(verdicts)}",
        "seconds": answer["seconds"],
    }


def trials_table(folder: Path) -> pd.DataFrame:
    """Returns every value of every unchanged training, the published ones and those here."""
    rows: list[tuple[str, str, str, float]] = []
    for place in ended_gates(folder):
        rows += training_values(trainings_of_frame(frame_of(place)), place.name)
    known = pd.read_csv(PUBLISHED / "trials.csv")
    new = pd.DataFrame(rows, columns=list(known.columns))
    return pd.concat([known[~known["source"].isin(new["source"])], new], ignore_index=True)


def training_values(
    cells: dict[str, CellTrainings], source: str
) -> Iterator[tuple[str, str, str, float]]:
    for cell, trainings in cells.items():
        assert not trainings.failed  # a failed training would have no row
        for metric, values in trainings.values.items():
            yield from ((source, cell, metric, float(value)) for value in values if value)


def alarms_row(values: pd.DataFrame, gates: int = RESAMPLED) -> dict[str, Any]:
    """Returns how often a gate of unchanged code fails, by other divisions of the seeds."""
    rng = np.random.default_rng(RESAMPLING_SEED)
    pools = {
        cell: part.pivot_table(
            index=part.groupby("metric").cumcount(), columns="metric", values="value"
        )
        for cell, part in values.groupby("cell")
    }
    count = min(map(len, pools.values()))
    alarms = sum(is_alarm(pools, rng.permutation(count)) for _ in range(gates))
    low, high = wilson_interval(alarms, gates)
    rates = {"rate": alarms / gates, "low": low, "high": high}
    return {"seeds": count, "gates": gates, "alarms": alarms, **rates}


def is_alarm(pools: dict[str, pd.DataFrame], order: np.ndarray) -> bool:
    """Returns whether a gate with these seeds fails."""
    terms = gate_terms()
    ends = (order[: terms.reference], order[terms.reference : terms.reference + SEEDS])
    before, after = ({c: pick_trainings(pool, rows) for c, pool in pools.items()} for rows in ends)
    scales = read_baseline(ROOT / "suites" / "gate.baseline.json").metric_scales()
    tests = run_tests(before, after, scales, terms.margins, terms.false_alarms)
    return any(test.verdict is ComparisonVerdict.WORSE for test in tests)


def pick_trainings(pool: pd.DataFrame, rows: np.ndarray) -> CellTrainings:
    values = {metric: pool[metric].to_numpy()[rows].tolist() for metric in pool.columns}
    return CellTrainings(len(rows), 0, values)


def faults_table(folder: Path) -> pd.DataFrame:
    """Returns a row for each quality fault whose check ended."""
    ended = [f for f in QUALITY if check_path(folder / f.folder_name, f).exists()]
    return pd.DataFrame([fault_row(folder, fault) for fault in ended])


def fault_row(folder: Path, fault: QualityFault) -> dict[str, Any]:
    """Returns what the check, the gate's tests and the canaries found of a fault."""
    place = folder / fault.folder_name
    report = read_json(check_path(place, fault))
    row = {
        "fault": fault.name,
        "key": fault.key,
        "sentence": fault.sentence,
        "suite": fault.suite,
        "named": "; ".join(named_methods(report)),
        "crashed": "; ".join(report["errors"]),
        "check_seconds": report["seconds"],
    }
    if fault.cells and not gate_path(place, fault).exists():
        return {**row, "gate": "not run"}
    return {**row, **gate_facts(folder, fault)}


def gate_facts(folder: Path, fault: QualityFault) -> dict[str, Any]:
    """Returns what the trainings, floors and canaries of a gate show of a fault."""
    verdict = verdict_of_fault(folder, fault)
    facts = {
        "worse": describe_tests(verdict),
        "floors_moved": "; ".join(map(str, verdict.moved)),
        "smallest_p": min(test.p for test in verdict.tests),
        "predicted": predict_power(folder, fault),
    }
    proven = bool(verdict.worsened_tests or verdict.moved)
    if not fault.cells:
        return {"gate": "outside", **facts}
    answer = read_json(gate_path(folder / fault.folder_name, fault))
    return {
        "gate": "caught" if proven else "missed",
        **facts,
        "fid": change_of_fid(verdict, fault),
        "trainings": SEEDS * len(fault.cells),
        "canaries_differ": count_other_canaries(answer),
        "gate_seconds": answer["seconds"],
    }


def verdict_of_fault(folder: Path, fault: QualityFault) -> GateVerdict:
    """Returns the statistical verdict of a fault.

    Cells that it does not change have the trainings of unchanged code. A fault of the measuring
    changes all cells, so that only those that were tried are compared.
    """
    place, stores = folder / fault.folder_name, [folder / "unchanged"]
    if fault.measures and fault.cells:
        return statistical_verdict(place / "gate.baseline.json", [place / "gate"])
    return statistical_verdict(
        baseline_path(folder), [*stores, place / "gate"] if fault.cells else stores
    )


def change_of_fid(verdict: GateVerdict, fault: QualityFault) -> str:
    """Returns the change of FID in the only cell with the fault, or in all cells together."""
    changes = {short_cell(q.cell): q.change for q in verdict.tests if q.metric == "fid"}
    (cell,) = fault.cells if len(fault.cells) == 1 else ("all cells",)
    return changes[cell]


def predict_power(folder: Path, fault: QualityFault) -> float:
    """Returns the probability that the gate's likeliest test proves what other seeds show.

    NaN without other seeds, as for a fault of the measuring: it moves a floor, or it does not.
    """
    if not fault.cells:
        return 0.0
    if fault.measures or not size_path(folder / fault.folder_name, fault).exists():
        return math.nan
    terms, known = gate_terms(), read_baseline(baseline_path(folder))
    here = trainings_of_frame(frame_of(folder / fault.folder_name / "elsewhere"))
    recorded, scales = known.trainings_by_cell(), known.metric_scales()
    before = {cell: recorded[cell] for cell in here}
    tests = run_tests(before, here, scales, terms.margins, terms.false_alarms)
    worse = {(test.cell, test.metric): test.worse for test in tests}
    powers = detectable_powers(recorded, SEEDS, scales, terms.margins, terms.false_alarms)
    level = terms.false_alarms / (len(powers) + 1)
    return max(
        detection_probability(
            worse[p.cell, p.metric], p.spread, terms.reference, SEEDS, p.margin, level
        )
        for p in powers
        if (p.cell, p.metric) in worse and (p.cell != ALL_CELLS or len(here) == len(recorded))
    )


def rounds_table(folder: Path) -> pd.DataFrame:
    """Returns a row for each performance gate of unchanged code: the published ones, or those here."""
    paths = sorted(folder.glob("round*.json"))
    if not paths:
        return pd.read_csv(PUBLISHED / "rounds.csv")
    answers = {path.stem: read_json(path) for path in paths}
    rows = [{"gate": g, **perf_row(a), "seconds": a["wall"]} for g, a in answers.items()]
    return pd.DataFrame(rows)


def slow_table(folder: Path) -> pd.DataFrame:
    """Returns a row for each fault in speed or memory: its gate here, or else the published row."""
    paths = {fault: folder / fault.folder_name / f"perf_{fault.key}.json" for fault in PERFORMANCE}
    made = [slow_row(folder, fault, read_json(p)) for fault, p in paths.items() if p.exists()]
    return with_published(pd.DataFrame(made), "slow", PERFORMANCE)


def power_table(folder: Path) -> pd.DataFrame:
    """Returns a row for each gate of a slowdown: what it found, and what its noise predicts."""
    paths = sorted(folder.glob("power_*_*.json"))
    if not paths:
        return pd.read_csv(PUBLISHED / "power.csv")
    rows = [
        power_row(path.stem.split("_")[1], int(path.stem.split("_")[2]), read_json(path))
        for path in paths
    ]
    return pd.DataFrame(rows).sort_values(["machine", "slowdown"], ascending=[False, True])


def power_row(machine: str, percent: int, answer: dict[str, Any]) -> dict[str, Any]:
    timed = [c for c in answer["comparisons"] if not c["exact"] and c["ratio"] is not None]
    verdicts, chances = Counter(ComparisonVerdict(c["verdict"]) for c in timed), answer["power"]
    return {
        "machine": machine,
        "slowdown": percent,
        "benchmarks": len(timed),
        **{str(word): verdicts[word] for word in COUNTED_VERDICTS},
        "median_ratio": float(np.median([c["ratio"] for c in timed])),
        **{f"predicted_{p}": chances[f"{p / 100:g}"] for p in (5, 10, 20)},
        "waiting": answer["waiting"],
        "pairs": answer["pairs"],
        "seconds": answer["wall"],
    }


def slow_row(folder: Path, fault: PerformanceFault, answer: dict[str, Any]) -> dict[str, Any]:
    checked = check_path(folder / fault.folder_name, fault)
    report = read_json(checked) if checked.exists() else {}
    power = math.nan if fault.size is None else answer["power"][f"{fault.size:g}"]
    facts = {"fault": fault.name, "key": fault.key, "sentence": fault.sentence, "predicted": power}
    named = "; ".join(named_methods(report)) if report else math.nan
    return {**facts, "named": named, **perf_row(answer), "seconds": answer["wall"]}


def perf_row(answer: dict[str, Any]) -> dict[str, Any]:
    """Returns the verdicts of a performance gate, and its first slower benchmarks."""
    verdicts = Counter(ComparisonVerdict(c["verdict"]) for c in answer["comparisons"])
    verdicts[ComparisonVerdict.EQUIVALENT] += verdicts[ComparisonVerdict.IDENTICAL]
    slower = [
        c["benchmark"]
        for c in answer["comparisons"]
        if ComparisonVerdict(c["verdict"]) is ComparisonVerdict.WORSE
    ]
    return {
        "code": answer["code"],
        "benchmarks": len(answer["comparisons"]),
        **{str(word): verdicts[word] for word in COUNTED_VERDICTS},
        **{f"predicted_{p}": answer["power"].get(f"{p / 100:g}", math.nan) for p in (5, 10, 20)},
        "first_worse": "; ".join(slower[:3]),
    }


# The page


def render_page(tables: dict[str, pd.DataFrame]) -> str:
    """Renders the README from the tables."""
    alarms, rounds_made, live_made = tables["alarms"].iloc[0], tables["rounds"], tables["live"]
    seconds, faults_made = live_made["seconds"], tables["faults"]
    live_alarms = live_made["verdict"].eq("regressed").sum()
    slow_alarms = rounds_made["code"].eq(1).sum()
    resampled = f"{alarms['alarms']:.0f}: {alarms['rate']:.2%}, at most {alarms['high']:.2%}"
    return f"""# Detected faults and false alarms of the gates

`studies/gates.py` wrote this page, on two cores. A quality gate is `ganbench gate gate`: five cells with eight
seeds, against 24 other seeds. Without a fault it took {describe_seconds(seconds)}, the longer times beside other
work. A performance gate is `ganbench perf`. Without a fault and without other work it took
{describe_seconds(rounds_made["seconds"])}. The verdicts are those of the committed code on the stored trainings.

## Without a change

| | gates | false alarms |
|:---|---:|---:|
| quality, live, each with its own seeds | {len(live_made)} | {live_alarms} |
| quality, resampled from {alarms["seeds"]:.0f} seeds of each cell | {alarms["gates"]:.0f} | {resampled} |
| performance, live, two copies of the same source tree | {len(rounds_made)} | {slow_alarms} |

{render_table(live_made.drop(columns=["worse", "floors_moved"]))}

{render_table(rounds_made.drop(columns=["first_worse"]))}

`predicted_5`, `predicted_10` and `predicted_20` are the probabilities that such a gate detects a slowdown of a
single benchmark by 5, 10 and 20 %. They hold for the median benchmark with the noise of the gate.

## The probability of detecting a slowdown

Each gate compared the code with a copy whose training steps work idly for a share of their CPU time, at the
default margin of 10 %. The steps of all variants are slower, so the share of *worse* benchmarks is the probability for
one of them. *busy* means beside {BUSY_PROCESSES} processes that multiply matrices, on two cores. `waiting` is
the median share of the windows' time in which other processes had the core.

{render_table(tables["power"])}

## With a fault in a method or in the measuring

Each fault changes a few lines in a copy of the sources; `studies/gate_faults.py` defines them.

{summarize_faults(faults_made)}

{render_table(faults_page(faults_made))}

- *check* is `ganbench check` on the suite gate, or on the suite in brackets if no cell of the gate has the part. It
  took {describe_seconds(faults_made["check_seconds"])}. The table has the names that it printed. Some checks, such as
  those of epochs, levels, features and splits, were written for faults of this list. So the share that is named says
  little on other faults.
- *gate* is the verdict by trainings and floors alone, without the check that the gate also runs. Only cells with the
  fault were trained, by `ganbench gate` on this part of the suite and of a baseline from the same machine. The others
  are those of unchanged code. A fault of the measuring changes all cells, and one of them was tried.
  A part took {describe_seconds(faults_made["gate_seconds"])} beside other work.
- *predicted* is the power of the most powerful test against the effect of the fault, estimated from
  {ELSEWHERE_SEEDS} other seeds, where such trainings ran. A fault of the measuring has none: it moves a floor, or it
  does not. *not run* is a gate that this run of the study had no time for.
- *FID* is its change in the cell with the fault, or in all cells together.
- *canaries* are the cells with other digits, which `--exact` rejects, of those with the fault.

{explain_missed(faults_made)}

| fault | change |
|:---|:---|
{list_sentences(faults_made)}

## With a fault in speed or memory

{render_table(slow_page(tables["slow"]))}

*predicted* is the probability to detect a slowdown of this size in one benchmark, with the noise of the round.
Counts of operators and bytes are exact and need no such probability. No other work ran beside these gates.
`ganbench check` of the same faults named {describe_names(tables["slow"])}.

| fault | change |
|:---|:---|
{list_sentences(tables["slow"])}
"""


def describe_names(found: pd.DataFrame) -> str:
    return ", ".join(filter(None, texts(found["named"]))) or "nothing, since they change no method"


def texts(column: pd.Series) -> list[str]:
    """Returns a column as texts, empty ones for missing values."""
    return ["" if pd.isna(value) else str(value) for value in column]


def render_table(frame: pd.DataFrame) -> str:
    return str(frame.to_markdown(index=False, disable_numparse=False, floatfmt=".3g"))


def describe_seconds(seconds: pd.Series) -> str:
    return f"{seconds.min():.0f} to {seconds.max():.0f} s"


def list_sentences(frame: pd.DataFrame) -> str:
    pairs = frame[["fault", "sentence"]].to_numpy()
    return "\n".join(f"| {fault} | {sentence} |" for fault, sentence in pairs)


def is_named(found: pd.DataFrame) -> pd.Series:
    return found["named"].notna()


def has_other_canaries(found: pd.DataFrame) -> pd.Series:
    return found["canaries_differ"].notna() & ~found["canaries_differ"].str.startswith(
        "0 ", na=True
    )


def summarize_faults(found: pd.DataFrame) -> str:
    """Returns how many faults each kind of question finds."""
    tried = found[found["gate"].isin(["caught", "missed"])]
    proven, exact = found["gate"].eq("caught"), has_other_canaries(found)
    missed = ~(is_named(found) | proven | exact)
    rest = ", ".join(found["fault"][missed]) or "none"
    return (
        f"`ganbench check` names {is_named(found).sum()} of {len(found)} faults. Trainings and floors prove\n"
        f"{proven.sum()} of the {len(tried)} that the gate tried, and canaries differ for {exact.sum()}.\n"
        f"Without any sign: {rest}."
    )


def faults_page(found: pd.DataFrame) -> pd.DataFrame:
    pairs = zip(texts(found["named"]), found["suite"], strict=True)
    checks = [
        (f"**{name}**" if name else "missed") + ("" if suite == "gate" else f" [{suite}]")
        for name, suite in pairs
    ]
    columns = {"fault": found["fault"], "check": checks}
    columns["gate"] = [describe_gate(row) for row in found.to_dict("records")]
    columns["predicted"] = format_chances(found["predicted"])
    for name, source in (("FID", "fid"), ("canaries", "canaries_differ")):
        columns[name] = texts(found[source])
    return pd.DataFrame(columns)


def describe_gate(row: dict[str, Any]) -> str:
    """Returns the verdict by trainings and floors, with the metrics that prove a change."""
    if row["gate"] != "caught":
        return {"outside": "no cell"}.get(row["gate"], row["gate"])
    floors = [] if pd.isna(row["floors_moved"]) else str(row["floors_moved"]).split("; ")
    tests = [] if pd.isna(row["worse"]) else str(row["worse"]).split("; ")
    moved = [f"floor of {floor.partition(' ')[0]}" for floor in floors]
    return (
        f"**caught**: {', '.join([*moved, *dict.fromkeys(t.rpartition(': ')[2] for t in tests)])}"
    )


def format_chances(chances: pd.Series) -> list[str]:
    return ["" if np.isnan(chance) else f"{chance:.0%}" for chance in chances]


def explain_missed(found: pd.DataFrame) -> str:
    """Returns why the gate's trainings and floors miss faults, by what was measured."""
    margin = 1 + gate_terms().margins["fid"]
    reasons = []
    for row in found[found["gate"].isin(["missed", "outside"])].to_dict("records"):
        p = f"the smallest adjusted p is {row['smallest_p']:.2g}"
        small = f"FID changes by {row['fid']} against a margin of × {margin:.2f}, and {p}"
        why = "no cell has the part" if row["gate"] == "outside" else small
        seen = [f"the check names {row['named']}"] if not pd.isna(row["named"]) else []
        if not str(row["canaries_differ"]).startswith(("0 ", "nan")):
            seen.append(f"digits differ in {row['canaries_differ']} canaries")
        reasons.append(f"- {row['fault']}: {why}; {' and '.join(seen) or 'nothing else sees it'}.")
    return "\n".join(["The gate's trainings and floors do not show:", "", *reasons])


def slow_page(found: pd.DataFrame) -> pd.DataFrame:
    columns = {
        "fault": found["fault"],
        "performance gate": found["code"].eq(1).map({True: "**caught**", False: "missed"}),
        "by": texts(found["first_worse"]),
        "predicted": format_chances(found["predicted"]),
    }
    counts = {name: found[name] for name in ("worse", "undecided", "benchmarks")}
    return pd.DataFrame({**columns, **counts, "seconds": found["seconds"].round()})


def with_published(made: pd.DataFrame, name: str, faults: Iterable[Fault]) -> pd.DataFrame:
    """Returns the rows that were made here, and the published ones of other faults, in order.

    A published row of a fault that has changed since is left out.
    """
    published = pd.read_csv(PUBLISHED / f"{name}.csv")
    rows = pd.concat([published, made]).drop_duplicates("fault", keep="last")
    rows = rows.set_index("key", drop=False)
    return rows.loc[[fault.key for fault in faults if fault.key in rows.index]]


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
