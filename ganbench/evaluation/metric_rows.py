"""Rows of an evaluation: readings of fakes, measured floors and expected floors."""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.base import Measurement, is_applicable
from ganbench.evaluation.metrics.feature_set import FeatureSet, Tensors
from ganbench.rng import RngStreams

from .result import MetricRow

STREAM, HALVES = "evaluation", "halves"


def make_metric_row(
    metric: str,
    reading: Measurement | str,
    floor: Measurement | str | None,
    real: FeatureSet,
    count: int,
) -> MetricRow:
    part = METRICS.make(metric)
    empty = MetricRow(metric, part.direction, label=metric)
    if isinstance(reading, str):
        return replace(empty, reason=reading)
    theory = part.expected_floor(real, count) if is_applicable(part, real, real) else None
    row = replace(
        empty, value=reading.value, standard_error=reading.standard_error, expected=theory
    )
    if not isinstance(floor, Measurement) or math.isnan(floor.value):
        return row
    return replace(row, floor=floor.value, floor_standard_error=floor.standard_error)


def split_in_halves(real: FeatureSet, count: int) -> tuple[FeatureSet, FeatureSet]:
    """Returns two disjoint halves of the reals, with a fixed random split.

    The first half is no larger than the number of fakes.
    """
    random = RngStreams(0, torch.device("cpu")).generator(STREAM, HALVES)
    order = torch.randperm(len(real), generator=random)
    middle = len(real) // 2
    return select_examples(real, order[: min(middle, count)]), select_examples(real, order[middle:])


def select_examples(sample: FeatureSet, index: Tensor) -> FeatureSet:
    place = index.to(sample.features.device)
    return replace(
        sample,
        features=sample.features[place],
        logits=None if sample.logits is None else sample.logits[place],
        images=None if sample.images is None else sample.images[index],
        labels=None if sample.labels is None else sample.labels[index],
        held_out=None,
    )


def cached_reading(
    sample: FeatureSet, name: str, make: Callable[[], Measurement | str]
) -> Measurement | str:
    """Returns a reading from the sample's cache; on a miss, makes it.

    Stores only readings that have a value.
    """
    stored = sample.cache.get(name)
    if stored is not None:
        value, error = stored["reading"].tolist()
        return Measurement(value, None if error != error else error)
    reading = make()
    if isinstance(reading, Measurement):
        error = float("nan") if reading.standard_error is None else reading.standard_error
        tensors: Tensors = {"reading": torch.tensor([reading.value, error], dtype=torch.float64)}
        sample.cache.put(name, tensors)
    return reading
