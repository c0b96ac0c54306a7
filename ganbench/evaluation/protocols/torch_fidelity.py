"""torch-fidelity's own numbers (Obukhov et al., 2020): its functions, defaults and Inception features.

FID, IS, KID of 100 subsets of 1,000, precision and recall of 3 neighbours. Its KID and IS come with the
spread of subsets and splits, which is no standard error, so none is given. That library takes VGG's
features for precision and recall unless it is told otherwise; here all are of one extractor.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch_fidelity.metric_fid import (
    KEY_METRIC_FID,
    fid_features_to_statistics,
    fid_statistics_to_metric,
)
from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, isc_features_to_metric
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric
from torch_fidelity.metric_prc import (
    KEY_METRIC_PRECISION,
    KEY_METRIC_RECALL,
    prc_features_to_metric,
)

from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.base import Measurement, MetricNotApplicable
from ganbench.evaluation.metrics.feature_set import FeatureSet
from ganbench.registry import parse_spec

from .base import MeasurementRules

SUBSETS, SUBSET_SIZE, SPLIT_SEED = 100, 1000, 2020  # its defaults


@dataclass(frozen=True)
class TorchFidelity(MeasurementRules):
    extractor: str = "inception"

    def prepare(self, metrics: Sequence[str], fake: FeatureSet, real: FeatureSet) -> None:
        """It has nothing in common between its metrics."""

    def measure(self, metric: str, fake: FeatureSet, real: FeatureSet) -> Measurement:
        part, name = METRICS.make(metric), parse_spec(metric).name
        if name not in FUNCTIONS:
            raise MetricNotApplicable(f"torch-fidelity has no {name}")
        part.check_applicable(fake, real)
        return Measurement(float(FUNCTIONS[name](part, fake, real)))


def fid(metric: Any, fake: FeatureSet, real: FeatureSet) -> float:
    if fake.features.shape[1] == 1:
        raise MetricNotApplicable("torch-fidelity's FID needs at least 2 features")
    ours, theirs = (fid_features_to_statistics(features(side)) for side in (fake, real))
    return float(fid_statistics_to_metric(ours, theirs, verbose=False)[KEY_METRIC_FID])


def kid(metric: Any, fake: FeatureSet, real: FeatureSet) -> float:
    return kid_of(SUBSETS, SUBSET_SIZE, fake, real)


def kid_subsets(metric: Any, fake: FeatureSet, real: FeatureSet) -> float:
    return kid_of(metric.subsets, metric.subset_size, fake, real)


def kid_of(subsets: int, size: int, fake: FeatureSet, real: FeatureSet) -> float:
    if min(len(fake), len(real)) < size:
        raise MetricNotApplicable(
            f"torch-fidelity's subsets of {size} need as many examples of each side"
        )
    found = kid_features_to_metric(
        features(fake), features(real), kid_subsets=subsets, kid_subset_size=size, verbose=False
    )
    return float(found[KEY_METRIC_KID_MEAN])


def inception_score(metric: Any, fake: FeatureSet, real: FeatureSet) -> float:
    assert fake.logits is not None
    found = isc_features_to_metric(
        fake.logits.cpu(), splits=metric.splits, shuffle=True, rng_seed=SPLIT_SEED
    )
    return float(found[KEY_METRIC_ISC_MEAN])


def precision(metric: Any, fake: FeatureSet, real: FeatureSet) -> float:
    return float(neighbourhoods(metric.k, fake, real)[KEY_METRIC_PRECISION])


def recall(metric: Any, fake: FeatureSet, real: FeatureSet) -> float:
    return float(neighbourhoods(metric.k, fake, real)[KEY_METRIC_RECALL])


def neighbourhoods(k: int, fake: FeatureSet, real: FeatureSet) -> dict[str, float]:
    """Precision and recall, which are one computation."""

    def make() -> dict[str, Tensor]:
        found = prc_features_to_metric(
            features(fake), features(real), prc_neighborhood=k, verbose=False, save_cpu_ram=True
        )
        return {name: fake.features.new_tensor(value).double() for name, value in found.items()}

    made = fake.derived(("torch_fidelity", k, real), make)
    return {name: float(value) for name, value in made.items()}


def features(sample: FeatureSet) -> Tensor:
    return sample.features.cpu()


FUNCTIONS: dict[str, Callable[[Any, FeatureSet, FeatureSet], float]] = {
    "fid": fid,
    "is": inception_score,
    "kid": kid,
    "kid_subsets": kid_subsets,
    "precision": precision,
    "recall": recall,
}
