"""The tables of the study of gates, a row for each gate, fault or benchmark."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from gate_faults import (
    PERFORMANCE,
    QUALITY,
    ROOT,
    Fault,
    PerformanceFault,
    QualityFault,
)
from gate_measurements import (
    PUBLISHED,
    SEEDS,
    baseline_path,
    check_path,
    count_other_canaries,
    describe_tests,
    frame_of,
    gate_path,
    gate_terms,
    named_methods,
    read_baseline,
    short_cell,
    size_path,
    statistical_verdict,
)

from ganbench.analysis.rates import wilson_interval
from ganbench.analysis.verdicts import ComparisonVerdict
from ganbench.ci.quality.hypothesis_tests import ALL_CELLS, CellTrainings, run_tests
from ganbench.ci.quality.power import detectable_powers, detection_probability
from ganbench.ci.quality.training_runs import trainings_of_frame
from ganbench.ci.quality.verdict import GateVerdict
from ganbench.files import read_json

RESAMPLED, RESAMPLING_SEED = 5000, 0  # gates drawn from the recorded trainings
COUNTED_VERDICTS = (  # of benchmarks; identical counts are also equivalent
    ComparisonVerdict.WORSE,
    ComparisonVerdict.UNDECIDED,
    ComparisonVerdict.BETTER,
    ComparisonVerdict.EQUIVALENT,
)


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


def with_published(made: pd.DataFrame, name: str, faults: Iterable[Fault]) -> pd.DataFrame:
    """Returns the rows that were made here, and the published ones of other faults, in order.

    A published row of a fault that has changed since is left out.
    """
    published = pd.read_csv(PUBLISHED / f"{name}.csv")
    rows = pd.concat([published, made]).drop_duplicates("fault", keep="last")
    rows = rows.set_index("key", drop=False)
    return rows.loc[[fault.key for fault in faults if fault.key in rows.index]]
