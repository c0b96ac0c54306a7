"""Looks of a run with adaptive seeds: levels of intervals that stay honest.

After a look, some arms get more seeds because of their results. A plain interval would miss the true value
too often. Each effect has the share of the error of its look, so that the intervals of all looks together
keep the error (see `sequential`). All other statements have equal shares.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import pandas as pd

from .contrasts import BACKGROUND_COLUMNS, Background
from .factors import Weights
from .sequential import spending_shares

SeedCounts = dict[tuple[Any, ...], int]  # by background and arm


@dataclass(frozen=True)
class Looks:
    """The looks that were taken, and the seeds of each effect at its last look."""

    rounds: tuple[int, ...]
    error: float
    taken: int
    seeds: Mapping[str, int]  # of effects over the grid

    @classmethod
    def of_plan(cls, plan: Mapping[str, Any]) -> Self | None:
        """Returns the looks of a plan, or None if its seeds are fixed."""
        record = plan.get("adaptive")
        if not record:
            return None
        seeds = {effect["tricks"]: effect["seeds"] for effect in record["effects"]}
        return cls(tuple(record["rounds"]), record["error"], record["taken"], seeds)

    @property
    def seeds_at_last_look(self) -> int:
        """Returns the seeds of undecided arms at the last look; before any, of the first one."""
        return self.rounds[max(self.taken, 1) - 1]

    @property
    def count(self) -> int:
        """Returns the number of looks, by which statements that decide nothing are corrected."""
        return len(self.rounds)

    def share(self, seeds: int) -> float:
        """Returns the share of the error of the first look with at least so many seeds."""
        look = next(n for n, count in enumerate(self.rounds) if count >= seeds)
        return spending_shares(self.rounds)[look]

    def common_seeds(
        self, name: str, weights_by_background: Mapping[Background, Weights], counts: SeedCounts
    ) -> int:
        """Returns the seeds with which an effect is estimated: those of its last look.

        All arms of the effect have these seeds.
        """
        arms = [(*key, arm) for key, own in weights_by_background.items() for arm in own]
        planned = min((counts[arm] for arm in arms), default=self.rounds[0])
        return min(planned, self.seeds.get(name, self.seeds_at_last_look))


@dataclass(frozen=True)
class CommonSeeds:
    """Restricts the arms of an effect to the seeds that all have, unless seeds are fixed."""

    looks: Looks | None = None
    counts: SeedCounts = field(default_factory=dict)

    @classmethod
    def of(cls, looks: Looks | None, values: pd.DataFrame) -> Self:
        return cls(looks, planned_seeds(values) if looks else {})

    def count(self, name: str, weights_by_background: Mapping[Background, Weights]) -> int:
        """Returns the seeds of all arms that these weights name; 0 if seeds are fixed."""
        if not self.looks:
            return 0
        return self.looks.common_seeds(name, weights_by_background, self.counts)

    def select(
        self,
        backgrounds: Mapping[Background, pd.DataFrame],
        name: str,
        weights_by_background: Mapping[Background, Weights],
    ) -> Mapping[Background, pd.DataFrame]:
        """Returns the tables with the seeds of all arms that these weights name."""
        if self.looks is None:
            return backgrounds
        seeds = self.count(name, weights_by_background)
        return {key: table[table.index < seeds] for key, table in backgrounds.items()}


FIXED_SEEDS = CommonSeeds()


def count_looks(plan: Mapping[str, Any]) -> int:
    """Returns the number of looks of a plan; 1 if its seeds are fixed."""
    looks = Looks.of_plan(plan)
    return looks.count if looks else 1


def planned_seeds(values: pd.DataFrame) -> SeedCounts:
    """Counts the planned seeds of each background and arm, which are numbered from 0."""
    keys = [*BACKGROUND_COLUMNS, "tricks"]
    groups = values.groupby(keys, dropna=False, sort=False)["seed"]
    counts: SeedCounts = {}
    for key, seeds in groups:
        assert isinstance(key, tuple)
        counts[key] = int(seeds.max()) + 1
    return counts
