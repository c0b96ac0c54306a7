"""Errors, power and trainings of adaptive seeds on simulated grids: results/published/seeds.

    .venv/bin/python studies/adaptive_seeds.py     writes the table, in a minute on one core

No network is trained. A simulated outcome is the logarithm of a metric: the sum of an effect, the noise of
a training, and the noise that all arms with one seed share. `ganbench.analysis.sequential` decides.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from ganbench.analysis.rates import wilson_interval
from ganbench.analysis.sequential import LookRule, spending_shares

PUBLISHED = Path(__file__).parents[1] / "results" / "published" / "seeds"
GRIDS = 10_000  # of each scenario
ERROR, CHANCE = 0.05, 0.1  # the defaults of suites
ROUNDS = (3, 5, 8, 12)
NOISE, SHARED = 0.1, 0.3  # standard deviation over seeds; its part of the variance that arms share
MAX_FIXED_SEEDS = 40
MARGIN = -float(np.log1p(-0.02))  # equivalence = 0.02
RATIOS = {
    "no effects": (1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
    "effects of several sizes": (0.5, 0.8, 0.9, 0.95, 1.0, 1.0),
    "one large effect": (0.5, 1.0, 1.0, 1.0, 1.0, 1.0),
    "one trick without effect": (1.0,),
    "small effects": (0.95, 0.95, 0.95, 0.95, 0.95, 0.95),
    "effects at the margin": (0.98, 0.98, 0.98, 0.98, 0.98, 0.98),
    "no effects, little noise": (1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
}
OTHER_NOISE = {"effects at the margin": 0.02, "no effects, little noise": 0.01}

Values = NDArray[np.float64]
Decisions = NDArray[np.bool_]


@dataclass(frozen=True)
class Scenario:
    """Grids of some cells, each with these tricks against none."""

    name: str
    ratios: tuple[float, ...]
    cells: int
    noise: float = NOISE

    @property
    def effects(self) -> Values:
        return np.log(self.ratios)

    def draw(self, grids: int, seeds: int, rng: np.random.Generator) -> Values:
        """Draws the differences to no trick: [grids, tricks, cells, seeds]."""
        shape = (grids, len(self.ratios) + 1, self.cells, seeds)
        own = rng.normal(size=shape) * self.noise * np.sqrt(1 - SHARED)
        shared = rng.normal(size=(grids, 1, self.cells, seeds)) * self.noise * np.sqrt(SHARED)
        outcomes = own + shared
        return self.effects[:, None, None] + outcomes[:, 1:] - outcomes[:, :1]


@dataclass(frozen=True)
class Answers:
    """The claims about each trick of each grid: [grids, tricks]."""

    signs: Values  # -1 or 1: proven to change; 0: not
    equivalent: Decisions
    seeds: NDArray[np.int64]  # at the last look of each trick
    estimates: Values  # mean, error and freedom at that look: [3, grids, tricks]
    shares: Values  # of the error, of that look

    def count_trainings(self, cells: int) -> Values:
        """Returns the trainings of each grid; the arm without tricks has the most seeds."""
        return np.asarray(cells * (self.seeds.sum(1) + self.seeds.max(1)), float)

    def coverage(self, effects: Values, shares: Values | float) -> float:
        """Returns how often 95 % intervals, with shares of the error, contain the true effect."""
        mean, error, freedom = self.estimates
        half = special.stdtrit(freedom, 1 - ERROR * shares / 2) * error
        return float((np.abs(mean - effects) <= half).mean())

    def are_false(self, effects: Values) -> Decisions:
        """Returns which grids have some false claim."""
        wrong_sign = (self.signs != 0) & (self.signs != np.sign(effects))
        wrongly_equal = self.equivalent & (np.abs(effects) >= MARGIN - 1e-12)
        return (wrong_sign | wrongly_equal).any(1)


def estimate(values: Values) -> tuple[Values, Values, Values]:
    """Computes mean, standard error and Satterthwaite's freedom over cells and seeds."""
    cells, seeds = values.shape[-2:]
    variances = values.var(-1, ddof=1) / seeds / cells**2
    squared = variances.sum(-1)
    freedom = squared**2 / (variances**2 / (seeds - 1)).sum(-1)
    return values.mean((-1, -2)), np.sqrt(squared), freedom


def decide_adaptively(values: Values, rounds: tuple[int, ...], chance: float) -> Answers:
    """Decides each trick at the looks, until its claim is proven or has little chance."""
    grids, tricks = values.shape[:2]
    rule = LookRule(rounds, ERROR, tricks, MARGIN)
    going_on = np.ones((grids, tricks), bool)
    signs, equivalent = np.zeros((grids, tricks)), np.zeros((grids, tricks), bool)
    seeds, last = np.zeros((grids, tricks), int), np.zeros((3, grids, tricks))
    for look, count in enumerate(rounds):
        estimates = estimate(values[..., :count])
        seeds[going_on] = count
        last = np.where(going_on, estimates, last)
        equal = going_on & rule.are_equivalent(look, *estimates)
        changed = going_on & ~equal & rule.are_changed(look, *estimates)
        signs += changed * np.sign(estimates[0])
        equivalent |= equal
        going_on &= ~(equal | changed)
        if look < len(rounds) - 1:
            going_on &= rule.chance_of_decision(look, *estimates) >= chance
    shares = np.array(spending_shares(rounds))[np.searchsorted(rounds, seeds)]
    return Answers(signs, equivalent, seeds, last, shares)


def decide_at_once(values: Values, seeds: int) -> Answers:
    """Decides with a fixed number of seeds by Holm's method, as suites without looks do."""
    mean, error, freedom = estimate(values[..., :seeds])
    p = 2 * special.stdtr(freedom, -np.abs(mean) / error)
    order, count = np.argsort(p, axis=1), p.shape[1]
    stepped = np.take_along_axis(p, order, 1) * (count - np.arange(count))
    corrected = np.empty_like(p)
    np.put_along_axis(corrected, order, np.maximum.accumulate(stepped, axis=1), 1)
    signs = np.where(corrected < ERROR, np.sign(mean), 0.0)
    estimates = np.array([mean, error, freedom])
    no_claim = np.zeros_like(p, bool)
    return Answers(signs, no_claim, np.full(p.shape, seeds), estimates, np.ones(p.shape))


def repeat_tests(values: Values, effects: Values) -> Decisions:
    """Returns which grids have a false claim if each look were the only one."""
    claims = [decide_at_once(values, seeds).are_false(effects) for seeds in ROUNDS]
    return np.any(claims, axis=0)


def power_of(answers: Answers, effects: Values) -> float:
    """Returns the share of the planted effects that are proven with the right sign."""
    planted = effects != 0
    right = answers.signs == np.sign(effects)
    return float(right[:, planted].mean()) if planted.any() else float("nan")


def fixed_seeds_of_power(values: Values, effects: Values, power: float) -> int | None:
    """Returns the least fixed number of seeds with this power, or None."""
    for seeds in range(2, MAX_FIXED_SEEDS + 1):
        if power_of(decide_at_once(values, seeds), effects) >= power:
            return seeds
    return None


def scenarios() -> Iterator[Scenario]:
    for name, ratios in RATIOS.items():
        for cells in (1, 3, 9):
            yield Scenario(name, ratios, cells, OTHER_NOISE.get(name, NOISE))


def study_row(scenario: Scenario, grids: int, rng: np.random.Generator) -> dict[str, object]:
    """Simulates the grids of a scenario; returns its row of the table."""
    values = scenario.draw(grids, MAX_FIXED_SEEDS, rng)
    answers = decide_adaptively(values, ROUNDS, CHANCE)
    false = int(answers.are_false(scenario.effects).sum())
    low, high = wilson_interval(false, grids)
    trainings = answers.count_trainings(scenario.cells).mean()
    most = scenario.cells * (len(scenario.ratios) + 1) * ROUNDS[-1]
    power = power_of(answers, scenario.effects)
    fixed = fixed_seeds_of_power(values, scenario.effects, power) if power == power else None
    fixed_trainings = fixed and scenario.cells * (len(scenario.ratios) + 1) * fixed
    return {
        "scenario": scenario.name,
        "tricks": len(scenario.ratios),
        "noise": scenario.noise,
        "cells": scenario.cells,
        "grids": grids,
        "with a false claim": false,
        "low": low,
        "high": high,
        "with uncorrected looks": int(repeat_tests(values, scenario.effects).sum()),
        "covered": answers.coverage(scenario.effects, answers.shares),
        "covered by plain intervals": answers.coverage(scenario.effects, 1.0),
        "power": power,
        "equivalent": float(answers.equivalent.mean()),
        "trainings": trainings,
        "trainings at most": most,
        "fixed seeds of equal power": fixed,
        "their trainings": fixed_trainings,
        "saved": 1 - trainings / fixed_trainings if fixed_trainings else float("nan"),
    }


def study(grids: int = GRIDS) -> pd.DataFrame:
    """Simulates all scenarios."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame([study_row(scenario, grids, rng) for scenario in scenarios()])
    whole = ["fixed seeds of equal power", "their trainings"]
    return rows.astype(dict.fromkeys(whole, "Int64"))


def page_line(row: dict[str, Any]) -> str:
    """Formats a row of the table for the page."""
    grids, fixed = row["grids"], row["fixed seeds of equal power"]
    false = f"{row['with a false claim'] / grids:.1%} [{row['low']:.1%}, {row['high']:.1%}]"
    texts = [
        *(row["scenario"], row["cells"], false, f"{row['with uncorrected looks'] / grids:.1%}"),
        *(f"{row['covered']:.1%}", f"{row['covered by plain intervals']:.1%}"),
        *(format_share(row["power"]), format_share(row["equivalent"])),
        *(f"{row['trainings']:.0f}", row["trainings at most"]),
        *("" if pd.isna(fixed) else f"{fixed:.0f}", format_share(row["saved"])),
    ]
    return f"| {' | '.join(map(str, texts))} |"


def format_share(share: float) -> str:
    return "" if pd.isna(share) else f"{share:.0%}".replace("-", "−")


def main() -> None:
    began = time.process_time()
    table = study()
    PUBLISHED.mkdir(parents=True, exist_ok=True)
    table.to_csv(PUBLISHED / "adaptive.csv", index=False, float_format="%.4g")
    page = pd.read_csv(PUBLISHED / "adaptive.csv").to_dict("records")
    print(*map(page_line, page), sep="\n")
    print(f"{time.process_time() - began:.0f} s")


if __name__ == "__main__":
    main()
