"""Scenarios of simulated grids with planted effects.

The logarithm of an outcome is the sum of the level of its cell, the planted effects, and noise over seeds.
"""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from synthetic_rows import frame, row

AXIS_LEVELS = {
    "data": ["ring", "grid"],
    "variant": ["gan", "dcgan", "resnet"],
    "loss": ["hinge", "minimax", "wasserstein"],
}
LEVEL_SPREAD = 1.5  # standard deviation of log outcomes over cells
NOISE = 0.1  # standard deviation of log outcomes over seeds, in a typical cell
NOISE_RATIO = 3  # between the noisiest and the quietest cell
SHARED_VARIANCE = 0.3  # share of the variance that all arms of a cell and seed have in common
TAIL_FREEDOM = 3  # degrees of freedom of heavy-tailed noise
EQUIVALENCE_MARGIN = 0.05  # the change that the grids declare equivalent to none
NO_TRICK = "none"
OTHER_ARMS = ""  # the key of the failure share of all arms without their own

Cell = tuple[str, ...]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Scenario:
    """A kind of grid and the effects that are planted in it."""

    name: str
    description: str
    ratios: Mapping[str, float]  # of the outcome of each arm to that without tricks
    only_level: Mapping[str, str] = field(default_factory=dict)  # of tricks that work at one level
    axis_sizes: tuple[int, int, int] = (1, 3, 3)  # numbers of data sets, variants and losses
    seeds: int = 5
    heavy_tails: bool = False
    failure_shares: Mapping[str, float] = field(default_factory=dict)  # of trainings, by arm
    missing_share: float = 0.0  # of the arms of cells
    network_share: float = 0.0  # of an arm's own variance that all losses of a variant share
    paired: bool = True
    with_interactions: bool = False  # whether interactions are analysed too
    grid_count: int = 200

    @cached_property
    def arms(self) -> list[str]:
        return [NO_TRICK, *self.ratios]

    @cached_property
    def tricks(self) -> list[str]:
        """Returns each trick of the arms once, in order of appearance."""
        return list(dict.fromkeys(trick for arm in self.ratios for trick in arm.split(" + ")))

    @cached_property
    def cells(self) -> list[Cell]:
        sizes = zip(AXIS_LEVELS.values(), self.axis_sizes, strict=True)
        return list(itertools.product(*(levels[:size] for levels, size in sizes)))

    @cached_property
    def planted_logs(self) -> pd.DataFrame:
        """Returns the logarithms of the planted ratios: one row per cell, one column per arm."""
        logs = [[math.log(self.get_ratio(arm, cell)) for arm in self.arms] for cell in self.cells]
        return pd.DataFrame(logs, pd.MultiIndex.from_tuples(self.cells), self.arms)

    def get_ratio(self, arm: str, cell: Cell) -> float:
        works = arm not in self.only_level or self.only_level[arm] in cell
        return self.ratios.get(arm, 1.0) if works else 1.0

    @cached_property
    def planted_changes(self) -> dict[str, Values]:
        """Returns the change by each trick in each cell, as the mean over its backgrounds."""
        return {trick: self.compute_changes(trick) for trick in self.tricks}

    def compute_changes(self, trick: str) -> Values:
        logs = self.planted_logs
        arms = self.find_arms(trick)
        return np.mean([logs[arm] - logs[remove_tricks(arm, trick)] for arm in arms], axis=0)

    def find_arms(self, *tricks: str) -> list[str]:
        return [arm for arm in self.arms if set(tricks) <= set(arm.split(" + "))]

    def compute_effect(self, trick: str) -> float:
        """Returns the planted main effect of a trick, on the log scale."""
        return float(self.planted_changes[trick].mean())

    def compute_level_interaction(self, trick: str, level: str) -> float:
        """Returns the change by a trick at a level, minus that at the other levels of its axis."""
        has_level = np.array([level in cell for cell in self.cells])
        changes = self.planted_changes[trick]
        return float(changes[has_level].mean() - changes[~has_level].mean())

    def compute_trick_interaction(self, one: str, other: str) -> float:
        """Returns the change by two tricks together, minus the changes by each alone."""
        logs = self.planted_logs
        changes = [
            logs[arm] - logs[remove_tricks(arm, one)] - logs[remove_tricks(arm, other)]
            + logs[remove_tricks(arm, one, other)]
            for arm in self.find_arms(one, other)
        ]  # fmt: skip
        return float(pd.concat(changes, axis=1).mean(axis=None))

    def get_failure_share(self, arm: str) -> float:
        return self.failure_shares.get(arm, self.failure_shares.get(OTHER_ARMS, 0.0))

    @cached_property
    def template(self) -> pd.DataFrame:
        """Returns the rows of a grid without outcomes, in the order of cells, arms and seeds."""
        named_cells = [dict(zip(AXIS_LEVELS, cell, strict=True)) for cell in self.cells]
        rows = [
            row(arm, seed, 1.0, **cell)
            for cell in named_cells
            for arm in self.arms
            for seed in range(self.seeds)
        ]
        return frame(*rows, equivalence=EQUIVALENCE_MARGIN, paired=self.paired)


def remove_tricks(arm: str, *tricks: str) -> str:
    """Returns the name of an arm without some tricks."""
    return " + ".join(trick for trick in arm.split(" + ") if trick not in tricks) or NO_TRICK


# Scenarios

SINGLE_TRICKS = {"a": 1.0, "b": 0.98, "c": 0.95, "d": 0.9, "e": 0.8, "f": 1.25}
ONE_SMALL_EFFECT = {"a": 0.919, **dict.fromkeys("bcdef", 1.0)}
NO_EFFECTS = dict.fromkeys("abcdef", 1.0)
CANCELLING_TRICKS = {  # a and b help alone, but not together
    "a": 0.8, "b": 0.8, "c": 0.9, "a + b": 1.0, "a + c": 0.72, "b + c": 0.72, "a + b + c": 0.9,
}  # fmt: skip
FACTORIAL_WITHOUT_EFFECTS = dict.fromkeys(CANCELLING_TRICKS, 1.0)
LOCAL_TRICKS = {"a": 0.7, "b": 0.7, "c": 0.7, "d": 0.9}
WORKING_LEVELS = {"a": "hinge", "b": "dcgan", "c": "grid"}
FAILING_TRICK = {OTHER_ARMS: 0.05, "d": 0.4}
ALL_AXES = (2, 2, 3)
FALSE_CLAIMS = dict(with_interactions=True, grid_count=400)  # settings of grids without effects

SCENARIOS = (
    Scenario("plain", "5 seeds in each of 9 cells (3 variants and 3 losses)", SINGLE_TRICKS),
    Scenario("as small as shown", "an effect as large as *detectable from* in `plain`", ONE_SMALL_EFFECT),
    Scenario("two seeds", "", SINGLE_TRICKS, seeds=2),
    Scenario("three seeds", "", SINGLE_TRICKS, seeds=3),
    Scenario("ten seeds", "", SINGLE_TRICKS, seeds=10),
    Scenario("unpaired", "analysed without pairs", SINGLE_TRICKS, paired=False),
    Scenario("one cell", "5 seeds", SINGLE_TRICKS, axis_sizes=(1, 1, 1)),
    Scenario(
        "heavy tails", "noise from Student's t with 3 degrees of freedom", SINGLE_TRICKS, heavy_tails=True
    ),
    Scenario("heavy tails, three seeds", "", SINGLE_TRICKS, heavy_tails=True, seeds=3),
    Scenario("failures", "d diverges in 40 %, all others in 5 %", SINGLE_TRICKS, failure_shares=FAILING_TRICK),
    Scenario("failures, three seeds", "", SINGLE_TRICKS, failure_shares=FAILING_TRICK, seeds=3),
    Scenario(
        "missing cells", "each arm of a cell is missing with a probability of 10 %",
        SINGLE_TRICKS, missing_share=0.1,
    ),
    Scenario(
        "all at once",
        "heavy tails, failures and missing cells at three seeds",
        SINGLE_TRICKS, heavy_tails=True, seeds=3, failure_shares=FAILING_TRICK, missing_share=0.1,
    ),
    Scenario(
        "interactions",
        "12 cells; a works only under hinge, b only in dcgan, c only on the grid, d everywhere",
        LOCAL_TRICKS, only_level=WORKING_LEVELS, axis_sizes=ALL_AXES, with_interactions=True,
    ),
    Scenario(
        "factorial", "all 8 combinations of a, b, c; a and b cancel", CANCELLING_TRICKS, with_interactions=True
    ),
    Scenario(
        "factorial with gaps",
        "the same, with arms missing as in *missing cells*; 5 % of the remaining trainings diverge",
        CANCELLING_TRICKS, with_interactions=True, missing_share=0.1, failure_shares={OTHER_ARMS: 0.05},
    ),
    Scenario(
        "shared within networks", "half of an arm's noise is common to the three losses of a variant",
        SINGLE_TRICKS, network_share=0.5,
    ),
    Scenario("nothing", "no effects; 12 cells", NO_EFFECTS, axis_sizes=ALL_AXES, **FALSE_CLAIMS),
    Scenario("nothing, three seeds", "9 cells, as in all grids below", NO_EFFECTS, seeds=3, **FALSE_CLAIMS),
    Scenario("nothing, heavy tails", "three seeds", NO_EFFECTS, seeds=3, heavy_tails=True, **FALSE_CLAIMS),
    Scenario(
        "nothing, failures", "three seeds, 10 % diverge",
        NO_EFFECTS, seeds=3, failure_shares={OTHER_ARMS: 0.1}, **FALSE_CLAIMS,
    ),
    Scenario(
        "nothing, shared within networks", "three seeds", NO_EFFECTS, seeds=3, network_share=0.5, **FALSE_CLAIMS
    ),
    Scenario("nothing, unpaired", "three seeds", NO_EFFECTS, seeds=3, paired=False, **FALSE_CLAIMS),
    Scenario("nothing, factorial", "three seeds", FACTORIAL_WITHOUT_EFFECTS, seeds=3, **FALSE_CLAIMS),
)  # fmt: skip


# Drawing


def draw_grids(scenario: Scenario, count: int | None = None) -> Iterator[pd.DataFrame]:
    """Draws the grids of a scenario; they are the same in each call."""
    rng = np.random.default_rng(list(scenario.name.encode()))
    for _ in range(count or scenario.grid_count):
        yield draw_grid(scenario, rng)


def draw_grid(scenario: Scenario, rng: np.random.Generator) -> pd.DataFrame:
    """Draws the outcomes of one grid, and the trainings that fail or are missing."""
    shape = (len(scenario.cells), len(scenario.arms), scenario.seeds)
    failure_shares = np.array([scenario.get_failure_share(arm) for arm in scenario.arms])
    diverged = rng.random(shape) < failure_shares[:, None]
    missing = rng.random(shape[:2])[:, :, None] < scenario.missing_share
    values = np.exp(draw_logs(scenario, shape, rng))
    outcomes = np.where(missing, None, np.where(diverged, "diverged", "done"))
    return scenario.template.assign(
        value=np.where(diverged | missing, math.nan, values).ravel(), outcome=outcomes.ravel()
    )


def draw_logs(scenario: Scenario, shape: tuple[int, int, int], rng: np.random.Generator) -> Values:
    """Draws log outcomes: [cells, arms, seeds]; each cell has its own level and noise."""
    cells, _, seeds = shape
    levels = rng.normal(0, LEVEL_SPREAD, (cells, 1, 1))
    spreads = NOISE * rng.permutation(np.geomspace(NOISE_RATIO**-0.5, NOISE_RATIO**0.5, cells))
    shared = draw_noise(scenario, (cells, 1, seeds), rng)
    own = draw_own_noise(scenario, shape, rng)
    noise = math.sqrt(SHARED_VARIANCE) * shared + math.sqrt(1 - SHARED_VARIANCE) * own
    return levels + scenario.planted_logs.to_numpy()[:, :, None] + spreads[:, None, None] * noise


def draw_own_noise(
    scenario: Scenario, shape: tuple[int, int, int], rng: np.random.Generator
) -> Values:
    """Draws the noise of each training, of which all losses of a variant may share a part."""
    own = draw_noise(scenario, shape, rng)
    if not scenario.network_share:
        return own
    networks = [cell[:-1] for cell in scenario.cells]
    drawn = {network: draw_noise(scenario, shape[1:], rng) for network in dict.fromkeys(networks)}
    common = np.array([drawn[network] for network in networks])
    share = scenario.network_share
    return math.sqrt(share) * common + math.sqrt(1 - share) * own


def draw_noise(scenario: Scenario, shape: tuple[int, int, int], rng: np.random.Generator) -> Values:
    """Draws noise of variance 1."""
    if scenario.heavy_tails:
        return rng.standard_t(TAIL_FREEDOM, shape) / math.sqrt(TAIL_FREEDOM)
    return rng.normal(size=shape)


def draw_unequal_noise(cells: int, seeds: int, count: int) -> Values:
    """Draws grids without effects: [count, cells, 2 arms, seeds]; the second arm is noisier."""
    rng = np.random.default_rng([cells, seeds])
    spreads = np.outer(np.geomspace(1, NOISE_RATIO, cells), [1, NOISE_RATIO])
    return NOISE * spreads[:, :, None] * rng.normal(size=(count, cells, 2, seeds))
