"""A metric is a pure function of what an extractor made of fakes and of reals."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from ..data.base import Mixture

Direction = Literal["lower", "higher"]  # which is better
Transform = Literal["log", "logit", "none"]  # the scale on which means and differences are taken


@dataclass(frozen=True, eq=False)
class Sample:
    """Features [N, D] and, from extractors that classify, logits [N, K]; float32 on the CPU."""

    features: Tensor
    logits: Tensor | None = None
    mixture: Mixture | None = None  # the law that real points were drawn from
    classes_are_modes: bool = True  # are the logits' classes those of the data?

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True)
class Measurement:
    value: float
    standard_error: float | None = None  # where an estimator of it is known


class Unmeasurable(ValueError):
    """Why a metric has no meaning for a sample, in a sentence."""


@dataclass(frozen=True)
class Metric:
    version: ClassVar[int] = 1
    neutral: ClassVar[dict[str, Any]] = {}
    direction: ClassVar[Direction] = "lower"
    transform: ClassVar[Transform] = "none"
    unit: ClassVar[str] = ""

    def __call__(self, fake: Sample, real: Sample) -> Measurement:
        """The value for fakes measured against reals; raises Unmeasurable if there is none."""
        raise NotImplementedError


def finite(sample: Sample) -> Tensor:
    """The features, or a sentence about those that are not numbers."""
    if len(sample) < 2:
        raise Unmeasurable(f"a metric needs at least 2 examples, not {len(sample)}")
    if not bool(sample.features.isfinite().all()):
        bad = int((~sample.features.isfinite()).any(1).sum())
        raise Unmeasurable(f"{bad} of {len(sample)} examples have features that are not finite")
    return sample.features


def logits(sample: Sample) -> Tensor:
    if sample.logits is None:
        raise Unmeasurable("needs class logits, and this extractor gives none")
    if not bool(sample.logits.isfinite().all()):
        raise Unmeasurable("some examples have logits that are not finite")
    return sample.logits


def mode_counts(fake: Sample, real: Sample) -> Tensor:
    """How many fakes belong to each mode: [K]. Points within three deviations of a centre; classes.

    The first is the protocol of Lin et al. (2018): the nearest centre, and only high-quality points.
    """
    finite(fake)
    if real.mixture is None:
        predicted = logits(fake)
        if not fake.classes_are_modes:
            raise Unmeasurable(
                "modes are the data's classes, and this extractor tells others apart"
            )
        return predicted.argmax(1).bincount(minlength=predicted.shape[1])
    nearest, good = assigned(fake.features, real.mixture)
    return nearest[good].bincount(minlength=len(real.mixture.centres))


def assigned(points: Tensor, mixture: Mixture) -> tuple[Tensor, Tensor]:
    """Each point's nearest centre, and whether it lies within three deviations of it: [N], [N]."""
    distance, nearest = torch.cdist(points.double(), mixture.centres.double()).min(1)
    return nearest, distance <= 3 * mixture.std
