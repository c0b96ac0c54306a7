"""Inception score (Salimans et al., 2016): exp of the mean KL from a class posterior to their mean.

`exp E KL(p(y|x) ‖ p(y))`.

By ten splits after a shuffle, as torch-fidelity does it; with the classifier of the extractor that is
in use, so that scores of different extractors are different metrics. Its error comes from the spread of
the examples' own divergences, which are its derivative's values.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .base import Measurement, Metric, MetricNotApplicable, deviation, logits
from .feature_set import FeatureSet

SEED = 2020
IMPOSSIBLE = -80  # below the highest logit: a probability of 2e-35, whose logarithm is finite


@dataclass(frozen=True)
class InceptionScore(Metric):
    direction = "higher"
    transform = "log"
    needs = ("features", "logits")

    splits: int = 10

    def __post_init__(self) -> None:
        if self.splits < 1:
            raise ValueError(f"splits must be at least 1, not {self.splits}")

    def check_applicable(self, fake: FeatureSet, real: FeatureSet) -> None:
        super().check_applicable(fake, real)
        if len(fake) < 2 * self.splits:
            raise MetricNotApplicable(f"{self.splits} splits need at least twice as many examples")

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        parts = [divergences(part) for part in shuffled(logits(fake)).tensor_split(self.cuts(fake))]
        scores = torch.stack([part.mean().exp() for part in parts])
        errors = [
            float(score) * deviation(part) / len(part) ** 0.5
            for score, part in zip(scores, parts, strict=True)
        ]
        return Measurement(float(scores.mean()), sum(e**2 for e in errors) ** 0.5 / self.splits)

    def cuts(self, fake: FeatureSet) -> list[int]:
        return [part * len(fake) // self.splits for part in range(1, self.splits)]


def shuffled(rows: Tensor) -> Tensor:
    return rows[
        torch.from_numpy(np.random.RandomState(SEED).permutation(len(rows))).to(rows.device)
    ]


def divergences(known: Tensor) -> Tensor:
    """KL(p(y | x) || p(y)) of each of these examples [N], in nats."""
    known = (known - known.amax(1, keepdim=True)).clamp(min=IMPOSSIBLE).log_softmax(1)
    posterior = known.exp()
    return (posterior * (known - posterior.mean(0).log())).sum(1)
