"""Published trials trained again: are their numbers the same to the bit?

    .venv/bin/python studies/retrain.py bench tricks     writes results/published/retrained

Of each suite ten trials are drawn, the same ones in each run of this study; finished ones are kept.
`ganbench run SUITE --only TRIAL` trains them in a store of their own, and every measured value is compared with
the published row. Equality to the bit is promised for one kind of machine and one version of torch. On others
the table shows the difference, relative to the published value.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import ganbench
from ganbench.analysis.intervals import t_interval

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT / "results" / "published"
FOLDER = PUBLISHED / "retrained"
TRIALS = 10  # of each suite
KEYS = ["trial", "checkpoint", "metric"]
MEASURED = ["value", "standard_error"]


@dataclass(frozen=True)
class Retrained:
    """A trial that was trained again: its values, and those equal to the bit."""

    suite: str
    trial: str
    values: int
    equal: int
    largest: float  # the largest relative difference of a value


def quality_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns the measured values of trials by trial, checkpoint and metric; no times or memory."""
    rows = frame[frame["role"].eq("trial") & frame["kind"].eq("quality")]
    return rows.set_index(KEYS)[MEASURED].astype(float).sort_index()


def folder_of_rows(suite: str) -> Path:
    """Returns the folder of the rows to compare: those of a suite's second run, if it has one."""
    second = PUBLISHED / "second_runs" / suite
    return second if second.is_dir() else PUBLISHED / suite


def draw_trials(suite: str, count: int = TRIALS) -> list[str]:
    """Draws finished trials of a published suite, each time the same ones."""
    frame = ganbench.load(folder_of_rows(suite))
    done = frame[frame["role"].eq("trial") & frame["outcome"].eq("done")]["trial"]
    names = sorted(done.unique())
    return random.Random(suite).sample(names, min(count, len(names)))


def train_again(suite: str, trial: str, place: Path) -> pd.DataFrame:
    """Trains a trial in a store of its own; returns its rows."""
    command = ["run", suite, "--only", trial, "--results", str(place), "--device", "cpu"]
    plan = ganbench.load(folder_of_rows(suite)).attrs["plan"]
    command += ["--seeds", str(len(plan["seeds"]))] if "adaptive" in plan else []
    subprocess.run([sys.executable, "-m", "ganbench", *command], cwd=ROOT, check=True)
    return quality_rows(ganbench.load(place / suite)).loc[[trial]]


def compare_rows(suite: str, trial: str, again: pd.DataFrame, published: pd.DataFrame) -> Retrained:
    """Compares the values of a trial with the published ones; both have the same metrics."""
    expected = published.loc[[trial]]
    found = again.reindex(expected.index)
    both_missing = expected.isna() & found.isna()
    equal = (expected == found) | both_missing
    scale = expected["value"].abs().clip(lower=np.finfo(float).tiny)
    off = ((found["value"] - expected["value"]).abs() / scale).where(~equal["value"], 0.0)
    largest = float(off.max()) if off.notna().all() else float("inf")
    return Retrained(suite, trial, equal.size, int(equal.to_numpy().sum()), largest)


def retrain_suite(suite: str, count: int, done: list[Retrained]) -> None:
    """Trains the drawn trials of a suite that are not done yet, and saves each result."""
    published = quality_rows(ganbench.load(folder_of_rows(suite)))
    finished = {r.trial for r in done if r.suite == suite}  # another suite may have the trial too
    for trial in draw_trials(suite, count):
        if trial in finished:
            continue
        with tempfile.TemporaryDirectory() as place:
            try:
                again = train_again(suite, trial, Path(place))
            except subprocess.CalledProcessError as error:
                print(f"{suite} {trial} was not trained: {error}", file=sys.stderr)
                continue
        done.append(compare_rows(suite, trial, again, published))
        write_results(done)


def read_results() -> list[Retrained]:
    path = FOLDER / "retrained.json"
    if not path.exists():
        return []
    return [Retrained(**each) for each in json.loads(path.read_text("utf-8"))]


def write_results(results: list[Retrained]) -> None:
    """Writes the results and the page."""
    FOLDER.mkdir(exist_ok=True)
    records = json.dumps([asdict(result) for result in results], indent=1)
    (FOLDER / "retrained.json").write_text(records + "\n", "utf-8")
    (FOLDER / "README.md").write_text(render_page(results), "utf-8")


def summarize(results: list[Retrained]) -> pd.DataFrame:
    """Returns a row per suite."""
    table = pd.DataFrame([asdict(result) for result in results])
    table["same"] = table["values"] == table["equal"]
    groups = table.groupby("suite", sort=False)
    columns = {
        "trials": groups.size(),
        "equal to the bit": groups["same"].sum(),
        "values": groups["values"].sum(),
        "equal values": groups["equal"].sum(),
        "largest difference": groups["largest"].max().map("{:.1e}".format),
    }
    return pd.DataFrame(columns).reset_index()


PAGE = """# Published trials, trained again

`python studies/retrain.py SUITE ...` wrote this page, for {suites}. It draws up to {trials} finished trials of
each suite, trains them again from the suite file, and compares every measured value and standard error with the
published row.

{table}

This machine: torch {torch}, instructions {instructions}. The promise is equality on one kind of machine: the same
instructions and the same torch. *largest difference* is relative to the published value.

## Another processor

The first runs of `hundred_seeds`, `kurach`, `lucic`, `modes` and `r3gan_ablation`, and a third of the rows
of `transfer` at 8x8 and 16x16, come from another machine with the same torch. Training again here does not
repeat them, although two trainings here have equal bits. Of the five suites, the table has the
[second runs](../second_runs/README.md), from this kind of machine.

{shared} trials are in both `{first}` and `{second}`, so both machines trained them: {equal} have an equal
FID. FID of the second suite is {ratio} times
that of the first on average (geometric mean, 95 % t interval). The trials are of one network, so each of its {seeds}
seeds counts once. The interval excludes 1, so a small shift of the mean is shown. The logarithm of the ratio of a
trial has a standard deviation of {spread:.2f}; over the seeds of `hundred_seeds`, that of FID is 0.22. Another
processor changes a training by less than another seed does. Of 17 means in the
[second runs](../second_runs/README.md), one is shifted. Compare arms on one kind of machine.
"""


def last_fid(suite: str) -> "pd.Series[float]":
    """Returns the FID of each finished trial of a published suite, by trial and seed."""
    rows = ganbench.load(PUBLISHED / suite)
    rows = rows[rows["role"].eq("trial") & rows["checkpoint"].eq("last") & rows["metric"].eq("fid")]
    return rows.set_index(["trial", "seed"])["value"].dropna().astype(float)


def compare_machines(first: str, second: str) -> dict[str, object]:
    """Compares the FID of trials of one network that two suites share and two machines trained."""
    sides = [last_fid(suite) for suite in (first, second)]
    shared = sides[0].index.intersection(sides[1].index)
    before, after = (side[shared] for side in sides)
    changes = np.log(after / before)
    by_seed = np.exp(changes.groupby("seed").mean())
    mean = t_interval(by_seed.tolist(), "log")
    return {
        "first": first,
        "second": second,
        "shared": len(shared),
        "equal": int((before == after).sum()) or "none",
        "seeds": len(by_seed),
        "ratio": f"{mean.mean:.3g} [{mean.low:.4g}, {mean.high:.4g}]",
        "spread": float(changes.std()),
    }


def render_page(results: list[Retrained]) -> str:
    return PAGE.format(
        **compare_machines("tricks", "hundred_seeds"),
        suites=", ".join(dict.fromkeys(result.suite for result in results)),
        trials=TRIALS,
        table=summarize(results).to_markdown(index=False),
        torch=torch.__version__,
        instructions=torch.backends.cpu.get_cpu_capability(),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("suites", nargs="+")
    parser.add_argument("--trials", type=int, default=TRIALS)
    options = parser.parse_args()
    done = read_results()
    for suite in options.suites:
        retrain_suite(suite, options.trials, done)


if __name__ == "__main__":
    main()
