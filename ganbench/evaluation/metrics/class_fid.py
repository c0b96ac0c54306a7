"""Class FID (after Miyato and Koyama, 2018, "intra-FID"): the mean of FID within classes.

The extractor's own classifier predicts the classes of fakes and of reals. In intra-FID a fake has the
class that it was generated for, so that disobeyed labels raise it; here they do not. This metric
detects poor or uniform images of one class, which good images of other classes hide in FID. It
ignores the frequencies of the classes. The standard error assumes independent classes.
"""

from collections.abc import Hashable
from dataclasses import dataclass

from torch import Tensor

from .base import Measurement, Metric, MetricNotApplicable, count_modes, logits_of
from .feature_set import Cache, FeatureSet, Tensors
from .frechet import expected_distance, frechet_distance, influence_deviation

MAX_CLASSES_NAMED = 3  # classes named in a message


@dataclass(frozen=True)
class ClassFID(Metric):
    direction = "lower"
    transform = "log"
    needs = ("features", "classes")

    def check_applicable(self, fake: FeatureSet, real: FeatureSet) -> None:
        super().check_applicable(fake, real)
        fewest = count_modes(fake, None).minimum(count_modes(real, None))
        rare = (fewest < 2).nonzero()[:, 0].tolist()
        if rare:
            names = ", ".join(map(str, rare[:MAX_CLASSES_NAMED])) + (
                ", ..." if len(rare) > MAX_CLASSES_NAMED else ""
            )
            raise MetricNotApplicable(
                f"{len(rare)} of {len(fewest)} classes have fewer than 2 fakes or reals: {names}"
            )

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        pairs = list(zip(split_by_class(fake), split_by_class(real), strict=True))
        value = sum(frechet_distance(*pair) for pair in pairs) / len(pairs)
        errors = [class_fid_error(*pair) for pair in pairs]
        measured = [e for e in errors if e is not None]
        total = sum(e**2 for e in measured) ** 0.5 / len(pairs)
        return Measurement(value, total if len(measured) == len(pairs) else None)

    def expected_floor(self, real: FeatureSet, count: int) -> float | None:
        floors = [
            expected_distance(part, fair_count(part, real, count)) for part in split_by_class(real)
        ]
        expected_floors = [floor for floor in floors if floor is not None]
        return (
            sum(expected_floors) / len(expected_floors)
            if len(expected_floors) == len(floors)
            else None
        )


def fair_count(part: FeatureSet, real: FeatureSet, count: int) -> int:
    """Returns the number of fakes in a class if `count` fakes follow the reals' frequencies."""
    return max(2, count * len(part) // len(real))


def class_fid_error(fake: FeatureSet, real: FeatureSet) -> float | None:
    one = influence_deviation(fake, real)
    return None if one is None else one / len(fake) ** 0.5


def split_by_class(sample: FeatureSet) -> list[FeatureSet]:
    """Returns one sample per predicted class, each with its part of the cache."""
    class_logits = logits_of(sample)
    predicted = class_logits.argmax(1)
    return [
        class_feature_set(sample, predicted == label, label)
        for label in range(class_logits.shape[1])
    ]


def class_feature_set(sample: FeatureSet, chosen: Tensor, label: int) -> FeatureSet:
    subset = FeatureSet(sample.features[chosen])
    subset.cache = ClassCache(sample.cache, label)
    return subset


class ClassCache(Cache):
    """The cache of one class, inside the cache of the whole sample.

    Entries with a text as name are stored in the whole sample's cache, which may be on disk.
    """

    def __init__(self, whole: Cache, label: int):
        super().__init__()
        self.whole, self.label = whole, label

    def get(self, name: Hashable) -> Tensors | None:
        return (
            self.whole.get(self.qualified_name(name))
            if isinstance(name, str)
            else super().get(name)
        )

    def put(self, name: Hashable, tensors: Tensors) -> None:
        if isinstance(name, str):
            self.whole.put(self.qualified_name(name), tensors)
        else:
            super().put(name, tensors)

    def qualified_name(self, name: str) -> str:
        return f"class {self.label} {name}"
