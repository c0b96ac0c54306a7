"""Synthetic grids with planted effects, and how much of them the analysis finds.

`.venv/bin/python studies/planted.py` writes results/published/planted. Nothing there was trained.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from synthetic_rows import frame, row

from ganbench.analysis.contrasts import Estimate, contrast_within_cell, estimate_contrast
from ganbench.analysis.effects import (
    Effect,
    estimate_effects,
    names_of_effects,
    outcome_rows,
    trick_effects,
)
from ganbench.analysis.interactions import Interaction, all_interactions
from ganbench.analysis.intervals import CONFIDENCE_LEVEL
from ganbench.analysis.rates import FailureRate, failure_rates

PLANTED = Path(__file__).parents[1] / "results" / "published" / "planted"
AXES = {
    "data": ["ring", "grid"],
    "variant": ["gan", "dcgan", "resnet"],
    "loss": ["hinge", "minimax", "wasserstein"],
}
NOISE, APART = 0.1, 3  # spread over seeds of a logarithm; the noisiest cell's to the quietest's
SHARED = 0.3  # part of the variance that all arms of a cell and seed have in common
MARGIN = 0.05  # what the grids declare as equivalent
PREDICTED = 40  # grids of whose errors the power is predicted
ANY, HC3 = "any of them", "beside HC3"
OURS, THEIRS = "Welch and Satterthwaite", "HC3 and residual"  # intervals
KEYS = ["scenario", "kind", "what"]
VERDICTS = ["helps", "harms", "equivalent", "undecided"]
NUMBERS = ["planted", "grids", "estimated", "low", "high", "coverage", "recovered", "wrong"]
COLUMNS = [*KEYS, *NUMBERS, *VERDICTS, "smallest", "predicted"]

Cell = tuple[str, str, str]
Reading = dict[str, object]


@dataclass(frozen=True)
class Scenario:
    """What is planted, and in grids of what kind."""

    name: str
    about: str
    ratios: dict[str, float]  # of each arm to none
    only: dict[str, str] = field(default_factory=dict)  # tricks that work at one level alone
    sizes: tuple[int, int, int] = (1, 3, 3)  # data, variants, losses
    seeds: int = 5
    tails: bool = False  # Student's t of 3 degrees, not normal
    fails: dict[str, float] = field(
        default_factory=dict
    )  # share of trainings by arm; "" for others
    absent: float = 0.0  # share of cells that are not there
    paired: bool = True
    crossed: bool = False  # are interactions looked at?
    grids: int = 200

    @cached_property
    def arms(self) -> list[str]:
        return ["none", *self.ratios]

    @cached_property
    def cells(self) -> list[Cell]:
        levels = [names[:n] for names, n in zip(AXES.values(), self.sizes, strict=True)]
        return list(itertools.product(*levels))

    @cached_property
    def truth(self) -> pd.DataFrame:
        """The logarithm of what was planted: a row a cell, a column an arm."""
        logs = [[math.log(self.ratio(arm, cell)) for arm in self.arms] for cell in self.cells]
        return pd.DataFrame(logs, pd.MultiIndex.from_tuples(self.cells), self.arms)

    def ratio(self, arm: str, cell: Cell) -> float:
        works = arm not in self.only or self.only[arm] in cell
        return self.ratios.get(arm, 1.0) if works else 1.0

    @cached_property
    def changes(self) -> dict[str, np.ndarray]:
        """What each trick changes in each cell, over the arms that have a like without it."""
        found = {}
        for trick in dict.fromkeys(t for arm in self.ratios for t in arm.split(" + ")):
            arms = [arm for arm in self.arms if trick in arm.split(" + ")]
            changes = [self.truth[arm] - self.truth[without(arm, trick)] for arm in arms]
            found[trick] = np.mean(changes, axis=0)
        return found

    @cached_property
    def template(self) -> pd.DataFrame:
        """The rows of a grid, in the order of cells, arms and seeds."""
        names = [dict(zip(AXES, cell, strict=True)) for cell in self.cells]
        made = [
            row(arm, seed, 1.0, **cell)
            for cell in names
            for arm in self.arms
            for seed in range(self.seeds)
        ]
        return frame(*made, equivalence=MARGIN, paired=self.paired)


ONE_BY_ONE = {"a": 1.0, "b": 0.98, "c": 0.95, "d": 0.9, "e": 0.8, "f": 1.25}
SMALL = {"a": 0.927, **dict.fromkeys("bcdef", 1.0)}
NOTHING = dict.fromkeys("abcdef", 1.0)
CANCELLING = {  # a and b help alone and not together
    "a": 0.8, "b": 0.8, "c": 0.9, "a + b": 1.0, "a + c": 0.72, "b + c": 0.72, "a + b + c": 0.9,
}  # fmt: skip
IDLE = dict.fromkeys(CANCELLING, 1.0)
SOMEWHERE = {"a": 0.7, "b": 0.7, "c": 0.7, "d": 0.9}
PLACES = {"a": "hinge", "b": "dcgan", "c": "grid"}
BROKEN = {"": 0.05, "d": 0.4}
EVERY_AXIS = (2, 2, 3)

CROSSED = dict(crossed=True, grids=400)

SCENARIOS = (
    Scenario("plain", "5 seeds in each of 9 cells (3 variants and 3 losses)", ONE_BY_ONE),
    Scenario("as small as shown", "an effect as large as *detectable from* in `plain`", SMALL),
    Scenario("two seeds", "", ONE_BY_ONE, seeds=2),
    Scenario("three seeds", "", ONE_BY_ONE, seeds=3),
    Scenario("ten seeds", "", ONE_BY_ONE, seeds=10),
    Scenario("unpaired", "analysed without pairs", ONE_BY_ONE, paired=False),
    Scenario("one cell", "5 seeds", ONE_BY_ONE, sizes=(1, 1, 1)),
    Scenario("heavy tails", "noise from Student's t with 3 degrees of freedom", ONE_BY_ONE, tails=True),
    Scenario("heavy tails, three seeds", "", ONE_BY_ONE, tails=True, seeds=3),
    Scenario("failures", "d diverges in 40 %, all others in 5 %", ONE_BY_ONE, fails=BROKEN),
    Scenario("failures, three seeds", "", ONE_BY_ONE, fails=BROKEN, seeds=3),
    Scenario("missing cells", "a tenth of the cells is missing", ONE_BY_ONE, absent=0.1),
    Scenario(
        "all at once",
        "heavy tails, failures and missing cells at three seeds",
        ONE_BY_ONE, tails=True, seeds=3, fails=BROKEN, absent=0.1,
    ),
    Scenario(
        "interactions",
        "12 cells; a works only under hinge, b only in dcgan, c only on the grid, d everywhere",
        SOMEWHERE, only=PLACES, sizes=EVERY_AXIS, crossed=True,
    ),
    Scenario("factorial", "all 8 combinations of a, b, c; a and b cancel", CANCELLING, crossed=True),
    Scenario(
        "factorial with gaps",
        "the same; a tenth of the cells is missing, and 5 % of the other trainings diverge",
        CANCELLING, crossed=True, absent=0.1, fails={"": 0.05},
    ),
    Scenario("nothing", "12 cells", NOTHING, sizes=EVERY_AXIS, **CROSSED),
    Scenario("nothing, three seeds", "9 cells, as in all grids below", NOTHING, seeds=3, **CROSSED),
    Scenario("nothing, heavy tails", "three seeds", NOTHING, seeds=3, tails=True, **CROSSED),
    Scenario(
        "nothing, failures", "three seeds, 10 % diverge", NOTHING, seeds=3, fails={"": 0.1}, **CROSSED
    ),
    Scenario("nothing, unpaired", "three seeds", NOTHING, seeds=3, paired=False, **CROSSED),
    Scenario("nothing, factorial", "three seeds", IDLE, seeds=3, **CROSSED),
)  # fmt: skip


# Drawing


def grids(scenario: Scenario, count: int | None = None) -> Iterator[pd.DataFrame]:
    """Those of a scenario, always the same ones in the same order."""
    rng = np.random.default_rng(list(scenario.name.encode()))
    for _ in range(count or scenario.grids):
        yield drawn(scenario, rng)


def drawn(scenario: Scenario, rng: np.random.Generator) -> pd.DataFrame:
    shape = (len(scenario.cells), len(scenario.arms), scenario.seeds)
    shares = [scenario.fails.get(arm, scenario.fails.get("", 0.0)) for arm in scenario.arms]
    broken = rng.random(shape) < np.array(shares)[:, None]
    absent = rng.random(shape[:2])[:, :, None] < scenario.absent
    values = np.exp(logarithms(scenario, shape, rng))
    made = scenario.template.copy()
    made["value"] = np.where(broken | absent, math.nan, values).ravel()
    ends = np.where(absent, None, np.where(broken, "diverged", "done"))
    return made.assign(outcome=ends.ravel())


def logarithms(
    scenario: Scenario, shape: tuple[int, int, int], rng: np.random.Generator
) -> np.ndarray:
    """Of the outcomes: cells at widely different levels, each with a noise of its own size."""
    cells, _, seeds = shape
    level = rng.normal(0, 1.5, (cells, 1, 1))
    spread = NOISE * rng.permutation(np.geomspace(APART**-0.5, APART**0.5, cells))
    shared, own = (noise(scenario, size, rng) for size in ((cells, 1, seeds), shape))
    both = math.sqrt(SHARED) * shared + math.sqrt(1 - SHARED) * own
    return level + scenario.truth.to_numpy()[:, :, None] + spread[:, None, None] * both


def noise(scenario: Scenario, shape: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """Of variance 1."""
    return rng.standard_t(3, shape) / math.sqrt(3) if scenario.tails else rng.normal(size=shape)


# What was planted


def without(arm: str, *tricks: str) -> str:
    return " + ".join(trick for trick in arm.split(" + ") if trick not in tricks) or "none"


def planted_effect(scenario: Scenario, trick: str) -> float:
    return float(scenario.changes[trick].mean())


def planted_by_level(scenario: Scenario, trick: str, level: str) -> float:
    """What is changed more at one level than at the others of its axis."""
    there = np.array([level in cell for cell in scenario.cells])
    change = scenario.changes[trick]
    return float(change[there].mean() - change[~there].mean())


def planted_together(scenario: Scenario, one: str, other: str) -> float:
    """What two tricks change beyond what each changes by itself."""
    truth = scenario.truth
    arms = [arm for arm in scenario.arms if {one, other} <= set(arm.split(" + "))]
    changes = [
        truth[arm] - truth[without(arm, one)] - truth[without(arm, other)]
        + truth[without(arm, one, other)]
        for arm in arms
    ]  # fmt: skip
    return float(pd.concat(changes, axis=1).mean(axis=None))


# What the analysis makes of it


def readings(scenario: Scenario, count: int | None = None) -> pd.DataFrame:
    """A row for everything that it said of every grid."""
    found = [
        {"scenario": scenario.name, "grid": number, **reading}
        for number, made in enumerate(grids(scenario, count))
        for reading in said(scenario, made)
    ]
    return pd.DataFrame(found)


def said(scenario: Scenario, made: pd.DataFrame) -> Iterator[Reading]:
    yield from (of_effect(scenario, effect) for effect in trick_effects(made))
    if scenario.crossed:
        yield from (of_interaction(scenario, found) for found in all_interactions(made))
    if scenario.fails:
        yield from (of_rate(scenario, rate) for rate in failure_rates(made))


def of_effect(scenario: Scenario, found: Effect) -> Reading:
    planted = float(np.exp(planted_effect(scenario, found.tricks)))
    named = {"kind": "effect", "what": found.tricks, "smallest": found.smallest}
    return named | judged(planted, 1.0, found) | {"verdict": found.verdict}


def of_interaction(scenario: Scenario, found: Interaction) -> Reading:
    ask = planted_together if found.kind == "trick × trick" else planted_by_level
    planted = math.exp(ask(scenario, found.tricks, found.where))
    plain = math.isclose(planted, 1)
    what = "all others" if plain else f"{found.tricks} × {found.where}"
    return {"kind": found.kind, "what": what} | judged(planted, 1.0, found)


def of_rate(scenario: Scenario, found: FailureRate) -> Reading:
    """Wilson's interval of a share; it differs from none's by McNemar's test."""
    usual = scenario.fails[""]
    planted = scenario.fails.get(found.tricks, usual)
    what = found.tricks if planted != usual else "all others"
    told = {"ratio": found.rate, "low": found.low, "high": found.high}
    sign = np.sign(found.more - found.fewer) if found.p < 1 - CONFIDENCE_LEVEL else 0
    named = {"kind": "failures", "what": what, "planted": planted}
    return named | told | right(planted, usual, sign)


def judged(planted: float, nothing: float, found: Effect | Interaction) -> Reading:
    told = {"planted": planted, "ratio": found.ratio, "low": found.low, "high": found.high}
    shown = found.verdict in ("helps", "harms", "differs")
    sign = np.sign(found.ratio - nothing) if shown else 0
    small = abs(math.log(planted)) < -math.log(1 - MARGIN) - 1e-9
    equivalent = found.verdict == "equivalent" and small
    return told | right(planted, nothing, sign, equivalent)


def right(planted: float, nothing: float, sign: float, equivalent: bool = False) -> Reading:
    """Was the planted found, or nothing where nothing was planted; was a wrong direction claimed?"""
    wanted = 0 if math.isclose(planted, nothing) else np.sign(planted - nothing)
    return {"recovered": sign == wanted or equivalent, "wrong": sign not in (0, wanted)}


# The table


def table(scenario: Scenario, count: int | None = None) -> pd.DataFrame:
    """A row for everything planted, and one for every family: was anything in it claimed wrongly?"""
    found = readings(scenario, count)
    parts = found.groupby(["scenario", "kind", "what"], sort=False)
    made = [dict(zip(KEYS, key, strict=True)) | summed(part) for key, part in parts]
    rows = pd.concat([pd.DataFrame(made), families(found)], ignore_index=True)
    effect = rows["kind"].eq("effect")
    rows["predicted"] = rows["what"].map(predicted(scenario)).where(effect)
    return rows.reindex(columns=COLUMNS)


def summed(part: pd.DataFrame) -> Reading:
    """Means over grids, of ratios geometric ones, and the typical interval."""
    told, rate = part[part["low"].notna()], part["kind"].eq("failures").all()
    mean = part["ratio"].mean() if rate else np.exp(np.log(part["ratio"]).mean())
    verdicts = part["verdict"].value_counts(normalize=True) if "verdict" in part else {}
    return {
        "planted": part["planted"].iloc[0],
        "grids": part["grid"].nunique(),
        "estimated": mean,
        **told[["low", "high"]].median(),
        "coverage": told["planted"].between(told["low"], told["high"]).mean(),
        **part[["recovered", "wrong"]].mean(),
        **{name: verdicts.get(name, 0.0) for name in VERDICTS if len(verdicts)},
        "smallest": part["smallest"].median(),
    }


def families(found: pd.DataFrame) -> pd.DataFrame:
    """The share of grids in which anything of a kind was claimed wrongly."""
    by_grid = found.groupby([*KEYS[:2], "grid"], sort=False)["wrong"].any()
    shares = by_grid.groupby(KEYS[:2], sort=False).agg(["mean", "count"]).reset_index()
    return shares.rename(columns={"mean": "wrong", "count": "grids"}).assign(what=ANY)


def predicted(scenario: Scenario) -> dict[str, float]:
    """How often each effect should be found: the power of a t test with the errors of some grids."""
    if not np.any(scenario.truth):
        return {}
    found: dict[str, list[Estimate]] = {}
    for made in grids(scenario, PREDICTED):
        values = outcome_rows(made)
        for effect, mean in estimate_effects(
            values, names_of_effects(values), "log", scenario.paired
        ):
            found.setdefault(effect.tricks, []).append(mean)
    sizes = {trick: planted_effect(scenario, trick) for trick in found}
    return {trick: power(found[trick], abs(size), len(found)) for trick, size in sizes.items()}


def power(found: list[Estimate], size: float, family: int) -> float:
    """Of a two-sided test corrected as if all of the family were null; NaN if there is no effect."""
    if math.isclose(size, 0, abs_tol=1e-9):
        return math.nan
    error = math.sqrt(np.nanmean([mean.error**2 for mean in found]))
    freedom = float(np.nanmean([mean.freedom for mean in found]))
    bound = stats.t.ppf(1 - (1 - CONFIDENCE_LEVEL) / (2 * family), freedom)
    return float(stats.nct.sf(bound, freedom, size / error))


# Intervals beside HC3's


def beside_hc3(cells: int, seeds: int, count: int = 4000) -> pd.DataFrame:
    """Coverage of both kinds of intervals where cells and arms differ in noise, and nothing is planted."""
    rng = np.random.default_rng([cells, seeds])
    spread = np.outer(np.geomspace(1, APART, cells), [1, APART])[:, :, None]
    drawn = NOISE * spread * rng.normal(size=(count, cells, 2, seeds))
    kinds = {OURS: welch, THEIRS: hc3}
    made = [
        entry | {"kind": kind, "what": f"{cells} × {seeds}"}
        for kind, interval in kinds.items()
        for entry in [covered(np.array([interval(grid) for grid in drawn]))]
    ]
    return pd.DataFrame(made).assign(scenario=HC3).reindex(columns=COLUMNS)


def covered(found: np.ndarray) -> Reading:
    low, high = found.T
    shares = {"coverage": np.mean((low <= 0) & (high >= 0)), "grids": len(found)}
    means = {"estimated": np.exp(np.mean(low + high) / 2)}
    return {"planted": 1.0, **means, **shares} | dict(
        zip(["low", "high"], np.exp(np.median(found, axis=0)), strict=True)
    )


def welch(grid: np.ndarray) -> tuple[float, float]:
    """Ours, of a grid of cells, two arms and seeds."""
    tables = [pd.DataFrame(cell.T, columns=["none", "trick"]) for cell in grid]
    changes = [contrast_within_cell(cell, {"trick": 1.0, "none": -1.0}, False) for cell in tables]
    return estimate_contrast([change for change in changes if change]).interval()


def hc3(grid: np.ndarray) -> tuple[float, float]:
    """Least squares of a mean for every cell and arm, MacKinnon and White's third error (1985)."""
    cells, arms, seeds = grid.shape
    mean = float((grid[:, 1] - grid[:, 0]).mean())
    error = math.sqrt(grid.var(axis=2, ddof=1).sum() / (seeds - 1)) / cells
    half = float(stats.t.ppf((1 + CONFIDENCE_LEVEL) / 2, cells * arms * (seeds - 1))) * error
    return mean - half, mean + half


def whole() -> pd.DataFrame:
    """All of it, in as many digits as are kept."""
    found = [table(scenario) for scenario in SCENARIOS]
    found += [beside_hc3(cells, seeds) for cells in (1, 9) for seeds in (3, 5)]
    return rounded(pd.concat(found, ignore_index=True))


def rounded(found: pd.DataFrame) -> pd.DataFrame:
    return found.map(lambda x: float(f"{x:.4g}") if isinstance(x, float) else x)


# The page

INTRODUCTION = """# planted: recovery of known effects by the analysis

This study trains nothing. It simulates grids with known effects and analyses them like any other results, with
`effects`, `interactions` and `rates` of `ganbench.analysis`. `.venv/bin/python studies/planted.py` writes this
page and [planted.csv](planted.csv), which has more columns. It takes some minutes and is deterministic.

The logarithm of an outcome is the sum of its cell's level (spread 1.5), the planted effects, and noise over seeds. The
noise is 10 %, and 3 times as large in the noisiest cell as in the quietest. All arms of a cell and seed share 30 % of
its variance. Changes below 5 % count as equivalent. Most grids have an arm without tricks and one arm for each of six
tricks, a to f, which multiply the outcome by 1, 0.98, 0.95, 0.9, 0.8 and 1.25. Lower is better.
"""
EFFECTS = """## Effects

- *Interval*: its typical ends.
- *Right*: the verdict is `helps` for a ratio below 1, `harms` for a ratio above 1, and neither for 1. For 0.98,
  `equivalent` is right too.
- *Shown*: the share of grids in which the change was claimed. *Formula*: the share that the power formula of the
  t test expects, from the errors in these grids and corrected for the whole family.
- *Wrong*: a change was claimed in the wrong direction, or although there is none.
- *Detectable from*: the median of the ratio that the analysis reports as detectable with a power of 80 %.
"""
PLACES_AND_FAILURES = """## Interactions and failures

Interactions are ratios of ratios: the change by a trick at one level, divided by its change at the other levels.
Failures are shares of diverged trainings. McNemar's test is right if it claims a difference from no trick exactly where
one was planted.
"""
FAMILIES = """## False claims

The share of grids with at least one false claim of a kind, in grids with and without planted effects.
Holm's correction promises at most 5 %. *Within*: the upper limit of two standard errors of chance around 5 %.
"""
INTERVALS = """## Intervals of Welch and Satterthwaite against HC3

One trick against no trick, unpaired. The trick triples the noise, and cells differ threefold. *HC3 and residual*: least
squares with one mean per cell and arm, the third error of MacKinnon and White, and Student's t with the residual
degrees of freedom. The intervals of ganbench cover {ours}, those of HC3 {theirs}.
With 9 cells, those of HC3 are {wider} wider; in a single cell the widths hardly differ. No
coverage is below 95 % by a whole percent. The intervals of ganbench are closer to 95 % in grids, so they were kept.
"""


COVERAGES = {
    "plain": "plain",
    "two": "two seeds",
    "lost": "failures, three seeds",
    "all": "all at once",
    "unpaired": "unpaired",
    "tails": "heavy tails, three seeds",
}
IN_SHORT = """## In short

Confirmed:

- Estimates are right on average: the geometric mean over grids is off by at most {off}, over {count} planted effects.
- In plain grids the 95 % intervals cover {plain}, over all six tricks. The lowest coverage of a single row is {lowest};
  chance explains a coverage down to {least} with 200 grids, at two standard errors.
- No grid reversed the direction of a planted effect or interaction. At most {effects} of grids had a false claim about
  effects, {failures} about failures, and {interactions} about interactions. Holm's correction promises 5 %, and chance
  explains up to {most} with 200 grids.
- An effect as large as *detectable from* was detected in {small} of grids, against the promised 80 %.
- Equivalence follows the adjusted interval. At the margin itself, 0.95, it was claimed in at most
  {margin}; its level is 2.5 %.
- Interactions are found only where they were planted. This holds for two tricks that cancel, and for grids with gaps: a
  cell without one of its arms estimates a main effect only if no interaction of two tricks can bias the estimate.

Deviations:

- With two seeds the intervals are wider than necessary ({two}), because the degrees of freedom of few seeds are
  estimated cautiously. The same holds for three seeds with lost trainings ({lost}), and more so with all problems
  at once ({all}).
- Unpaired analysis gives intervals that are too wide ({unpaired}), because seeds are correlated in these grids.
- With heavy tails and three seeds, coverage is {tails}. But {missed} of grids miss a plain effect of 0.8, which the
  formula does not expect: a single outlier widens the interval. If trainings are lost as well, neither the formula
  nor *detectable from* is reliable: for a trick that loses 40 % the formula expects {expected}, and {came} were found.
- McNemar's exact test is cautious. For a trick with failures in 40 % of trainings against 5 %, it shows the
  difference in {mcnemar} of grids with 45 pairs, and in {mcnemar_three} with 27.
- Not tested: noise that cells share, and grids in which a trick is not applicable everywhere. There, the means of the
  other tricks are over other backgrounds. An interaction with that trick can then look like an interaction with the
  cell.
"""


def page(found: pd.DataFrame) -> str:
    """Renders the README from the table alone."""
    silent = found["scenario"].str.startswith("nothing")
    shown = found[
        found["scenario"].isin([s.name for s in SCENARIOS]) & found["what"].ne(ANY) & ~silent
    ]
    effect = shown["kind"].eq("effect")
    parts = [
        INTRODUCTION,
        IN_SHORT.format(**numbers(found)),
        "## The grids\n\n"
        + "\n".join(f"- {s.name}: {s.about}" for s in SCENARIOS if s.about)
        + "\n",
        EFFECTS + "\n" + markdown(map(effect_line, entries(shown[effect]))),
        PLACES_AND_FAILURES + "\n" + markdown(map(other_line, entries(shown[~effect]))),
        FAMILIES + "\n" + markdown(map(family_line, entries(found[found["what"] == ANY]))),
        INTERVALS.format(**compared_widths(found))
        + "\n"
        + markdown(map(interval_line, entries(found[found["scenario"] == HC3]))),
    ]
    return "\n".join(parts)


def entries(found: pd.DataFrame) -> list[Reading]:
    return found.to_dict("records")


def markdown(made: Iterator[dict[str, str]]) -> str:
    rows = list(made)
    head = [list(rows[0]), ["---"] * len(rows[0])]
    return "".join(f"| {' | '.join(line)} |\n" for line in [*head, *(r.values() for r in rows)])


def effect_line(entry: Reading) -> dict[str, str]:
    return {
        "grids": entry["scenario"],
        "trick": entry["what"],
        **estimate_of(entry),
        "right": share(entry["recovered"]),
        "shown": share(shown(entry)),
        "formula": share(entry["predicted"]),
        "equivalent": share(entry["equivalent"]),
        "wrong": share(entry["wrong"]),
        "detectable from": decimal(entry["smallest"]),
    }


def shown(entry: Reading) -> float:
    """How often a change was claimed in the planted direction; NaN if there is none."""
    change = entry["planted"] - 1
    return math.nan if change == 0 else entry["helps"] if change < 0 else entry["harms"]


def other_line(entry: Reading) -> dict[str, str]:
    named = {"grids": entry["scenario"], "kind": entry["kind"], "of": entry["what"]}
    told = {"right": share(entry["recovered"]), "wrong": share(entry["wrong"])}
    return named | estimate_of(entry) | told


def estimate_of(entry: Reading) -> dict[str, str]:
    return {
        "planted": decimal(entry["planted"]),
        "estimated": decimal(entry["estimated"]),
        "interval": f"{decimal(entry['low'])} to {decimal(entry['high'])}",
        "coverage": share(entry["coverage"]),
    }


def family_line(entry: Reading) -> dict[str, str]:
    named = {"grids": entry["scenario"], "kind": entry["kind"], "count": str(entry["grids"])}
    return named | {
        "false": share(entry["wrong"]),
        "within": share(0.05 + 2 * chance(entry["grids"])),
    }


def interval_line(entry: Reading) -> dict[str, str]:
    told = {"cells × seeds": entry["what"], "error and freedom": entry["kind"]}
    width = math.log(entry["high"] / entry["low"])
    return told | {"coverage": share(entry["coverage"]), "width of the logarithm": decimal(width)}


def compared_widths(found: pd.DataFrame) -> dict[str, str]:
    rows = found[found["scenario"] == HC3].set_index(["kind", "what"])
    ends = {
        kind: rows.loc[kind, "coverage"].agg(["min", "max"]).map(share) for kind in (OURS, THEIRS)
    }
    width = np.log(rows["high"] / rows["low"])
    wider = (width[THEIRS] / width[OURS] - 1)[["9 × 3", "9 × 5"]]
    pairs = {"ours": ends[OURS], "theirs": ends[THEIRS], "wider": wider.sort_values().map(share)}
    return {name: " to ".join(pair) for name, pair in pairs.items()}


def share(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.1%}".replace("%", " %")


def decimal(value: float) -> str:
    return f"{value:.3f}"


def chance(count: int) -> float:
    """The standard error of a share of 5 %, or of 95 %."""
    return math.sqrt(CONFIDENCE_LEVEL * (1 - CONFIDENCE_LEVEL) / count)


def numbers(found: pd.DataFrame) -> dict[str, str]:
    """What the summary says."""
    every = found[found["what"].ne(ANY) & found["scenario"].ne(HC3)]
    effect = every[every["kind"] == "effect"].set_index(["scenario", "what"])
    falsely = found[found["what"] == ANY].groupby("kind")["wrong"].max()
    rates = every[every["kind"] == "failures"].set_index(["scenario", "what"])["recovered"]
    tailed, lossy = ("heavy tails, three seeds", "e"), ("all at once", "d")
    told = {
        "off": (effect["estimated"] / effect["planted"] - 1).abs().max(),
        "lowest": every["coverage"].min(),
        "least": CONFIDENCE_LEVEL - 2 * chance(200),
        "most": 1 - CONFIDENCE_LEVEL + 2 * chance(200),
        "effects": falsely["effect"],
        "failures": falsely["failures"],
        "interactions": falsely.drop(["effect", "failures"]).max(),
        "small": effect.loc[("as small as shown", "a"), "recovered"],
        "margin": effect.loc[effect["planted"] == 0.95, "equivalent"].max(),
        "missed": 1 - effect.loc[tailed, "recovered"],
        "expected": effect.loc[lossy, "predicted"],
        "came": effect.loc[lossy, "recovered"],
        "mcnemar": rates["failures", "d"],
        "mcnemar_three": rates["failures, three seeds", "d"],
    }
    covered = effect.groupby("scenario")["coverage"].mean()
    told |= {name: covered[scenario] for name, scenario in COVERAGES.items()}
    return {"count": str(len(effect)), **{name: share(value) for name, value in told.items()}}


def main() -> None:
    found = whole()
    PLANTED.mkdir(parents=True, exist_ok=True)
    found.to_csv(PLANTED / "planted.csv", index=False)
    (PLANTED / "README.md").write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    main()
