"""Sequential tests: the error of a claim is shared between the looks at growing data.

Each look has a share of the error, and the shares sum to at most 1. The chance of a false claim at any look
is therefore at most the error, for every rule that ends the looks. The intervals of all looks are repeated
confidence intervals (Jennison and Turnbull, 1989): together they contain the true value with the declared
probability. Student's t is exact at each look, so that no look needs a normal approximation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

SPENDING_POWER = 2  # of the data, see spending_shares

Numbers = NDArray[np.float64]
Decisions = NDArray[np.bool_]


def open_ended_share(look: int) -> float:
    """Returns the share of the error of a look, counted from 1, without a last look."""
    return 1 / (look * (look + 1))


def equal_share(looks: int) -> float:
    """Returns the share of the error of each of some looks."""
    return 1 / looks


def spending_shares(counts: Sequence[int]) -> list[float]:
    """Returns the share of the error of each look after these numbers of seeds.

    The spent share grows as t^2 with the share t of the data: the power family of Kim and DeMets (1987).
    """
    spent = [0.0, *((count / counts[-1]) ** SPENDING_POWER for count in counts)]
    return [after - before for before, after in pairwise(spent)]


@dataclass(frozen=True)
class LookRule:
    """The rule by which a family of contrasts is decided over several looks.

    Bonferroni's correction covers the contrasts, and `spending_shares` covers the looks. The arrays of a
    contrast are its estimate, its standard error and the error's degrees of freedom.
    """

    rounds: tuple[int, ...]  # seeds of an undecided contrast at each look
    error: float  # of all claims about the family at all looks
    contrasts: int
    margin: float  # of equivalence on the scale of the analysis; 0: equivalence is no claim

    def level(self, look: int) -> float:
        """Returns the two-sided level of one contrast at a look, counted from 0."""
        return self.error * spending_shares(self.rounds)[look] / self.contrasts

    def half_width(self, look: int, error: Any, freedom: Any) -> Numbers:
        """Computes half the width of the repeated confidence interval."""
        return np.asarray(special.stdtrit(freedom, 1 - self.level(look) / 2) * error)

    def are_changed(self, look: int, mean: Any, error: Any, freedom: Any) -> Decisions:
        """Returns whether the interval excludes no change; False for NaN."""
        return np.abs(mean) > self.half_width(look, error, freedom)

    def are_equivalent(self, look: int, mean: Any, error: Any, freedom: Any) -> Decisions:
        """Returns whether the interval is inside the margin; False for NaN."""
        return np.abs(mean) + self.half_width(look, error, freedom) < self.margin

    def chance_of_decision(self, look: int, mean: Any, error: Any, freedom: Any) -> Numbers:
        """Computes the chance that the last look decides, as predicted at this look.

        The prediction has no prior knowledge: further seeds vary around the estimate so far.
        """
        share = self.rounds[look] / self.rounds[-1]
        later = freedom * (self.rounds[-1] - 1) / (self.rounds[look] - 1)
        half = self.half_width(len(self.rounds) - 1, error * np.sqrt(share), later)
        spread = error * np.sqrt(1 - share)

        def below(bound: Any) -> Any:
            return special.stdtr(freedom, (bound - mean) / spread)

        inside = np.maximum(self.margin - half, 0)
        either = below(-half) + 1 - below(half) + below(inside) - below(-inside)
        return np.where(inside > half, 1.0, either)  # else no estimate is changed and equivalent
