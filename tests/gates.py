"""What the gates catch and how rarely they cry wolf: the tables of results/published/gate.

    .venv/bin/python tests/gates.py live FOLDER --blocks 0-9     gates of unchanged code, kept in FOLDER
    .venv/bin/python tests/gates.py faults FOLDER                gates of code with a fault planted
    .venv/bin/python tests/gates.py tables FOLDER                resamples what was recorded, and writes

Everything but the tables trains for real: about three minutes a gate on two quiet cores.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ganbench.analysis.rates import wilson
from ganbench.analysis.rows import rows
from ganbench.gate.baseline import Baseline, read
from ganbench.gate.questions import Scale, Trainings, questions
from ganbench.gate.trained import by_cell
from ganbench.store import Store, read_json
from ganbench.suite import load_suite

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT / "results" / "published" / "gate"
SUITE, BASELINE = ROOT / "suites" / "gate.toml", ROOT / "suites" / "gate.baseline.json"
RESAMPLED, SEED = 5000, 0  # gates drawn from the recorded trainings
ELSEWHERE = 500  # seeds from here on tell a fault's size before its gate runs


@dataclass(frozen=True)
class Fault:
    """A change of one file that nobody should be able to merge."""

    name: str
    path: str
    old: str
    new: str
    trick: str = ""  # of the only cell that it touches
    measures: bool = False  # does it change the measuring, and no training?

    @property
    def place(self) -> str:
        return self.name.replace(" ", "_").replace("%", "percent")


QUALITY = (
    Fault(
        "label smoothing applied to fakes",
        "ganbench/tricks/label_smoothing.py",
        "fake_target=self.fake)",
        "fake_target=1 - self.real)",
        "label_smoothing",
    ),
    Fault(
        "spectral norm off by one layer",
        "ganbench/tricks/spectral_norm.py",
        "for module in list(network.modules()):",
        "first = next(m for m in network.modules() if isinstance(m, kinds))\n"
        "        for module in [m for m in network.modules() if m is not first]:",
        "spectral_norm",
    ),
    Fault(
        "EMA that does not update",
        "ganbench/tricks/ema.py",
        "mean.lerp_(parameter, 1 - self.kept())",
        "mean.lerp_(parameter, 0.0)",
        "ema(decay=0.95)",
    ),
    Fault(
        "learning rate halved",
        "ganbench/train.py",
        'group["lr"] = getattr(',
        'group["lr"] = 0.5 * getattr(',
    ),
    Fault(
        "learning rate doubled",
        "ganbench/train.py",
        'group["lr"] = getattr(',
        'group["lr"] = 2 * getattr(',
    ),
    Fault(
        "features normalized wrongly",
        "ganbench/extractors/classifier.py",
        "self.network[:-1](in_unit_range(x))",
        "self.network[:-1]((in_unit_range(x) + 1) / 2)",
        measures=True,
    ),
    Fault(
        "a metric loses 1 % of the samples",
        "ganbench/metrics/frechet.py",
        "found = moments_of(sample.features)",
        "found = moments_of(sample.features[: int(0.99 * len(sample))])",
        measures=True,
    ),
)


def live(folder: Path, blocks: range) -> None:
    """Gates of the code as it is, each with a block of seeds of its own."""
    for block in blocks:
        told = gated(ROOT, folder / f"live{block}", block)
        print(block, told["verdict"], f"{told['seconds']:.0f} s", flush=True)


def gated(tree: Path, kept: Path, block: int) -> dict[str, Any]:
    """What the gate of a tree says; its trainings are kept."""
    shutil.rmtree(kept, ignore_errors=True)
    words = ["gate", SUITE, "--baseline", BASELINE, "--block", block, "--results", kept, "--json"]
    told = call(tree, words, kept.parent / f"{kept.name}_cache")
    (kept / "verdict.json").write_text(told)
    found: dict[str, Any] = json.loads(told)
    return found


def call(tree: Path, words: list[object], cache: Path) -> str:
    """What the program of a tree says; it may fail, but not without an answer."""
    environment = os.environ | {"PYTHONPATH": str(tree), "GANBENCH_CACHE": str(cache)}
    program = "import sys; sys.argv[0] = 'ganbench'; from ganbench.cli import main; main()"
    command = [sys.executable, "-c", program, *map(str, words), "--device", "cpu"]
    found = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
    if not found.stdout:
        raise RuntimeError(found.stderr[-2000:])
    return found.stdout


def faults(folder: Path) -> None:
    """A gate of each fault, and its size by other seeds, for the power that is predicted."""
    for fault in QUALITY:
        place = folder / fault.place
        with_fault(fault, place / "tree")
        if not fault.measures:
            words = ["run", elsewhere(fault, place), "--results", place / "elsewhere"]
            call(place / "tree", words, place / "cache")
        told = gated(place / "tree", place / "gate", 0)
        print(f"{fault.name}: {told['verdict']}, {told['seconds']:.0f} s", flush=True)


def elsewhere(fault: Fault, place: Path) -> Path:
    """The gate's suite with seeds that no gate has, and only the cells that the fault touches."""
    content = tomllib.loads(SUITE.read_text())
    seeds = [ELSEWHERE + seed for seed in range(content["seeds"])]
    text = SUITE.read_text().replace(f"seeds = {content['seeds']}", f"seeds = {seeds}")
    if fault.trick:
        head, _, tail = text.partition("[grid.tricks]")
        text = f'{head}[grid.tricks]\nchains = [["{fault.trick}"]]\n[budget.cpu]{tail.partition("[budget.cpu]")[2]}'
    path = place / "gate.toml"
    path.write_text(text)
    return path


def with_fault(fault: Fault, tree: Path) -> None:
    """A copy of the sources with the fault in it."""
    shutil.rmtree(tree, ignore_errors=True)
    for name in ("ganbench", "suites"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    path = tree / fault.path
    text = path.read_text()
    assert text.count(fault.old) == 1, f"{fault.path} has changed: plant {fault.name} anew"
    path.write_text(text.replace(fault.old, fault.new))


# What was recorded


def trials(folder: Path) -> pd.DataFrame:
    """Every value of every unchanged training of the live gates, and of the baseline."""
    known = read(BASELINE)
    found = [*recorded(known.trainings(), "baseline")]
    for place in sorted(folder.glob("live*")):
        found += recorded(by_cell(frame_of(place)), place.name)
    return pd.DataFrame(found, columns=["source", "cell", "metric", "value"])


def frame_of(place: Path) -> pd.DataFrame:
    return rows(read_json(place / "gate" / "plan.json"), Store(place))


def recorded(cells: dict[str, Trainings], source: str) -> Iterator[tuple[str, str, str, float]]:
    for cell, trainings in cells.items():
        assert not trainings.failed  # then there would be rows without a value
        for metric, values in trainings.values.items():
            yield from ((source, cell, metric, value) for value in values)


def alarms(recorded: pd.DataFrame, baseline: Baseline, gates: int = RESAMPLED) -> dict[str, Any]:
    """How often a gate of unchanged code fails, by dealing the recorded seeds to both sides anew."""
    suite, rng = load_suite(SUITE), np.random.default_rng(SEED)
    assert suite.gate
    before, after = suite.gate.reference, len(suite.seeds_of("cpu"))
    pools = {
        cell: part.pivot_table(
            index=part.groupby("metric").cumcount(), columns="metric", values="value"
        )
        for cell, part in recorded.groupby("cell")
    }
    count = min(map(len, pools.values()))
    found = [
        is_alarm(pools, rng.permutation(count), before, after, baseline.scales(), suite.gate)
        for _ in range(gates)
    ]
    low, high = wilson(sum(found), gates)
    return {
        "seeds": count,
        "gates": gates,
        "alarms": sum(found),
        "rate": sum(found) / gates,
        "low": low,
        "high": high,
    }


def is_alarm(
    pools: dict[str, pd.DataFrame],
    order: np.ndarray,
    before: int,
    after: int,
    scales: dict[str, Scale],
    terms: Any,
) -> bool:
    """Does a gate fail that has these seeds?"""
    sides = [
        {c: drawn(pool, chosen) for c, pool in pools.items()}
        for chosen in (order[:before], order[before : before + after])
    ]
    asked = questions(sides[0], sides[1], scales, terms.margins, terms.false_alarms)
    return any(q.verdict == "worse" for q in asked)


def drawn(pool: pd.DataFrame, chosen: np.ndarray) -> Trainings:
    values = {metric: pool[metric].to_numpy()[chosen].tolist() for metric in pool.columns}
    return Trainings(len(chosen), 0, values)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("what", choices=["live", "faults", "tables"])
    asked.add_argument("folder", type=Path)
    asked.add_argument("--blocks", default="0-9")
    given = asked.parse_args()
    first, _, last = given.blocks.partition("-")
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.what == "live":
        live(given.folder, range(int(first), int(last or first) + 1))
    elif given.what == "faults":
        faults(given.folder)


if __name__ == "__main__":
    main()
