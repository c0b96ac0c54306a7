"""Readings and floors: what fakes score, what reals score in their place, and what theory expects."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.base import Measurement, MetricNotApplicable, applies
from ganbench.evaluation.metrics.feature_set import FeatureSet, Tensors
from ganbench.evaluation.protocols.base import MeasurementRules
from ganbench.rng import RngStreams

from .result import Row

STREAM, HALVES = "evaluation", "halves"


def reading(
    rules: MeasurementRules, metric: str, fake: FeatureSet, real: FeatureSet
) -> Measurement | str:
    try:
        return rules.measure(metric, fake, real)
    except MetricNotApplicable as reason:
        return str(reason)


def row(
    metric: str,
    found: Measurement | str,
    floor: Measurement | str | None,
    real: FeatureSet,
    count: int,
) -> Row:
    part = METRICS.make(metric)
    empty = Row(metric, part.direction)
    if isinstance(found, str):
        return replace(empty, reason=found)
    theory = part.expected_floor(real, count) if applies(part, real, real) else None
    known = floor if isinstance(floor, Measurement) else Measurement(float("nan"))
    return replace(
        empty,
        value=found.value,
        standard_error=found.standard_error,
        floor=None if known.value != known.value else known.value,
        floor_standard_error=known.standard_error,
        expected=theory,
    )


def halves(real: FeatureSet, count: int) -> tuple[FeatureSet, FeatureSet]:
    """Two disjoint halves of the reals, drawn once and for all; the first no larger than the fakes."""
    random = RngStreams(0, torch.device("cpu")).generator(STREAM, HALVES)
    order = torch.randperm(len(real), generator=random)
    middle = len(real) // 2
    return part(real, order[: min(middle, count)]), part(real, order[middle:])


def part(sample: FeatureSet, index: Tensor) -> FeatureSet:
    place = index.to(sample.features.device)
    return replace(
        sample,
        features=sample.features[place],
        logits=None if sample.logits is None else sample.logits[place],
        images=None if sample.images is None else sample.images[index],
        labels=None if sample.labels is None else sample.labels[index],
        held_out=None,
    )


def shelved(
    sample: FeatureSet, name: str, make: Callable[[], Measurement | str]
) -> Measurement | str:
    """A reading that is kept with a sample, if it has a value."""
    known = sample.shelf.get(name)
    if known is not None:
        value, error = known["reading"].tolist()
        return Measurement(value, None if error != error else error)
    found = make()
    if isinstance(found, Measurement):
        error = float("nan") if found.standard_error is None else found.standard_error
        made: Tensors = {"reading": torch.tensor([found.value, error], dtype=torch.float64)}
        sample.shelf.put(name, made)
    return found
