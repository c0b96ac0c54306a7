"""Inception score (Salimans et al., 2016): the exponential of a mean KL divergence.

`exp E KL(p(y|x) ‖ p(y))`.

The value is the mean over ten splits (`splits`) after a shuffle, as in torch-fidelity. The logits
come from the extractor in use, so scores of different extractors are different metrics. The
standard error comes from the spread of the examples' divergences, which are the derivative's
values. Scores lie between 1 and the number of classes.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .base import Measurement, Metric, MetricNotApplicable, logits_of, standard_deviation
from .feature_set import FeatureSet

SPLIT_SEED = 2020
MIN_RELATIVE_LOGIT = -80  # below the highest logit: a probability of 2e-35 with a finite logarithm


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
        parts = [
            kl_to_marginal(part)
            for part in shuffle_rows(logits_of(fake)).tensor_split(self.split_bounds(fake))
        ]
        scores = torch.stack([part.mean().exp() for part in parts])
        errors = [
            float(score) * standard_deviation(part) / len(part) ** 0.5
            for score, part in zip(scores, parts, strict=True)
        ]
        return Measurement(float(scores.mean()), sum(e**2 for e in errors) ** 0.5 / self.splits)

    def split_bounds(self, fake: FeatureSet) -> list[int]:
        return [part * len(fake) // self.splits for part in range(1, self.splits)]


def shuffle_rows(rows: Tensor) -> Tensor:
    return rows[
        torch.from_numpy(np.random.RandomState(SPLIT_SEED).permutation(len(rows))).to(rows.device)
    ]


def kl_to_marginal(log_probabilities: Tensor) -> Tensor:
    """Returns KL(p(y | x) || p(y)) of each example in nats [N]."""
    log_probabilities = (
        (log_probabilities - log_probabilities.amax(1, keepdim=True))
        .clamp(min=MIN_RELATIVE_LOGIT)
        .log_softmax(1)
    )
    posterior = log_probabilities.exp()
    return (posterior * (log_probabilities - posterior.mean(0).log())).sum(1)
