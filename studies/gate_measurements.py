"""What the study of gates measured: its files, and the verdicts of kept trainings."""

from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from gate_faults import (
    ROOT,
    Fault,
)

from ganbench.analysis.rows import collect_rows
from ganbench.ci.quality.baseline import Baseline, read_baseline_file
from ganbench.ci.quality.hypothesis_tests import ALL_CELLS
from ganbench.ci.quality.training_runs import floors_of_frame, trainings_of_frame
from ganbench.ci.quality.verdict import GateVerdict, MeasuredSide, decide_gate_verdict
from ganbench.experiments.store import Store
from ganbench.experiments.suite import GateConfig
from ganbench.experiments.suite_loader import load_suite
from ganbench.files import read_json

PUBLISHED = ROOT / "results" / "published" / "gate"
SUITE = ROOT / "suites" / "gate.toml"
SEEDS = 8  # of a quality gate
ELSEWHERE, ELSEWHERE_SEEDS = 500, 3  # seeds that estimate a fault's size before its gate runs
BUSY_PROCESSES = 4


def baseline_path(folder: Path) -> Path:
    return folder / "baseline.json"


def gate_path(place: Path, fault: Fault) -> Path:
    return place / f"gate_{fault.key}.json"


def size_path(place: Path, fault: Fault) -> Path:
    return place / f"size_{fault.key}"


def check_path(place: Path, fault: Fault) -> Path:
    return place / f"check_{fault.key}.json"


def named_methods(report: dict[str, Any]) -> list[str]:
    """Returns the methods that a check names, each once."""
    return list(dict.fromkeys(fault["method"] for fault in report["faults"]))


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
