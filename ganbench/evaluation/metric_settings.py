"""Settings of metrics that small samples reduce: subset sizes, pairs and bins."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.feature_set import FeatureSet
from ganbench.evaluation.metrics.kid_subsets import KIDSubsets
from ganbench.evaluation.metrics.kmeans_bins import BinnedMetric
from ganbench.evaluation.metrics.ms_ssim import MSSSIM
from ganbench.evaluation.protocols.base import MeasurementRules
from ganbench.registry import Spec, parse_spec

from .result import MetricRow


def with_used_settings(
    rows: Sequence[MetricRow], rules: MeasurementRules, fake: FeatureSet, real: FeatureSet
) -> tuple[tuple[MetricRow, ...], list[str]]:
    """Returns the rows labelled with the settings that were used, and notes on reduced ones."""
    labelled, notes = [], []
    for row in rows:
        reduced = {} if row.value is None else reduced_settings(row.metric, rules, fake, real)
        labelled.append(replace(row, label=label_in_use(row.metric, reduced)))
        if reduced:
            notes.append(note_on_reduced(row.metric, reduced))
    return tuple(labelled), notes


def reduced_settings(
    metric: str, rules: MeasurementRules, fake: FeatureSet, real: FeatureSet
) -> dict[str, int]:
    """Returns the settings that a metric had to reduce for these samples, with their values."""
    part = METRICS.make(metric)
    if type(rules) is not MeasurementRules:  # other protocols refuse small samples
        return {}
    used = settings_in_use(part, fake, real)
    return {name: value for name, value in used.items() if value != getattr(part, name)}


def settings_in_use(part: Any, fake: FeatureSet, real: FeatureSet) -> dict[str, int]:
    if isinstance(part, KIDSubsets):
        return {"subset_size": part.subset_draw(fake, real).size}
    if isinstance(part, MSSSIM):
        return {"pairs": min(part.pairs, len(fake) // 2)}
    if isinstance(part, BinnedMetric):
        return {"bins": len(part.count_reals(real))}
    return {}


def label_in_use(metric: str, reduced: dict[str, int]) -> str:
    """Returns a metric's label with the settings that were used."""
    spec = parse_spec(metric)
    return METRICS.label(
        str(Spec(spec.name, tuple(sorted({**dict(spec.settings), **reduced}.items()))))
    )


def note_on_reduced(metric: str, reduced: dict[str, int]) -> str:
    """Returns the sentence on a metric's reduced settings."""
    asked = asdict(METRICS.make(metric))
    changes = " and ".join(
        f"{key}={value} instead of {asked[key]}" for key, value in reduced.items()
    )
    return f"{metric} was measured with {changes}: there are too few images"
