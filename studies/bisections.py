"""Right and wrong answers of `ganbench bisect`: the tables of results/published/bisect.

    .venv/bin/python studies/bisections.py simulate FOLDER    1,000 histories of noisy values, and 200 without a fault
    .venv/bin/python studies/bisections.py live FOLDER        22 git histories with a planted fault
    .venv/bin/python studies/bisections.py tables FOLDER      writes the tables from both

Live searches run the program itself, in histories of copies of the sources. They take some minutes.
Searches without results keep their published rows.
"""

import argparse
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from ganbench.analysis.metric_scale import MetricScale
from ganbench.analysis.rates import wilson_interval
from ganbench.ci.bisect.commits import Commit
from ganbench.ci.bisect.exact import ExactTest
from ganbench.ci.bisect.journal import Journal, Numbers
from ganbench.ci.bisect.search import Bisection, BisectRules
from ganbench.ci.performance.revisions import RevisionSide

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT / "results" / "published" / "bisect"
RECORDED = ROOT / "results" / "published" / "gate" / "trials.csv"  # trainings of unchanged code
HISTORIES, WITHOUT_FAULT = 1000, 200
MAX_COMMITS, BUDGET, ERROR = 64, 400, 0.05
EFFECTS = (1.0, 1.5, 2.0, 3.0, 5.0, 10.0)  # in standard deviations of the noise
Noise = Callable[[np.random.Generator], float]  # of mean 0 and standard deviation 1


# Simulated histories


def normal_noise(rng: np.random.Generator) -> float:
    return float(rng.standard_normal())


def heavy_noise(rng: np.random.Generator) -> float:
    """Student's t of three degrees of freedom."""
    return float(rng.standard_t(3)) / math.sqrt(3)


def time_noise(rng: np.random.Generator) -> float:
    """A delay on top of the fastest run, which is four times as long in one of ten runs."""
    scale = 4.0 if rng.random() < 0.1 else 1.0
    mean, deviation = 1.3, math.sqrt(2 * (0.9 + 0.1 * 16) - 1.3**2)
    return (float(rng.exponential(scale)) - mean) / deviation


def seed_noise() -> Noise:
    """Returns a draw from recorded trainings: log FID around the mean of its cell."""
    recorded = pd.read_csv(RECORDED)
    fid = recorded[recorded["metric"] == "fid"]
    logs = np.log(fid["value"])
    cells = logs.groupby(fid["cell"])
    residuals = ((logs - cells.transform("mean")) / cells.transform("std")).to_numpy()
    residuals = residuals / residuals.std()
    return lambda rng: float(rng.choice(residuals))


@dataclass
class SimulatedMeasurer:
    """Values of a history whose culprit moves the mean."""

    rng: np.random.Generator
    noise: Noise
    culprit: int
    effect: float
    title: str = "simulated"
    has_exact: bool = False

    @property
    def scale(self) -> MetricScale:
        return MetricScale("lower", "none")

    def exact(self, side: RevisionSide) -> Numbers:
        return {}

    def exact_test(self, good: Numbers, bad: Numbers, any_digit: bool) -> ExactTest | None:
        return None

    def value(self, side: RevisionSide, number: int) -> float:
        return self.noise(self.rng) + self.effect * (int(side.name) >= self.culprit)


def simulate(folder: Path) -> None:
    """Searches in simulated histories, with and without a fault."""
    noises = {
        "normal": normal_noise,
        "heavy tails": heavy_noise,
        "times": time_noise,
        "seeds": seed_noise(),
    }
    kinds = list(noises)
    rows = []
    for number in range(HISTORIES + WITHOUT_FAULT):
        kind = kinds[number % len(kinds)]
        has_fault = number < HISTORIES
        rows.append({"history": number, "noise": kind, **search(number, noises[kind], has_fault)})
    pd.DataFrame(rows).to_csv(folder / "simulated.csv", index=False, float_format="%.6g")


def search(number: int, noise: Noise, has_fault: bool) -> dict[str, Any]:
    """Searches in one history of a random length, and repeats plainly for comparison."""
    rng = np.random.default_rng(number)
    commits = int(rng.integers(2, MAX_COMMITS + 1))
    culprit = int(rng.integers(1, commits + 1))
    effect = EFFECTS[int(rng.integers(len(EFFECTS)))] if has_fault else 0.0
    measurer = SimulatedMeasurer(rng, noise, culprit, effect)
    journal = Journal(None, {})
    rules = BisectRules(ERROR, BUDGET)
    result = Bisection(simulated_commits(commits), measurer, journal, rules, open_nothing).run()
    plain = plain_search(measurer, commits) if has_fault else (0, 0)
    return {
        "commits": commits,
        "effect": effect,
        "verdict": result.verdict,
        "probability": result.probability,
        "is_right": result.verdict == "found" and result.first == culprit,
        "holds_culprit": result.first <= culprit <= result.last,
        "measurements": len(journal.records),
        "plain_is_right": plain[0] == culprit,
        "plain_measurements": plain[1],
    }


def simulated_commits(count: int) -> list[Commit]:
    return [Commit(str(number), (), "", "", "") for number in range(count + 1)]


def open_nothing(commit: str) -> RevisionSide:
    return RevisionSide(commit, Path())


def plain_search(measurer: SimulatedMeasurer, commits: int) -> tuple[int, int]:
    """Bisects with equally many values of each commit; returns the answer and their number.

    A commit is bad if its mean is above the middle of both ends' means. The number of values bounds the
    chance of any wrong decision by the error, for normal noise. It needs the effect, which no user knows.
    """
    decisions = max(1, math.ceil(math.log2(commits)))
    quantile = stats.norm.isf(ERROR / decisions)
    repeats = math.ceil(1.5 * (2 * quantile / measurer.effect) ** 2)

    def mean_of(place: int) -> float:
        return float(np.mean([measurer.value(open_nothing(str(place)), 0) for _ in range(repeats)]))

    edge = (mean_of(0) + mean_of(commits)) / 2
    low, high, used = 0, commits, 2 * repeats
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if mean_of(middle) < edge else (low, middle)
        used += repeats
    return high, used


# Live histories


@dataclass(frozen=True)
class PlantedFault:
    """A change of one file, and the measure that shows it."""

    name: str
    path: str
    old: str
    new: str
    measure: tuple[str, ...]  # options of the program


def canary(cell: str, metric: str = "fid") -> tuple[str, ...]:
    return ("--suite", "tiny.toml", "--metric", metric, "--cell", cell)


def count(benchmark: str) -> tuple[str, ...]:
    return ("--benchmark", benchmark)


TRAINER, METRICS = "ganbench/training/trainer.py", "ganbench/evaluation/metrics"
CLASSIFIER = "ganbench/evaluation/extractors/classifier.py"
EVALUATOR = "ganbench/evaluation/evaluator.py"
TRICKS = "ganbench/gan/tricks"
FAULTS = (
    PlantedFault(
        "label smoothing applied to fakes",
        f"{TRICKS}/label_smoothing.py",
        "fake_target=self.fake)",
        "fake_target=1 - self.real)",
        canary("label_smoothing"),
    ),
    PlantedFault(
        "spectral norm off by one layer",
        f"{TRICKS}/spectral_norm.py",
        "for module in list(network.modules()):",
        "first = next(m for m in network.modules() if isinstance(m, kinds))\n"
        "        for module in [m for m in network.modules() if m is not first]:",
        canary("spectral_norm"),
    ),
    PlantedFault(
        "EMA that does not update",
        f"{TRICKS}/ema.py",
        "mean.lerp_(parameter, self.share if self.ramp else 1 - self.decay)",
        "mean.lerp_(parameter, 0.0)",
        canary("ema"),
    ),
    PlantedFault(
        "learning rate halved",
        TRAINER,
        'group["lr"] = self.learning_rate(side)',
        'group["lr"] = 0.5 * self.learning_rate(side)',
        canary("dcgan none"),
    ),
    PlantedFault(
        "learning rate doubled",
        TRAINER,
        'group["lr"] = self.learning_rate(side)',
        'group["lr"] = 2 * self.learning_rate(side)',
        canary("least_squares none"),
    ),
    PlantedFault(
        "features normalized wrongly",
        CLASSIFIER,
        "self.network[:-1](to_unit_range(x))",
        "self.network[:-1]((to_unit_range(x) + 1) / 2)",
        canary("least_squares none"),
    ),
    PlantedFault(
        "a metric loses 1 % of the samples",
        f"{METRICS}/frechet.py",
        "computed = compute_moments(sample.features)",
        "computed = compute_moments(sample.features[: int(0.99 * len(sample))])",
        canary("least_squares none"),
    ),
    PlantedFault(
        "gradient penalty at the reals",
        f"{TRICKS}/gradient_penalty.py",
        "pair.real.lerp(pair.fake, mix)",
        "pair.real.lerp(pair.fake, 0 * mix)",
        canary("wgan_gp"),
    ),
    PlantedFault(
        "Adam's usual betas in every variant",
        TRAINER,
        'getattr(hyperparameters, f"{side}_betas")',
        "(0.9, 0.999)",
        canary("dcgan none"),
    ),
    PlantedFault(
        "features in float16",
        CLASSIFIER,
        "self.network[:-1](to_unit_range(x))",
        "self.network[:-1](to_unit_range(x)).half().float()",
        (*canary("least_squares none"), "--evidence", "exact"),
    ),
    PlantedFault(
        "coverage with one neighbour too many",
        f"{METRICS}/coverage.py",
        "knn_radii(tile.pairs.y, self.k)",
        "knn_radii(tile.pairs.y, self.k + 1)",
        canary("least_squares none", "coverage"),
    ),
    PlantedFault(
        "feature matching to half the mean",
        f"{TRICKS}/feature_matching.py",
        "- pair.real_features.mean(0).detach()",
        "- 0.5 * pair.real_features.mean(0).detach()",
        canary("feature_matching"),
    ),
    PlantedFault(
        "a wrong target of the generator",
        "ganbench/gan/losses/least_squares.py",
        "(fake - 1).square()",
        "(fake - 0.9).square()",
        canary("least_squares none"),
    ),
    PlantedFault(
        "latents shared between turns",
        TRAINER,
        "context = self.make_context(turn)",
        "context = self.make_context(0)",
        canary("dcgan none"),
    ),
    PlantedFault(
        "the wrong split as reference",
        EVALUATOR,
        'self.cached_features(self.split.train, self.reference_count, "train")',
        'self.cached_features(self.split.held_out, self.reference_count, "train")',
        canary("least_squares none"),
    ),
    PlantedFault(
        "generator loss computed twice",
        TRAINER,
        "terms = list(self.generator_terms(pairs))",
        "terms = [list(self.generator_terms(pairs)) for _ in range(2)][0]",
        count("step[dcgan]"),
    ),
    PlantedFault(
        "weights copied in each step",
        TRAINER,
        "self.trick.transform_gradients(side, self.sides[side])",
        "self.before = [p.detach().clone() for p in self.sides[side]]\n"
        "        self.trick.transform_gradients(side, self.sides[side])",
        count("step[dcgan]"),
    ),
    PlantedFault(
        "optimizer no longer fused",
        TRAINER,
        'fused = all(p.device.type in ("cpu", "cuda") for p in parameters)',
        "fused = False",
        count("step[gan]"),
    ),
    PlantedFault(
        "a memory leak in each step",
        TRAINER,
        "self.logs.append(log)",
        "self.logs.append(log)\n"
        '        self.__dict__.setdefault("kept", []).append(torch.zeros(100_000))',
        count("live[step gan]"),
    ),
    PlantedFault(
        "gradients zeroed instead of dropped",
        TRAINER,
        "optimizer.zero_grad(set_to_none=True)",
        "optimizer.zero_grad(set_to_none=False)",
        count("operators[step dcgan]"),
    ),
    PlantedFault(
        "a loop of Python in each step",
        TRAINER,
        "optimizer.zero_grad(set_to_none=True)",
        "optimizer.zero_grad(set_to_none=True)\n        sum(range(30_000))",
        count("step[dcgan]"),
    ),
    PlantedFault(
        "a table computed at each import",
        "ganbench/__init__.py",
        "install_renamed_modules()\n\n",
        "install_renamed_modules()\nSQUARES = [n * n for n in range(200_000)]\n\n",
        count("import"),
    ),
)
TINY = """\
schema = 1
name = "tiny"
data = ["digits"]
metrics = ["fid", "coverage"]
seeds = 3
points = 1
[[grid]]
variants = ["dcgan(width=8)"]
losses = ["non_saturating"]
plan = { lr = 1e-3, batch = 32 }
[grid.tricks]
chains = [[], ["label_smoothing"], ["spectral_norm"], ["ema(decay=0.95)"]]
[[grid]]
variants = ["gan(width=32)"]
losses = ["least_squares"]
plan = { lr = 1e-3, batch = 32 }
[grid.tricks]
chains = [[], ["feature_matching"]]
[[grid]]
variants = ["wgan_gp(width=8)"]
plan = { lr = 1e-3, batch = 32 }
[budget.cpu]
images = 2_000
[analysis]
outcome = "fid"
"""
MIN_HISTORY, MAX_HISTORY = 6, 16  # commits after the good one


def live(folder: Path) -> None:
    """Searches in one history per fault; goes on where it stopped."""
    for number, fault in enumerate(FAULTS):
        answer = folder / f"live{number:02}.json"
        if answer.exists():
            continue
        place = folder / f"history{number:02}"
        culprit, commits = plant_history(fault, place, random.Random(number))
        began = time.monotonic()
        told = run_bisect(place, fault)
        told |= {"planted": culprit, "commits": commits, "wall": time.monotonic() - began}
        answer.write_text(json.dumps({"fault": fault.name, **told}))
        is_right = (told["culprit"] or {}).get("hash") == culprit
        print(
            f"{fault.name}: {told['verdict']}, right: {is_right}, {told['wall']:.0f} s", flush=True
        )
        shutil.rmtree(place, ignore_errors=True)


def run_bisect(place: Path, fault: PlantedFault) -> dict[str, Any]:
    """Runs the program of this version in a history."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    program = "import sys; sys.argv[0] = 'ganbench'; from ganbench.cli import main; main()"
    words = ["bisect", "--good", "first", *fault.measure, "--json", "--device", "cpu"]
    command = [sys.executable, "-c", program, *words]
    ran = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
    if not ran.stdout:
        raise RuntimeError(ran.stderr[-2000:])
    answer: dict[str, Any] = json.loads(ran.stdout)
    return answer


def plant_history(fault: PlantedFault, place: Path, rng: random.Random) -> tuple[str, int]:
    """Makes a history with harmless commits and a faulty one; returns its hash and the length."""
    shutil.rmtree(place, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "ganbench", place / "ganbench", ignore=ignored)
    call_git(place, "init", "--quiet", "--initial-branch=main")
    commit_all(place, "Begin")
    call_git(place, "tag", "first")
    commits = rng.randint(MIN_HISTORY, MAX_HISTORY)
    culprit, planted = rng.randint(1, commits), ""
    for number in range(1, commits + 1):
        if number == culprit:
            replace_once(place / fault.path, fault.old, fault.new)
            planted = commit_all(place, "Tidy up")
        else:
            commit_all(place, rng.choice(HARMLESS_EDITS)(place, number, rng))
    (place / "tiny.toml").write_text(TINY)
    return planted, commits


def add_comment(place: Path, number: int, rng: random.Random) -> str:
    path = random_module(place, rng)
    path.write_text(f"{path.read_text()}\n# Remark {number}.\n")
    return f"Comment on {path.stem}"


def add_page(place: Path, number: int, rng: random.Random) -> str:
    path = place / "docs" / f"page{number}.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"# Page {number}\n")
    return f"Write page {number}"


def extend_docstring(place: Path, number: int, rng: random.Random) -> str:
    path = random_module(place, rng)
    path.write_text(re.sub(r'\A(""".*?)"""', rf'\1 ({number})"""', path.read_text(), flags=re.S))
    return f"Describe {path.stem}"


def rename_parameter(place: Path, number: int, rng: random.Random) -> str:
    """Renames a local variable of a function that every training calls."""
    path = place / "ganbench" / "training" / "trainer.py"
    text = path.read_text()
    old = re.search(r"(told_apart\w*) = is_above", text)
    assert old
    path.write_text(re.sub(rf'(?<!"){old[1]}\b(?!")', f"told_apart_{number}", text))
    return "Rename a variable"


def add_function(place: Path, number: int, rng: random.Random) -> str:
    path = random_module(place, rng)
    path.write_text(f"{path.read_text()}\n\ndef unused_{number}() -> int:\n    return {number}\n")
    return f"Add a function to {path.stem}"


HARMLESS_EDITS = (add_comment, add_page, extend_docstring, rename_parameter, add_function)


def random_module(place: Path, rng: random.Random) -> Path:
    """Returns a random module of training or measuring, not one of parts that are found by name."""
    kinds = ("training", "evaluation", "data", "gan/networks")
    return rng.choice(sorted(p for k in kinds for p in (place / "ganbench" / k).glob("*.py")))


def replace_once(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) >= 1, f"{path} has changed: plant the fault anew"
    path.write_text(text.replace(old, new, 1))


def commit_all(place: Path, message: str) -> str:
    call_git(place, "add", "--all")
    call_git(place, "commit", "--quiet", "--allow-empty", f"--message={message}")
    return call_git(place, "rev-parse", "HEAD")


def call_git(place: Path, *words: str) -> str:
    identity = ("-c", "user.name=Study", "-c", "user.email=study@example.org")
    command = ["git", *identity, *words]
    return subprocess.run(
        command, cwd=place, check=True, capture_output=True, text=True
    ).stdout.strip()


# Tables


def summarize(histories: pd.DataFrame) -> dict[str, Any]:
    """Returns the answers of some histories with a fault."""
    named = histories[histories["verdict"] == "found"]
    return {
        "histories": len(histories),
        "named": f"{len(named) / len(histories):.1%}",
        "right of the named": f"{named['is_right'].mean():.1%}",
        "claimed": f"{named['probability'].mean():.1%}",
        "measurements": f"{histories['measurements'].mean():.1f}",
        "plain: right": f"{histories['plain_is_right'].mean():.1%}",
        "plain: measurements": f"{histories['plain_measurements'].mean():.1f}",
    }


def summarize_by(histories: pd.DataFrame, column: str) -> str:
    rows = [{column: key, **summarize(part)} for key, part in histories.groupby(column)]
    return markdown(pd.DataFrame([*rows, {column: "all", **summarize(histories)}]))


def read_live(folder: Path) -> pd.DataFrame:
    """Returns one row per live history."""
    answers = [json.loads(path.read_text()) for path in sorted(folder.glob("live*.json"))]
    return pd.DataFrame([live_row(answer) for answer in answers])


def live_row(answer: dict[str, Any]) -> dict[str, Any]:
    culprit = answer["culprit"] or {}
    measured = [record for record in answer["measurements"] if record["kind"] != "skip"]
    is_right = culprit.get("hash") == answer["planted"]
    return {
        "fault": answer["fault"],
        "measure": answer["measure"],
        "commits": answer["commits"],
        "evidence": answer["evidence"],
        "answer": "right" if is_right else "wrong" if culprit else answer["verdict"],
        "measurements": len(measured),
        "seconds": round(sum(record["seconds"] for record in measured)),
        "first difference": next(
            (line for line in answer["sentences"] if " was " in line or " rose " in line), ""
        ),
    }


def markdown(frame: pd.DataFrame) -> str:
    return str(frame.to_markdown(index=False, disable_numparse=True))


def render_page(simulated: pd.DataFrame, planted: pd.DataFrame) -> str:
    """Renders the README from the tables."""
    faulty, clean = simulated[simulated["effect"] > 0], simulated[simulated["effect"] == 0]
    ranges = faulty[faulty["verdict"] == "between"]
    alarms = int(clean["verdict"].isin(("found", "between")).sum())
    named = int((clean["verdict"] == "found").sum())
    holding = int(ranges["holds_culprit"].sum())
    low, high = wilson_interval(alarms, len(clean))
    right = int((planted["answer"] == "right").sum())
    return f"""# Answers of ganbench bisect

`studies/bisections.py` wrote this page. The searches are those of the command, with its default error of
{ERROR:.0%}.

## Simulated histories of noisy values

{len(faulty):,} histories of 2 to {MAX_COMMITS} commits have a fault at a random commit. The fault moves the mean by
1 to 10 standard deviations of the noise. *seeds* draws from the FIDs of recorded trainings, relative to their
cell. *times* are delays on top of the fastest run, and one run in ten is delayed four times as much. *heavy
tails* is Student's t of three degrees of freedom. A search may use {BUDGET} measurements.

*claimed* is the mean probability that the command printed for the named commit. *plain* is a bisection with
equally many values of each commit and of both ends. Their number follows from the size of the effect, which
only the simulation knows. `bisect` also proves first that the bad end is worse.

{summarize_by(faulty, "effect")}

{summarize_by(faulty, "noise")}

{len(ranges)} searches ended with a range of commits, and {holding} of these ranges hold the culprit.

{len(clean)} histories have no fault. The command named a commit in {named} of them, and a range in
{alarms - named}. So {alarms / len(clean):.1%} gave a wrong answer (95 % interval {low:.1%} to {high:.1%}).
The others cannot be decided, as they should.

## Live histories with a planted fault

Each history is a git repository with a copy of the sources of ganbench, and {MIN_HISTORY} to {MAX_HISTORY}
commits. One commit, called *Tidy up*, has a fault of one or two lines. The others change comments,
docstrings, pages, names of variables, or add a function. The command named the right commit in {right} of
{len(planted)}. *seconds* is the time of all measurements, on two cores that other work shared.

{markdown(planted.fillna(""))}

Harmless commits keep all exact numbers. So a search with canaries or counts needed two measurements of the good
end, one of the bad end, and one per halving. A search of times measures each commit several times, always in a
pair with the good end.
"""


def tables(folder: Path) -> None:
    """Writes the tables and the page."""
    own = folder / "simulated.csv"
    simulated = pd.read_csv(own if own.exists() else PUBLISHED / own.name)
    known = pd.read_csv(PUBLISHED / "live.csv", keep_default_na=False)
    rows = pd.concat([known, read_live(folder)]).drop_duplicates("fault", keep="last")
    planted = rows.set_index("fault", drop=False).loc[[fault.name for fault in FAULTS]]
    simulated.to_csv(PUBLISHED / "simulated.csv", index=False, float_format="%.6g")
    planted.to_csv(PUBLISHED / "live.csv", index=False)
    (PUBLISHED / "README.md").write_text(render_page(simulated, planted), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    steps = {f.__name__: f for f in (simulate, live, tables)}
    parser.add_argument("step", choices=list(steps))
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    steps[given.step](given.folder.absolute())


if __name__ == "__main__":
    main()
