"""The base class of metrics, their requirement checks and shared estimators.

A metric is a pure function of the features that an extractor computed for fakes and reals.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from ganbench.data.base import Mixture
from ganbench.data.modality import CLIPS, IMAGES, POINTS, modality_of
from ganbench.deprecation import RenamedHooks
from ganbench.errors import GanbenchError
from ganbench.registry import PluginError, find_local_part, shorten
from ganbench.renamed import METRIC_HOOKS

from .feature_set import FeatureSet
from .pairwise import PairwiseStatistic, compute_pairwise
from .possible_values import describe_impossible

Direction = Literal["lower", "higher"]  # the better direction
Transform = Literal["log", "logit", "none"]  # the scale of means and differences


@dataclass(frozen=True)
class Measurement:
    """A metric's value and its standard error over draws of the fakes.

    The error holds the reference fixed. It is None if no estimator of it is known.
    """

    value: float
    standard_error: float | None = None


class MetricNotApplicable(GanbenchError, ValueError):
    """A metric is not applicable to these samples; the message gives the reason."""


@dataclass(frozen=True)
class Metric(RenamedHooks):
    """A metric's settings and its declarations.

    `direction` is the better direction. `transform` is the scale of means and differences over
    trials. `unit` is printed beside values. `needs` names the requirements on the samples, which
    are checked before any computation:

    - features: at least 2 examples per side, with finite features of equal width
    - logits: class logits [N, K]
    - classes: logits of the data's own classes
    - images: uint8 images [N, C, H, W]
    - mixture: points of a known mixture
    - modes: a known mixture or classes
    - held_out: held-out real examples
    - labels: the classes that fakes were conditioned on
    - truth: the target image or clip of each fake
    - returned: fakes translated back to the source domain
    - back: translations in the other direction
    - captions: the captions that fakes were conditioned on, of a known grammar
    - sampler: the generator of the fakes
    - clips: clips of at least two frames
    - law: clips with a known law of motion
    - frames: features and class logits of single frames
    - shuffled: features of clips with shuffled frames
    """

    version: ClassVar[int] = 1
    neutral: ClassVar[dict[str, Any]] = {}
    renamed_hooks: ClassVar[Mapping[str, str]] = METRIC_HOOKS
    direction: ClassVar[Direction]  # each metric declares it: a wrong one would name a wrong winner
    transform: ClassVar[Transform] = "none"
    unit: ClassVar[str] = ""
    needs: ClassVar[tuple[str, ...]] = ("features",)

    def __call__(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        """Returns the measurement of fakes against reals.

        Raises MetricNotApplicable if the metric has no value for these samples, and PluginError if
        `compute` returns anything other than a Measurement of Python numbers.
        """
        self.check_applicable(fake, real)
        measured = self.compute(fake, real)
        require_measurement(type(self), measured)
        return measured

    def check_applicable(self, fake: FeatureSet, real: FeatureSet) -> None:
        """Raises MetricNotApplicable if the metric has no value for these samples."""
        for need in self.needs:
            REQUIREMENT_CHECKS[need](fake, real)

    def needs_images(self) -> bool:
        """Returns whether the metric reads images, not only features."""
        return "images" in self.needs

    def pairwise_statistics(self, fake: FeatureSet, real: FeatureSet) -> "PairwiseStatistics":
        """Returns the pairwise statistics that `compute` will read from the cache."""
        return PairwiseStatistics()

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        """Returns the measurement for samples that meet all requirements in `needs`."""
        raise NotImplementedError

    def expected_floor(self, real: FeatureSet, count: int) -> float | None:
        """Returns the expected value for `count` samples of a perfect generator.

        The reals count as independent. Returns None if theory gives no such value.
        """
        return None


@dataclass(frozen=True)
class PairwiseStatistics:
    """The statistics that a metric needs of pairs of examples.

    `fakes` are over pairs of fakes, `reals` over pairs of reals, `pairs` over a fake and a real.
    """

    fakes: tuple[PairwiseStatistic, ...] = ()
    reals: tuple[PairwiseStatistic, ...] = ()
    pairs: tuple[PairwiseStatistic, ...] = ()


def require_measurement(part: type[Metric], measured: object) -> None:
    """Raises PluginError for anything other than a Measurement of Python numbers."""
    if isinstance(measured, Measurement):
        error = measured.standard_error
        if is_number(measured.value) and (error is None or is_number(error)):
            return
    local = find_local_part(part.__module__)
    raise PluginError(
        f"metric {local.label if local else part.__module__}:{part.__name__}: compute returned "
        f"{shorten(repr(measured))}, expected a Measurement of Python numbers: write "
        "Measurement(float(value))"
    )


def is_number(value: object) -> bool:
    """Returns whether JSON can hold a value as a number; it cannot hold tensors."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def require_possible(label: str, metric: Metric, measured: Measurement) -> None:
    """Raises MetricNotApplicable for a value that the transform cannot scale, or a bad error."""
    reason = describe_impossible(measured.value, metric.transform)
    error = measured.standard_error
    if error is not None and not 0 <= error < inf:
        reason = f"the standard error is {error}; return None if it is unknown"
    if reason:
        raise MetricNotApplicable(f"metric {label}: {reason}")


def compute_pairwise_statistics(
    metrics: Iterable[Metric], fake: FeatureSet, real: FeatureSet
) -> None:
    """Computes the pairwise statistics of all applicable metrics in one pass over the pairs.

    Without this call, each metric makes a pass of its own.
    """
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
    """Returns whether all values are finite.

    A finite sum implies finite terms and needs no copy. A sum of huge terms may overflow, so the
    terms are then checked one by one.
    """
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
            raise MetricNotApplicable("needs class logits, but this extractor returns none")
        if not has_only_finite(side.logits):
            raise MetricNotApplicable("some examples have logits that are not finite")


def need_classes(fake: FeatureSet, real: FeatureSet) -> None:
    need_logits(fake, real)
    if not fake.classes_are_modes:
        raise MetricNotApplicable(
            "needs the data's own classes as modes, but this extractor predicts other classes"
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
            raise MetricNotApplicable("needs images, but the samples are features or points")
        if modality is not IMAGES:
            raise MetricNotApplicable(f"needs images, but the samples are {modality.name}")


def need_held_out(fake: FeatureSet, real: FeatureSet) -> None:
    if real.held_out is None:
        raise MetricNotApplicable("needs held-out real examples, but there are none")
    need_features(real.held_out(), real)


def need_labels(fake: FeatureSet, real: FeatureSet) -> None:
    if fake.labels is None:
        raise MetricNotApplicable(
            "needs the class labels that fakes were conditioned on, but there are none"
        )


def need_truth(fake: FeatureSet, real: FeatureSet) -> None:
    if fake.truth is None:
        raise MetricNotApplicable("needs the true output for each fake, which is unknown here")
    for side in (fake, real):
        if side.images is None or not modality_of(side.images).has_pixels:
            raise MetricNotApplicable("needs images, but the samples are features or points")


def need_returned(fake: FeatureSet, real: FeatureSet) -> None:
    need_images(fake, real)
    if fake.returned is None:
        raise MetricNotApplicable(
            "needs fakes that were translated back, but there is no inverse translation here"
        )


def need_back(fake: FeatureSet, real: FeatureSet) -> None:
    if fake.back is None or real.back is None:
        raise MetricNotApplicable(
            "needs translations between two domains, but there is only one here"
        )


def need_captions(fake: FeatureSet, real: FeatureSet) -> None:
    if real.grammar is None:
        raise MetricNotApplicable(
            "needs captions of a grammar, whose values a classifier reads, and these data have none"
        )
    need_labels(fake, real)


def need_sampler(fake: FeatureSet, real: FeatureSet) -> None:
    if fake.sampler is None:
        raise MetricNotApplicable("needs the generator, but only its images are given")


def need_clips(fake: FeatureSet, real: FeatureSet) -> None:
    for side in (fake, real):
        modality = None if side.images is None else modality_of(side.images)
        if modality is not CLIPS:
            found = "samples without frames" if modality is None else modality.name
            raise MetricNotApplicable(f"needs clips, not {found}")


def need_law(fake: FeatureSet, real: FeatureSet) -> None:
    need_clips(fake, real)
    if real.law is None:
        raise MetricNotApplicable("needs clips with a known law of motion, which is unknown here")


def need_frames(fake: FeatureSet, real: FeatureSet) -> None:
    need_clips(fake, real)
    for side in (fake, real):
        if side.frames is None:
            raise MetricNotApplicable("needs an extractor of single frames, and there is none")


def need_shuffled(fake: FeatureSet, real: FeatureSet) -> None:
    need_clips(fake, real)
    for side in (fake, real):
        if side.shuffled is None:
            raise MetricNotApplicable(
                "needs the extractor of the clips, and only features are given"
            )


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
    "clips": need_clips,
    "law": need_law,
    "frames": need_frames,
    "shuffled": need_shuffled,
    "captions": need_captions,
}


def logits_of(sample: FeatureSet) -> Tensor:
    """Returns the logits of a sample in float64 [N, K]."""
    assert sample.logits is not None
    return sample.logits.double()


def count_modes(sample: FeatureSet, mixture: Mixture | None) -> Tensor:
    """Returns the number of examples in each mode: float64 [K].

    For a mixture, a mode counts the examples within three standard deviations of its centre, as in
    Lin et al. (2018). Otherwise the modes are the classes that the extractor predicts.
    """
    if mixture is None:
        predicted = logits_of(sample)
        return predicted.argmax(1).bincount(minlength=predicted.shape[1]).double()
    nearest, good = assign_to_centres(sample.features, mixture)
    return nearest[good].bincount(minlength=len(mixture.centres)).double()


def assign_to_centres(points: Tensor, mixture: Mixture) -> tuple[Tensor, Tensor]:
    """Returns each point's nearest centre and whether it is within three deviations: [N], [N]."""
    centres = mixture.centres.to(points)
    distance, nearest = torch.cdist(points.double(), centres.double()).min(1)
    return nearest, distance <= 3 * mixture.std


def share_measurement(value: float, count: int) -> Measurement:
    """Returns a share of independent examples with its binomial standard error."""
    return Measurement(value, (value * (1 - value) / count) ** 0.5)


def mean_measurement(values: Tensor) -> Measurement:
    """Returns the mean of independent values [N] with its standard error."""
    return Measurement(float(values.mean()), standard_deviation(values) / len(values) ** 0.5)


def standard_deviation(values: Tensor) -> float:
    return float(values.double().std())
