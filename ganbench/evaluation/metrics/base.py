"""A metric is a pure function of what an extractor made of fakes and of reals."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from ganbench.data.base import Mixture
from ganbench.data.modality import IMAGES, POINTS, modality_of
from ganbench.deprecation import RenamedHooks
from ganbench.errors import GanbenchError
from ganbench.renamed import METRIC_HOOKS

from .feature_set import FeatureSet
from .pairwise import PairwiseStatistic, compute_pairwise

Direction = Literal["lower", "higher"]  # which is better
Transform = Literal["log", "logit", "none"]  # the scale on which means and differences are taken


@dataclass(frozen=True)
class Measurement:
    """A value, and its standard error over drawings of the fakes, the reference held fixed."""

    value: float
    standard_error: float | None = None  # where an estimator of it is known


class MetricNotApplicable(GanbenchError, ValueError):
    """Why a metric has no meaning for a sample, in a sentence."""


@dataclass(frozen=True)
class Metric(RenamedHooks):
    """A metric's settings, and what it declares of itself.

    `needs` names what samples must have: features, logits, classes (logits of the data's own), images,
    mixture, modes (a mixture or classes), held_out, labels (classes that were asked for), truth (what
    each fake should be), returned (fakes translated back), back (translations the other way), sampler
    (what made the fakes). What is missing is told before anything is computed.
    """

    version: ClassVar[int] = 1
    neutral: ClassVar[dict[str, Any]] = {}
    renamed_hooks: ClassVar[Mapping[str, str]] = METRIC_HOOKS
    direction: ClassVar[Direction] = "lower"
    transform: ClassVar[Transform] = "none"
    unit: ClassVar[str] = ""
    needs: ClassVar[tuple[str, ...]] = ("features",)

    def __call__(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        """The value for fakes measured against reals; raises MetricNotApplicable if there is none."""
        self.check_applicable(fake, real)
        return self.compute(fake, real)

    def check_applicable(self, fake: FeatureSet, real: FeatureSet) -> None:
        """Raises MetricNotApplicable if these samples have no value in this metric."""
        for need in self.needs:
            REQUIREMENT_CHECKS[need](fake, real)

    def needs_images(self) -> bool:
        """Does it look at images themselves, and not at features alone?"""
        return "images" in self.needs

    def pairwise_statistics(self, fake: FeatureSet, real: FeatureSet) -> "PairwiseStatistics":
        """What it will ask of pairs of examples."""
        return PairwiseStatistics()

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        """The value, for samples that have what is needed."""
        raise NotImplementedError

    def expected_floor(self, real: FeatureSet, count: int) -> float | None:
        """What so many samples of a perfect generator are expected to score, where theory tells it."""
        return None


@dataclass(frozen=True)
class PairwiseStatistics:
    """What a metric asks of pairs of fakes, of pairs of reals, and of fakes with reals."""

    fakes: tuple[PairwiseStatistic, ...] = ()
    reals: tuple[PairwiseStatistic, ...] = ()
    pairs: tuple[PairwiseStatistic, ...] = ()


def compute_pairwise_statistics(
    metrics: Iterable[Metric], fake: FeatureSet, real: FeatureSet
) -> None:
    """Sweeps once over pairs for all metrics together; each by itself would do so for itself."""
    statistics = [
        metric.pairwise_statistics(fake, real)
        for metric in metrics
        if is_applicable(metric, fake, real)
    ]
    compute_pairwise(real, real, [fact for facts in statistics for fact in facts.reals])
    compute_pairwise(fake, fake, [fact for facts in statistics for fact in facts.fakes])
    compute_pairwise(fake, real, [fact for facts in statistics for fact in facts.pairs])


def is_applicable(metric: Metric, fake: FeatureSet, real: FeatureSet) -> bool:
    try:
        metric.check_applicable(fake, real)
    except MetricNotApplicable:
        return False
    return True


def has_only_finite(values: Tensor) -> bool:
    """A finite sum has finite terms, and takes no copy of them; that of huge ones may overflow."""
    return bool(values.sum().isfinite()) or bool(values.isfinite().all())


def need_features(fake: FeatureSet, real: FeatureSet) -> None:
    for side in (fake, real):
        if len(side) < 2:
            raise MetricNotApplicable(f"a metric needs at least 2 examples, not {len(side)}")
        if not has_only_finite(side.features):
            bad = int((~side.features.isfinite()).any(1).sum())
            raise MetricNotApplicable(
                f"{bad} of {len(side)} examples have features that are not finite"
            )
    if fake.features.shape[1] != real.features.shape[1]:
        raise MetricNotApplicable(
            f"fakes have {fake.features.shape[1]} features and reals {real.features.shape[1]}"
        )


def need_logits(fake: FeatureSet, real: FeatureSet) -> None:
    for side in (fake, real):
        if side.logits is None:
            raise MetricNotApplicable("needs class logits, and this extractor gives none")
        if not has_only_finite(side.logits):
            raise MetricNotApplicable("some examples have logits that are not finite")


def need_classes(fake: FeatureSet, real: FeatureSet) -> None:
    need_logits(fake, real)
    if not fake.classes_are_modes:
        raise MetricNotApplicable(
            "modes are the data's classes, and this extractor tells others apart"
        )


def need_modes(fake: FeatureSet, real: FeatureSet) -> None:
    if real.mixture is None:
        need_classes(fake, real)


def need_mixture(fake: FeatureSet, real: FeatureSet) -> None:
    if real.mixture is None:
        raise MetricNotApplicable("needs points of a known mixture")


def need_images(fake: FeatureSet, real: FeatureSet) -> None:
    for side in (fake, real):
        modality = None if side.images is None else modality_of(side.images)
        if modality is None or modality is POINTS:
            raise MetricNotApplicable("needs images, and there are only features or points")
        if modality is not IMAGES:
            raise MetricNotApplicable(f"needs images, and there are only {modality.name}")


def need_held_out(fake: FeatureSet, real: FeatureSet) -> None:
    if real.held_out is None:
        raise MetricNotApplicable("needs real examples that nobody trained on, and none are given")
    need_features(real.held_out(), real)


def need_labels(fake: FeatureSet, real: FeatureSet) -> None:
    if fake.labels is None:
        raise MetricNotApplicable(
            "needs classes that fakes were asked to show, and none were asked for"
        )


def need_truth(fake: FeatureSet, real: FeatureSet) -> None:
    need_images(fake, real)
    if fake.truth is None:
        raise MetricNotApplicable("needs what each fake should be, and nobody knows that here")


def need_returned(fake: FeatureSet, real: FeatureSet) -> None:
    need_images(fake, real)
    if fake.returned is None:
        raise MetricNotApplicable(
            "needs fakes that were translated back, and there is no way back here"
        )


def need_back(fake: FeatureSet, real: FeatureSet) -> None:
    if fake.back is None or real.back is None:
        raise MetricNotApplicable(
            "needs translations between two domains, and there is but one here"
        )


def need_sampler(fake: FeatureSet, real: FeatureSet) -> None:
    if fake.sampler is None:
        raise MetricNotApplicable("needs the generator itself, and there are only its images")


REQUIREMENT_CHECKS: dict[str, Callable[[FeatureSet, FeatureSet], None]] = {
    "features": need_features,
    "logits": need_logits,
    "classes": need_classes,
    "modes": need_modes,
    "mixture": need_mixture,
    "images": need_images,
    "held_out": need_held_out,
    "sampler": need_sampler,
    "labels": need_labels,
    "truth": need_truth,
    "returned": need_returned,
    "back": need_back,
}


def logits_of(sample: FeatureSet) -> Tensor:
    """The logits of a sample of which they were needed, in float64."""
    assert sample.logits is not None
    return sample.logits.double()


def count_modes(sample: FeatureSet, mixture: Mixture | None) -> Tensor:
    """How many examples belong to each mode: float64 [K].

    Of a mixture those within three deviations of the nearest centre, which is the protocol of Lin et
    al. (2018); else the classes that the extractor tells apart.
    """
    if mixture is None:
        predicted = logits_of(sample)
        return predicted.argmax(1).bincount(minlength=predicted.shape[1]).double()
    nearest, good = assign_to_centres(sample.features, mixture)
    return nearest[good].bincount(minlength=len(mixture.centres)).double()


def assign_to_centres(points: Tensor, mixture: Mixture) -> tuple[Tensor, Tensor]:
    """Each point's nearest centre, and whether it lies within three deviations of it: [N], [N]."""
    centres = mixture.centres.to(points)
    distance, nearest = torch.cdist(points.double(), centres.double()).min(1)
    return nearest, distance <= 3 * mixture.std


def share_measurement(value: float, count: int) -> Measurement:
    """A share of independent examples, with the binomial's standard error."""
    return Measurement(value, (value * (1 - value) / count) ** 0.5)


def mean_measurement(values: Tensor) -> Measurement:
    """The mean of independent examples' values [N]."""
    return Measurement(float(values.mean()), standard_deviation(values) / len(values) ** 0.5)


def standard_deviation(values: Tensor) -> float:
    return float(values.double().std())
