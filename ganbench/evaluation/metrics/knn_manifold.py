"""Balls to the k-th nearest neighbour: shared by precision, recall, density and coverage."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .base import Measurement, Metric, MetricNotApplicable, Transform
from .feature_set import FeatureSet


@dataclass(frozen=True)
class ManifoldMetric(Metric):
    """A metric from the balls that reach to each example's k-th nearest neighbour."""

    direction = "higher"
    transform: ClassVar[Transform] = "logit"

    k: int = 3

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"k must be at least 1, not {self.k}")

    def check_applicable(self, fake: FeatureSet, real: FeatureSet) -> None:
        super().check_applicable(fake, real)
        if min(len(fake), len(real)) <= self.k:
            raise MetricNotApplicable(
                f"neighbour {self.k} needs more than {self.k} examples on each side"
            )


def count_holders(inside: Tensor, start: int) -> Tensor:
    """Returns the count and the sum of indices of the rows that contain each column: [2, M].

    The result is float64 and is summed over tiles. For a column with a single row, the sum is the
    index of that row.
    """
    rows = torch.arange(len(inside), device=inside.device)
    counts, places = (torch.stack([torch.ones_like(rows), rows]).float() @ inside.float()).double()
    return torch.stack([counts, places + start * counts])


def held_share_measurement(held: Tensor, kept: Tensor, alone: int) -> Measurement:
    """Returns the share of reals that are held [M] and its standard error.

    `kept` [N] is the net number of reals that each fake alone keeps held. The jackknife variance
    sums over pairs of reals that one fake decides, including each real paired with itself. These
    `alone` self-pairs overestimate the variance where several fakes could have held a real (Efron
    and Stein, 1981). They are therefore capped at the variance of independent reals with the same
    share.
    """
    moved, count = kept.double(), int(held.sum())
    spread = float(moved.square().sum() - moved.sum().square() / len(moved))
    excess = max(0.0, alone - binomial_variance(count, len(held)))
    return Measurement(count / len(held), max(0.0, spread - excess) ** 0.5 / len(held))


def binomial_variance(count: int, total: int) -> float:
    """Returns the variance of a binomial count.

    It adds half a hit and half a miss, so the variance is never 0.
    """
    return (count + 0.5) * (total - count + 0.5) / (total + 1)
