"""FID within classes: its mean over the classes that the extractor's own classifier tells on both sides.

It sees classes whose images are poor, or all alike, behind the good ones of others (intra-FID, Miyato and
Koyama, 2018), but not how many there are of each. Its error is that of independent classes.
"""

from collections.abc import Hashable
from dataclasses import dataclass

from torch import Tensor

from .base import Measurement, Metric, MetricNotApplicable, logits, mode_counts
from .feature_set import Cache, FeatureSet, Tensors
from .frechet import distance, expected, spread

FEW = 3  # names that a sentence bears


@dataclass(frozen=True)
class ClassFid(Metric):
    direction = "lower"
    transform = "log"
    needs = ("features", "classes")

    def check_applicable(self, fake: FeatureSet, real: FeatureSet) -> None:
        super().check_applicable(fake, real)
        fewest = mode_counts(fake, None).minimum(mode_counts(real, None))
        rare = (fewest < 2).nonzero()[:, 0].tolist()
        if rare:
            names = ", ".join(map(str, rare[:FEW])) + (", ..." if len(rare) > FEW else "")
            raise MetricNotApplicable(
                f"{len(rare)} of {len(fewest)} classes have fewer than 2 fakes or reals: {names}"
            )

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        pairs = list(zip(classes(fake), classes(real), strict=True))
        value = sum(distance(*pair) for pair in pairs) / len(pairs)
        errors = [error(*pair) for pair in pairs]
        known = [e for e in errors if e is not None]
        total = sum(e**2 for e in known) ** 0.5 / len(pairs)
        return Measurement(value, total if len(known) == len(pairs) else None)

    def expected_floor(self, real: FeatureSet, count: int) -> float | None:
        floors = [expected(part, fair(part, real, count)) for part in classes(real)]
        known = [floor for floor in floors if floor is not None]
        return sum(known) / len(known) if len(known) == len(floors) else None


def fair(part: FeatureSet, real: FeatureSet, count: int) -> int:
    """How many of so many fakes are of a class, if they are as often as the reals."""
    return max(2, count * len(part) // len(real))


def error(fake: FeatureSet, real: FeatureSet) -> float | None:
    one = spread(fake, real)
    return None if one is None else one / len(fake) ** 0.5


def classes(sample: FeatureSet) -> list[FeatureSet]:
    """The examples of each class, with what was made of them before."""
    known = logits(sample)
    told = known.argmax(1)
    return [part(sample, told == label, label) for label in range(known.shape[1])]


def part(sample: FeatureSet, chosen: Tensor, label: int) -> FeatureSet:
    found = FeatureSet(sample.features[chosen])
    found.shelf = Corner(sample.shelf, label)
    return found


class Corner(Cache):
    """For one class on the shelf of the whole sample: what is kept of that for long, is kept of this."""

    def __init__(self, whole: Cache, label: int):
        super().__init__()
        self.whole, self.label = whole, label

    def get(self, name: Hashable) -> Tensors | None:
        return self.whole.get(self.full(name)) if isinstance(name, str) else super().get(name)

    def put(self, name: Hashable, made: Tensors) -> None:
        if isinstance(name, str):
            self.whole.put(self.full(name), made)
        else:
            super().put(name, made)

    def full(self, name: str) -> str:
        return f"class {self.label} {name}"
