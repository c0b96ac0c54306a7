"""Precision and recall (Kynkäänniemi et al., 2019) from balls that reach each example's k-th neighbour."""

from dataclasses import dataclass
from functools import lru_cache

from torch_fidelity.metric_prc import (
    KEY_METRIC_PRECISION,
    KEY_METRIC_RECALL,
    prc_features_to_metric,
)

from .base import Metric, Sample, Unmeasurable, finite


@lru_cache(maxsize=2)  # precision and recall of one sample are one computation
def precision_and_recall(fake: Sample, real: Sample, k: int) -> tuple[float, float]:
    if k < 1 or min(len(fake), len(real)) <= k:
        raise Unmeasurable(f"the {k}-th neighbour needs more than {k} examples of each side")
    found = prc_features_to_metric(
        finite(fake), finite(real), prc_neighborhood=k, verbose=False, save_cpu_ram=True
    )
    return float(found[KEY_METRIC_PRECISION]), float(found[KEY_METRIC_RECALL])


@dataclass(frozen=True)
class Manifold(Metric):
    """A share, told by the k-th neighbours of one side."""

    direction = "higher"
    transform = "logit"

    k: int = 3

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"k must be at least 1, not {self.k}")
