"""Detected faults and false alarms of the gates: the tables of results/published/gate.

    .venv/bin/python studies/gates.py live FOLDER      ten quality gates of unchanged code
    .venv/bin/python studies/gates.py faults FOLDER    one of each fault in the code
    .venv/bin/python studies/gates.py rounds FOLDER    ten performance gates of unchanged code
    .venv/bin/python studies/gates.py slow FOLDER      one of each slowdown
    .venv/bin/python studies/gates.py tables FOLDER    resamples what was recorded, and writes the tables

Everything but the tables runs for real, some minutes a gate.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ganbench.analysis.rates import wilson_interval
from ganbench.analysis.rows import collect_rows
from ganbench.ci.quality.baseline import Baseline, read_baseline_file
from ganbench.ci.quality.hypothesis_tests import ALL_CELLS, CellTrainings, run_tests
from ganbench.ci.quality.power import detectable_powers, detection_probability
from ganbench.ci.quality.training_runs import floors_of_frame, trainings_of_frame
from ganbench.ci.quality.verdict import GateVerdict, MeasuredSide, decide_gate_verdict
from ganbench.experiments.store import Store
from ganbench.experiments.suite import GateConfig
from ganbench.experiments.suite_loader import load_suite
from ganbench.files import read_json

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT / "results" / "published" / "gate"
SUITE, BASELINE = ROOT / "suites" / "gate.toml", ROOT / "suites" / "gate.baseline.json"
RESAMPLED, SEED = 5000, 0  # gates drawn from the recorded trainings
STEPS = ("step[dcgan", "step[gan(", "step[wgan_gp", "step[stylegan2(", "extract", "peak_memory")
SOME = tuple(word for step in STEPS for word in ("--only", step))
GATES, SEEDS = 10, 8  # of unchanged code; seeds of each
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
        "ganbench/gan/tricks/label_smoothing.py",
        "fake_target=self.fake)",
        "fake_target=1 - self.real)",
        "label_smoothing",
    ),
    Fault(
        "spectral norm off by one layer",
        "ganbench/gan/tricks/spectral_norm.py",
        "for module in list(network.modules()):",
        "first = next(m for m in network.modules() if isinstance(m, kinds))\n"
        "        for module in [m for m in network.modules() if m is not first]:",
        "spectral_norm",
    ),
    Fault(
        "EMA that does not update",
        "ganbench/gan/tricks/ema.py",
        "mean.lerp_(parameter, 1 - self.effective_decay())",
        "mean.lerp_(parameter, 0.0)",
        "ema(decay=0.95)",
    ),
    Fault(
        "learning rate halved",
        "ganbench/training/trainer.py",
        'group["lr"] = getattr(',
        'group["lr"] = 0.5 * getattr(',
    ),
    Fault(
        "learning rate doubled",
        "ganbench/training/trainer.py",
        'group["lr"] = getattr(',
        'group["lr"] = 2 * getattr(',
    ),
    Fault(
        "features normalized wrongly",
        "ganbench/evaluation/extractors/classifier.py",
        "self.network[:-1](to_unit_range(x))",
        "self.network[:-1]((to_unit_range(x) + 1) / 2)",
        measures=True,
    ),
    Fault(
        "a metric loses 1 % of the samples",
        "ganbench/evaluation/metrics/frechet.py",
        "computed = compute_moments(sample.features)",
        "computed = compute_moments(sample.features[: int(0.99 * len(sample))])",
        measures=True,
    ),
)


PERFORMANCE = (
    *(
        Fault(
            f"training loop slowed by {percent} %",
            "ganbench/training/trainer.py",
            "    def train_step(self) -> None:\n",
            "    def train_step(self) -> None:\n"
            "        began = time.perf_counter()\n"
            "        self.one_step()\n"
            f"        end = time.perf_counter() + {percent / 100} * (time.perf_counter() - began)\n"
            "        while time.perf_counter() < end:\n"
            "            pass\n\n"
            "    def one_step(self) -> None:\n",
        )
        for percent in (10, 20)
    ),
    Fault(
        "memory up 20 %",
        "ganbench/training/trainer.py",
        "self.step, self.turn, self.spent = 0, 0, Spent()",
        "self.step, self.turn, self.spent = 0, 0, Spent()\n"
        "        from ganbench.devices import peak_memory\n"
        '        self.ballast = torch.ones(peak_memory(torch.device("cpu")) // 20)',
    ),
)


def live(folder: Path) -> None:
    """Gates of the code as it is, each with a block of seeds of its own."""
    for block in range(GATES):
        if not (folder / f"live{block}" / "verdict.json").exists():
            told = gated(ROOT, folder / f"live{block}", block)
            print(block, told["verdict"], f"{told['seconds']:.0f} s", flush=True)


def rounds(folder: Path) -> None:
    """Performance gates of the code against a copy of itself."""
    copied(folder / "base"), copied(folder / "head")
    for number in range(GATES):
        if not (folder / f"round{number}.json").exists():
            timed(
                folder / "base",
                folder / "head",
                folder / f"round{number}.json",
                *SOME,
                "--blocks",
                "3",
            )


def slow(folder: Path) -> None:
    """A performance gate of each slowdown."""
    copied(folder / "base")
    for fault in PERFORMANCE:
        with_fault(fault, folder / fault.place)
        timed(folder / "base", folder / fault.place, folder / f"{fault.place}.json", *SOME)


def timed(base: Path, head: Path, out: Path, *options: str) -> None:
    """A performance gate of two trees, every window kept."""
    words = ["perf", "--base", base, "--head", head, "--out", out, "--json", *options]
    told = json.loads(call(ROOT, words, out.parent / f"{out.stem}_cache"))
    print(out.stem, told["code"], *told["said"][:1], flush=True)


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
    copied(tree)
    path = tree / fault.path
    text = path.read_text()
    assert text.count(fault.old) == 1, f"{fault.path} has changed: plant {fault.name} anew"
    path.write_text(text.replace(fault.old, fault.new))


def copied(tree: Path) -> None:
    shutil.rmtree(tree, ignore_errors=True)
    for name in ("ganbench", "suites"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))


# What was recorded


def trials(folder: Path) -> pd.DataFrame:
    """Every value of every unchanged training of the live gates, and of the baseline."""
    found = [*recorded(read_baseline_file(BASELINE).trainings_by_cell(), "baseline")]
    for place in gates_in(folder):
        found += recorded(trainings_of_frame(frame_of(place)), place.name)
    return pd.DataFrame(found, columns=["source", "cell", "metric", "value"])


def gates_in(folder: Path) -> list[Path]:
    """The live gates that ended."""
    return sorted(path.parent for path in folder.glob("live*/verdict.json"))


def frame_of(place: Path) -> pd.DataFrame:
    return collect_rows(read_json(place / "gate" / "plan.json"), Store(place))


def judged(place: Path) -> GateVerdict:
    """The verdict of a gate that was kept, by its trainings and floors."""
    frame, terms = frame_of(place), gate_of_suite()
    side = MeasuredSide(trainings_of_frame(frame), floors_of_frame(frame))
    return decide_gate_verdict(
        read_baseline_file(BASELINE), side, terms.margins, terms.false_alarms, SEEDS
    )


def gate_of_suite() -> GateConfig:
    found = load_suite(SUITE).gate
    assert found
    return found


def live_table(folder: Path) -> pd.DataFrame:
    """A row a gate of unchanged code."""
    return pd.DataFrame([gate_row(place) for place in gates_in(folder)])


def gate_row(place: Path) -> dict[str, Any]:
    """What a kept gate said: while it ran, and by its trainings."""
    told, found = json.loads((place / "verdict.json").read_text()), judged(place)
    sung = [heard["verdict"] for heard in told["canary"]]
    return {
        "gate": place.name if place.name != "gate" else place.parent.name,
        "verdict": found.headline,
        "smallest_p": min(q.p for q in found.questions),
        "worse": "; ".join(f"{q.cell or 'all cells'}: {q.metric}" for q in found.worsened_tests),
        "floors_moved": "; ".join(map(str, found.moved)),
        "canaries_identical": f"{sung.count('identical')} of {len(sung)}",
        "seconds": told["seconds"],
    }


def faults_table(folder: Path) -> pd.DataFrame:
    """A row a fault: what the gate said, and with which probability it was expected to."""
    found = []
    for fault in QUALITY:
        place = folder / fault.place
        row = gate_row(place / "gate") | {"gate": fault.name}
        sizes = {q.cell: q.said for q in judged(place / "gate").questions if q.metric == "fid"}
        cell = next((c for c in sizes if fault.trick and fault.trick in c), ALL_CELLS)
        found.append({**row, "predicted": predicted(fault, place), "fid": sizes[cell]})
    return pd.DataFrame(found)


def predicted(fault: Fault, place: Path) -> float:
    """The chance of the likeliest question to prove what other seeds say the fault does.

    What changes the measuring moves a floor, which is no matter of chance.
    """
    if fault.measures:
        return 1.0
    terms, known = gate_of_suite(), read_baseline_file(BASELINE)
    here = trainings_of_frame(frame_of(place / "elsewhere"))
    before = {cell: known.trainings_by_cell()[cell] for cell in here}
    asked = run_tests(before, here, known.metric_scales(), terms.margins, terms.false_alarms)
    seen = detectable_powers(
        known.trainings_by_cell(), SEEDS, known.metric_scales(), terms.margins, terms.false_alarms
    )
    worse = {(q.cell, q.metric): q.worse for q in asked}
    level = terms.false_alarms / (len(seen) + 1)
    return max(
        detection_probability(
            worse[p.cell, p.metric], p.spread, terms.reference, SEEDS, p.margin, level
        )
        for p in seen
        if (p.cell, p.metric) in worse
    )


def recorded(cells: dict[str, CellTrainings], source: str) -> Iterator[tuple[str, str, str, float]]:
    for cell, trainings in cells.items():
        assert not trainings.failed  # then there would be rows without a value
        for metric, values in trainings.values.items():
            yield from ((source, cell, metric, value) for value in values)


def alarms(recorded: pd.DataFrame, gates: int = RESAMPLED) -> dict[str, Any]:
    """How often a gate of unchanged code fails, by dealing the recorded seeds to both sides anew."""
    known, terms, rng = read_baseline_file(BASELINE), gate_of_suite(), np.random.default_rng(SEED)
    pools = {
        cell: part.pivot_table(
            index=part.groupby("metric").cumcount(), columns="metric", values="value"
        )
        for cell, part in recorded.groupby("cell")
    }
    count = min(map(len, pools.values()))
    found = sum(is_alarm(pools, rng.permutation(count), known, terms) for _ in range(gates))
    low, high = wilson_interval(found, gates)
    return {
        "seeds": count,
        "gates": gates,
        "alarms": found,
        "rate": found / gates,
        "low": low,
        "high": high,
    }


def is_alarm(
    pools: dict[str, pd.DataFrame], order: np.ndarray, known: Baseline, terms: GateConfig
) -> bool:
    """Does a gate fail that has these seeds?"""
    ends = (order[: terms.reference], order[terms.reference : terms.reference + SEEDS])
    before, after = ({c: drawn(pool, chosen) for c, pool in pools.items()} for chosen in ends)
    asked = run_tests(before, after, known.metric_scales(), terms.margins, terms.false_alarms)
    return any(q.verdict == "worse" for q in asked)


def drawn(pool: pd.DataFrame, chosen: np.ndarray) -> CellTrainings:
    values = {metric: pool[metric].to_numpy()[chosen].tolist() for metric in pool.columns}
    return CellTrainings(len(chosen), 0, values)


def performance_table(paths: Iterable[Path]) -> pd.DataFrame:
    """A row a performance gate."""
    found = []
    for path in paths:
        told = json.loads(path.read_text())
        verdicts = Counter(c["verdict"] for c in told["comparisons"])
        slower = [c["benchmark"] for c in told["comparisons"] if c["verdict"] == "regressed"]
        found.append(
            {
                "gate": path.stem,
                "code": told["code"],
                "benchmarks": len(told["comparisons"]),
                **{v: verdicts[v] for v in ("regressed", "undecided", "improved", "unchanged")},
                "predicted_10": told["power"]["0.1"],
                "predicted_20": told["power"]["0.2"],
                "first_regressed": "; ".join(slower[:3]),
            }
        )
    return pd.DataFrame(found)


def page(made: dict[str, pd.DataFrame]) -> str:
    """Renders the README from the tables."""
    drawn, rounds = made["alarms"].iloc[0], made["rounds"]
    live_alarms, slow_alarms = (
        (made["live"]["verdict"] == "regressed").sum(),
        (rounds["code"] == 1).sum(),
    )
    seconds = made["live"]["seconds"]
    resampled = f"{drawn['alarms']:.0f}: {drawn['rate']:.2%}, at most {drawn['high']:.2%}"
    return f"""# Detected faults and false alarms of the gates

`studies/gates.py` wrote this page, on two cores shared with other work. A quality gate is `ganbench gate gate`:
five cells with eight seeds, against 24 other seeds. It took {seconds.min():.0f} to {seconds.max():.0f} s.
The verdicts are those of the committed code on the stored trainings.

## Without a change

| | gates | false alarms |
|:---|---:|---:|
| quality, live, each with its own seeds | {len(made["live"])} | {live_alarms} |
| quality, resampled from {drawn["seeds"]:.0f} seeds of each cell | {drawn["gates"]:.0f} | {resampled} |
| performance, live, two copies of the same source tree | {len(rounds)} | {slow_alarms} |

{markdown(made["live"].drop(columns=["worse", "floors_moved"]))}

{markdown(rounds.drop(columns=["first_regressed"]))}

`predicted_10` and `predicted_20` are the probabilities that such a round detects a slowdown of a single
benchmark by 10 % and 20 %. They hold for the median benchmark with the noise of the round.

## With a fault

Each fault changes one or two lines in a copy of the sources; `studies/gates.py` defines them. For the
quality gate, *predicted* is the power of the most powerful test against the effect of the fault, estimated
from eight other seeds. A fault in the evaluation shifts a floor, which is detected with certainty. *fid* is
the change of FID in the cell with the fault, or in all cells together.

{markdown(faults_page(made["faults"]))}

The missed faults do little or no harm in such short trainings. Their canaries differ: `--exact`, for
changes that must not change any number, rejects them.

{markdown(slow_page(made["slow"]))}

Rounds 0 and 1 have more benchmarks than the others. Quality gates ran at the same time, so most times stay
undecided. Three of these timings were reported as improved: no second round checks this, and it fails no gate.
Counts and memory are exact, and were unchanged in all ten rounds.
"""


def faults_page(found: pd.DataFrame) -> pd.DataFrame:
    caught = found["verdict"].eq("regressed").map({True: "**caught**", False: "missed"})
    by = [
        floors or worse for floors, worse in found[["floors_moved", "worse"]].fillna("").to_numpy()
    ]
    columns = {"fault": found["gate"], "quality gate": caught, "fid": found["fid"], "by": by}
    p, chance = found["smallest_p"].map("{:.2g}".format), found["predicted"].map("{:.0%}".format)
    other = found["canaries_identical"]
    return pd.DataFrame(
        {**columns, "smallest p": p, "predicted": chance, "canaries identical": other}
    )


def slow_page(found: pd.DataFrame) -> pd.DataFrame:
    caught = found["code"].eq(1).map({True: "**caught**", False: "missed"})
    names = found["gate"].str.replace("_", " ").str.replace("percent", "%")
    columns = {
        "fault": names,
        "performance gate": caught,
        "by": found["first_regressed"].fillna(""),
    }
    counts = {name: found[name] for name in ("regressed", "undecided", "benchmarks")}
    chances = {f"predicted, {p} %": found[f"predicted_{p}"].map("{:.0%}".format) for p in (10, 20)}
    return pd.DataFrame({**columns, **counts, **chances})


def markdown(frame: pd.DataFrame) -> str:
    return str(frame.to_markdown(index=False, disable_numparse=False, floatfmt=".3g"))


def tables(folder: Path) -> None:
    PUBLISHED.mkdir(parents=True, exist_ok=True)
    known = trials(folder)
    made = {
        "trials": known,
        "live": live_table(folder),
        "alarms": pd.DataFrame([alarms(known)]),
        "faults": faults_table(folder),
        "rounds": performance_table(sorted(folder.glob("round*.json"))),
        "slow": performance_table(folder / f"{fault.place}.json" for fault in PERFORMANCE),
    }
    for name, table in made.items():
        table.to_csv(PUBLISHED / f"{name}.csv", index=False, float_format="%.6g")
    (PUBLISHED / "README.md").write_text(page(made), encoding="utf-8")


def main() -> None:
    asked = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    steps = {f.__name__: f for f in (live, faults, rounds, slow, tables)}
    asked.add_argument("what", choices=list(steps))
    asked.add_argument("folder", type=Path)
    given = asked.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    steps[given.what](given.folder.absolute())


if __name__ == "__main__":
    main()
