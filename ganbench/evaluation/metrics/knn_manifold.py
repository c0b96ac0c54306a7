"""What precision, recall, density and coverage share: balls that reach an example's k-th neighbour."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .base import Measurement, Metric, MetricNotApplicable, Transform
from .feature_set import FeatureSet


@dataclass(frozen=True)
class ManifoldMetric(Metric):
    """A share, told by the k-th neighbours of one side."""

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
                f"neighbour {self.k} needs more than {self.k} examples of each side"
            )


def count_holders(inside: Tensor, start: int) -> Tensor:
    """Of each column of a tile, how many rows hold it, and the sum of their places: float64 [2, M].

    Added over tiles that sum is the place of the only one, where there is only one.
    """
    rows = torch.arange(len(inside), device=inside.device)
    counts, places = (torch.stack([torch.ones_like(rows), rows]).float() @ inside.float()).double()
    return torch.stack([counts, places + start * counts])


def held_share_measurement(held: Tensor, kept: Tensor, alone: int) -> Measurement:
    """The share of reals that are held [M], and its error, by how many of them each fake keeps held [N].

    A jackknife counts any two of the reals that one fake decides on, and each with itself, which is far
    too much where several fakes might have held it (Efron and Stein, 1981). Those with themselves are
    `alone` in number: they give no more than independent reals of this share would.
    """
    moved, count = kept.double(), int(held.sum())
    spread = float(moved.square().sum() - moved.sum().square() / len(moved))
    excess = max(0.0, alone - binomial_variance(count, len(held)))
    return Measurement(count / len(held), max(0.0, spread - excess) ** 0.5 / len(held))


def binomial_variance(count: int, total: int) -> float:
    """The variance of such a count, with half a hit and half a miss more, so that it is never 0."""
    return (count + 0.5) * (total - count + 0.5) / (total + 1)
