"""Estimates the seconds to draw samples, extract features and compute metrics.

A few samples are drawn and extracted, and their seconds are scaled to the full count. Metrics are
timed on random features. Large sets are made smaller by a factor k in every direction, which divides
the work of products of matrices by k³.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch

from ganbench.evaluation.evaluator import Evaluator, evaluator_for
from ganbench.evaluation.metrics.feature_set import FeatureSet
from ganbench.rng import RngStreams
from ganbench.training.sampling import GeneratedSamples, draw_samples_of_task
from ganbench.training.trainer import Trainer

FIRST_COUNT = 4  # samples of the first timing
MIN_TIMED_SECONDS = 0.1  # of samples; fewer are too few to be scaled
MAX_TIMED_PRODUCTS = 2e9  # multiplications of the largest product of matrices in timed metrics
MIN_SHRUNK_COUNT = 64  # examples per side of timed metrics

Draw = Callable[[int], GeneratedSamples]


@dataclass(frozen=True)
class MeasurementTime:
    """Seconds of one measurement under a protocol, without the drawing of samples."""

    extraction: float  # of one image
    metrics: float  # of all metrics together
    fakes: int

    @property
    def seconds(self) -> float:
        return self.fakes * self.extraction + self.metrics


def make_draw(trainer: Trainer, evaluator: Evaluator, streams: RngStreams) -> Draw:
    """Returns a function that draws this number of samples of the trainer's generators."""
    held_out = evaluator.split.held_out

    def draw(count: int) -> GeneratedSamples:
        generators = trainer.sampling_generators()
        return draw_samples_of_task(trainer.task, generators, held_out, streams, "selection", count)

    return draw


def time_drawing(draw: Draw) -> float:
    """Returns the seconds to draw one sample."""
    return time_per_example(lambda count: draw(count).images.cpu())


@lru_cache(maxsize=64)
def time_measurement(
    data: str, device: str, protocol: str, metrics: tuple[str, ...]
) -> MeasurementTime:
    """Times a measurement under a protocol, once per process."""
    evaluator = evaluator_for(data, device, protocol)
    images = evaluator.reference[:FIRST_COUNT]
    features = evaluator.extract(images)
    extraction = time_extraction(data, device, protocol)
    return MeasurementTime(
        extraction, time_metrics(evaluator, features, metrics), evaluator.protocol.fake
    )


@lru_cache(maxsize=64)
def time_extraction(data: str, device: str, protocol: str) -> float:
    """Returns the seconds to extract the features of one image."""
    evaluator = evaluator_for(data, device, protocol)
    images = evaluator.reference

    def extract(count: int) -> object:
        return evaluator.extract(images[:count]).features.cpu()

    return time_per_example(extract, len(images))


def time_per_example(compute: Callable[[int], object], most: int = 512) -> float:
    """Returns the seconds per example of a call that is long enough, with `most` or fewer."""
    count = min(FIRST_COUNT, most)
    compute(count)  # to warm up
    seconds = time_call(compute, count)
    while seconds < MIN_TIMED_SECONDS and count < most:
        count = min(2 * count, most)
        seconds = time_call(compute, count)
    return seconds / count


def time_call(compute: Callable[..., object], *arguments: object) -> float:
    began = time.perf_counter()
    compute(*arguments)
    return time.perf_counter() - began


def time_metrics(evaluator: Evaluator, example: FeatureSet, metrics: tuple[str, ...]) -> float:
    """Returns the seconds to compute metrics, without those that read images or the generator."""
    counts = evaluator.protocol.fake, evaluator.protocol.real
    shrinkage = choose_shrinkage(*counts, example.features.shape[1])
    fakes, reals = (shrink_count(count, shrinkage) for count in counts)
    real, held_out = (draw_features(example, count, shrinkage) for count in (reals, fakes))
    real.held_out = lambda: held_out
    compute_metrics(evaluator, draw_features(example, fakes, shrinkage), real, metrics)
    fake = draw_features(example, fakes, shrinkage)  # the real side is now cached, as in a run
    return shrinkage**3 * time_call(compute_metrics, evaluator, fake, real, metrics)


def choose_shrinkage(fakes: int, reals: int, width: int) -> float:
    """Returns the factor that makes the products of matrices small enough, at least 1."""
    products = width * max(fakes, width) * max(reals, width)
    return max(1.0, (products / MAX_TIMED_PRODUCTS) ** (1 / 3))


def shrink_count(count: int, shrinkage: float) -> int:
    return min(count, max(MIN_SHRUNK_COUNT, round(count / shrinkage)))


def draw_features(example: FeatureSet, count: int, shrinkage: float) -> FeatureSet:
    """Returns random features and logits of the kind of an example, of full rank."""
    width = max(2, round(example.features.shape[1] / shrinkage))
    logits = None
    if example.logits is not None:
        logits = torch.randn(count, example.logits.shape[1]).to(example.features)
    features = torch.randn(count, width).to(example.features)
    return FeatureSet(features, logits, classes_are_modes=example.classes_are_modes)


def compute_metrics(
    evaluator: Evaluator, fake: FeatureSet, real: FeatureSet, metrics: tuple[str, ...]
) -> None:
    evaluator.rules.prepare_metrics(metrics, fake, real)
    for metric in metrics:
        evaluator.rules.measure_or_reason(metric, fake, real)
