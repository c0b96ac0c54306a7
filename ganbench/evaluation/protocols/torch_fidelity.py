"""torch-fidelity (Obukhov et al., 2020): its functions, defaults and Inception features.

The metrics are FID, IS, KID of 100 subsets of 1,000, and precision and recall of 3 neighbours.
torch-fidelity reports the spread of subsets and splits for KID and IS. That is no standard error,
so this protocol gives none. By default, torch-fidelity computes precision and recall from VGG's
features; this protocol uses one extractor for all metrics.
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

SUBSETS, SUBSET_SIZE, SPLIT_SEED = 100, 1000, 2020  # torch-fidelity's defaults


@dataclass(frozen=True)
class TorchFidelity(MeasurementRules):
    extractor: str = "inception"

    def prepare_metrics(self, metrics: Sequence[str], fake: FeatureSet, real: FeatureSet) -> None:
        """Does nothing: torch-fidelity's metrics share no intermediate results."""

    def measure_metric(self, metric: str, fake: FeatureSet, real: FeatureSet) -> Measurement:
        part, name = METRICS.make(metric), parse_spec(metric).name
        if name not in METRIC_FUNCTIONS:
            raise MetricNotApplicable(f"torch-fidelity has no {name}")
        part.check_applicable(fake, real)
        return Measurement(float(METRIC_FUNCTIONS[name](part, fake, real)))


def compute_fid(metric: Any, fake: FeatureSet, real: FeatureSet) -> float:
    if fake.features.shape[1] == 1:
        raise MetricNotApplicable("torch-fidelity's FID needs at least 2 features")
    fake_statistics, real_statistics = (
        fid_features_to_statistics(features_on_cpu(side)) for side in (fake, real)
    )
    return float(
        fid_statistics_to_metric(fake_statistics, real_statistics, verbose=False)[KEY_METRIC_FID]
    )


def compute_kid(metric: Any, fake: FeatureSet, real: FeatureSet) -> float:
    return kid_of_subsets(SUBSETS, SUBSET_SIZE, fake, real)


def compute_kid_subsets(metric: Any, fake: FeatureSet, real: FeatureSet) -> float:
    return kid_of_subsets(metric.subsets, metric.subset_size, fake, real)


def kid_of_subsets(subsets: int, size: int, fake: FeatureSet, real: FeatureSet) -> float:
    if min(len(fake), len(real)) < size:
        raise MetricNotApplicable(
            f"torch-fidelity's subsets of {size} need as many examples on each side"
        )
    result = kid_features_to_metric(
        features_on_cpu(fake),
        features_on_cpu(real),
        kid_subsets=subsets,
        kid_subset_size=size,
        verbose=False,
    )
    return float(result[KEY_METRIC_KID_MEAN])


def compute_inception_score(metric: Any, fake: FeatureSet, real: FeatureSet) -> float:
    assert fake.logits is not None
    result = isc_features_to_metric(
        fake.logits.cpu(), splits=metric.splits, shuffle=True, rng_seed=SPLIT_SEED
    )
    return float(result[KEY_METRIC_ISC_MEAN])


def compute_precision(metric: Any, fake: FeatureSet, real: FeatureSet) -> float:
    return float(precision_and_recall(metric.k, fake, real)[KEY_METRIC_PRECISION])


def compute_recall(metric: Any, fake: FeatureSet, real: FeatureSet) -> float:
    return float(precision_and_recall(metric.k, fake, real)[KEY_METRIC_RECALL])


def precision_and_recall(k: int, fake: FeatureSet, real: FeatureSet) -> dict[str, float]:
    """Returns precision and recall, computed together once per pair of samples."""

    def make() -> dict[str, Tensor]:
        result = prc_features_to_metric(
            features_on_cpu(fake),
            features_on_cpu(real),
            prc_neighborhood=k,
            verbose=False,
            save_cpu_ram=True,
        )
        return {name: fake.features.new_tensor(value).double() for name, value in result.items()}

    cached = fake.cached(("torch_fidelity", k, real), make)
    return {name: float(value) for name, value in cached.items()}


def features_on_cpu(sample: FeatureSet) -> Tensor:
    return sample.features.cpu()


METRIC_FUNCTIONS: dict[str, Callable[[Any, FeatureSet, FeatureSet], float]] = {
    "fid": compute_fid,
    "is": compute_inception_score,
    "kid": compute_kid,
    "kid_subsets": compute_kid_subsets,
    "precision": compute_precision,
    "recall": compute_recall,
}
