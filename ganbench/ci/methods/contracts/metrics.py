"""The contract of metrics: pure, repeatable, in their domain, and worse for worse fakes."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.base import Metric, MetricNotApplicable
from ganbench.evaluation.metrics.feature_set import FeatureSet
from ganbench.evaluation.metrics.possible_values import describe_impossible

COUNT, WIDTH, CLASSES = 60, 4, 5
WORSE = {"lower": 1, "higher": -1}


def make_side(
    seed: int, shift: float = 0.0, scale: float = 1.0, classes_hit: int = CLASSES
) -> FeatureSet:
    """Returns features, logits of some of the classes, and small images of the features."""
    features = scale * draw(COUNT, WIDTH, seed=seed) + shift
    classes = torch.arange(COUNT) % classes_hit
    images = (128 + 20 * features.clamp(-5, 5)).to(torch.uint8).view(COUNT, 1, 2, 2)
    logits = 8.0 * torch.eye(CLASSES)[classes] + draw(COUNT, CLASSES, seed=seed + 50)
    return FeatureSet(
        features=features,
        logits=logits,
        images=images.repeat_interleave(4, 2).repeat_interleave(4, 3),
        labels=torch.arange(COUNT) % CLASSES,
    )


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def measure(metric: Metric, fake: FeatureSet, real: FeatureSet) -> float | None:
    """Returns a value, or None if the metric is not applicable."""
    try:
        return float(metric(fake, real).value)
    except MetricNotApplicable:
        return None


def make_real() -> FeatureSet:
    real = make_side(1)
    real.held_out = lambda: make_side(3)
    return real


def check_metric(text: str) -> Iterator[str]:
    """Yields the violations of the contract by a metric."""
    metric: Metric = METRICS.make(text)
    good, bad = (make_side(2), make_side(2, shift=4.0, scale=0.2, classes_hit=2))
    values = [measure(metric, fake, make_real()) for fake in (good, bad)]
    if values[0] is None:
        yield "it has no value for features, logits, images and labels of both sides"
        return
    if faults := list(domain_faults(metric, values)):  # other faults would only repeat them
        yield from faults
        return
    if values[1] is not None and not WORSE[metric.direction] * (values[1] - values[0]) > 0:
        yield (
            f"its better direction is {metric.direction}, but shifted fakes of few classes have "
            f"{values[1]:.4g} and good ones {values[0]:.4g}"
        )
    yield from purity_faults(metric, values[0])
    yield from input_faults(metric)


def domain_faults(metric: Metric, values: list[float | None]) -> Iterator[str]:
    for value in (v for v in values if v is not None):
        if reason := describe_impossible(value, metric.transform):
            yield reason


def purity_faults(metric: Metric, value: float) -> Iterator[str]:
    """Yields a sentence if a measurement does not repeat, or changes its samples."""
    fake, real = make_side(2), make_real()
    before = fake.features.clone(), real.features.clone()
    state = torch.random.get_rng_state()
    torch.manual_seed(999)
    again = measure(metric, fake, real)
    torch.random.set_rng_state(state)
    if again != value:
        yield "a second measurement differs: draw from a torch.Generator with a seed"
    if not torch.equal(fake.features, before[0]) or not torch.equal(real.features, before[1]):
        yield "it changes the features of its samples"


def input_faults(metric: Metric) -> Iterator[str]:
    """Yields a sentence if bad samples end in a number or in another error."""
    broken = make_side(2)
    broken.features[3, 1] = math.nan
    if "features" in metric.needs and measure(metric, broken, make_real()) is not None:
        yield "features that are not a number have a value"
    for count in (2, 3):
        few = FeatureSet(features=make_side(2).features[:count])
        value = measure(metric, few, FeatureSet(features=make_side(1).features[:count]))
        if value is not None and not math.isfinite(value):
            yield f"{count} examples have the value {value}: raise MetricNotApplicable"
