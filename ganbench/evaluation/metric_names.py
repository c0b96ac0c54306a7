"""Names of metrics for readers, with features other than Inception's: `FID (dinov2)`.

Suites, rows and baselines keep the key `fid`. This module imports no torch and no metric, so that
tables and help can use it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ganbench.registry import SpecError, parse_spec

METRIC_NAMES = {
    "fid": "FID",
    "kid": "KID",
    "is": "IS",
    "fvd": "FVD",
    "acd": "ACD",
    "clip_score": "CLIPScore",
}
# Metrics with published values on Inception's or VGG's features. Values on other features have
# another scale. Metrics of pixels, targets, or the data's own classes have none.
FEATURE_METRICS = frozenset(
    (
        "acd",
        "authenticity",
        "class_fid",
        "copying",
        "coverage",
        "density",
        "fid",
        "fid_infinity",
        "fid_unbiased",
        "fvd",
        "is",
        "js",
        "kid",
        "kid_subsets",
        "mind",
        "ndb",
        "precision",
        "recall",
        "rke",
        "smoothness",
        "support",
        "vendi",
    )
)
PUBLISHED_EXTRACTOR = "inception"
OWN_CLASSIFIERS = "each data set's classifier"
KNOWN_FEATURES = {
    "identity": "raw values",
    "clip_classifier": "clip classifier",
    PUBLISHED_EXTRACTOR: "",
}
# The extractor at the begin of a protocol's text, after the name of other estimators.
PROTOCOL_EXTRACTOR = re.compile(
    r"(?:[\w-]+(?:'s estimators on |: ))?([^,(]+(?:\([^)]*\))?(?:, features as given)?)"
)
GIVEN_FEATURES = ", features as given"  # the end of an extractor's label
NOT_PUBLISHED = "{names} cannot be compared with published FIDs, which are of Inception's features"


def metric_display_name(
    metric: str, plan: Mapping[str, Any] | None = None, data: str | None = None
) -> str:
    """Returns a metric's name with the features of a suite's plan: `FID (digits' classifier)`.

    With `data`, the features are those of one data set; without a plan, the name has none.
    """
    return name_with_features(metric, "" if plan is None else features_of_plan(plan, data))


def name_with_features(metric: str, features: str) -> str:
    """Returns a metric's name with its features: `FID`, `FID (efficientnet_lite0)`, `psnr`.

    `features` is empty for Inception's, see `features_of_extractor`.
    """
    name = METRIC_NAMES.get(metric, metric)
    return f"{name} ({features})" if features and depends_on_features(metric) else name


def features_of_plan(plan: Mapping[str, Any], data: str | None = None) -> str:
    """Returns the features of the protocols in plan.json; empty if all are Inception's."""
    protocols = plan.get("protocols", {}).values()
    chosen = [p for p in protocols if data is None or p.get("data") == data]
    labels = [p["extractor"] for p in chosen if "extractor" in p]
    names = dict.fromkeys(map(features_of_extractor, labels))
    if len(names) > 1 and all(name.endswith("classifier") for name in names):
        return OWN_CLASSIFIERS
    if len(names) > 1:
        names = {name or "Inception": None for name in names}
    return " or ".join(names)


def features_of_extractor(extractor: str) -> str:
    """Returns the name of an extractor's features; empty for Inception with published weights.

    Accepts the label of a protocol: `classifier(of='digits')`, `inception with other weights (1a2b)`.
    """
    label = extractor.partition(" with weights ")[0]
    if label.endswith(GIVEN_FEATURES):
        return GIVEN_FEATURES.removeprefix(", ")
    try:
        spec = parse_spec(label)
    except SpecError:  # such as `inception with other weights (1a2b3c4d)`
        return label
    settings = dict(spec.settings)
    if "of" in settings:  # a classifier trained on a data set, alone or on each channel
        kind = spec.name.removesuffix("classifier").rstrip("_")  # such as stacked, attribute
        return " ".join(filter(None, [with_genitive(str(settings["of"])), kind, "classifier"]))
    words = [KNOWN_FEATURES.get(spec.name, spec.name), *map(str, settings.values())]
    return " ".join(filter(None, words))


def with_genitive(name: str) -> str:
    """Returns `digits'` or `mnist's`."""
    return f"{name}'" if name.endswith("s") else f"{name}'s"


def features_of_protocol_text(text: str) -> str:
    """Returns the features in a protocol's text, where no record of its fields was kept."""
    match = PROTOCOL_EXTRACTOR.match(text)
    label = match[1].partition(" (weights ")[0].strip() if match else ""
    return features_of_extractor(label) if label else ""


def depends_on_features(metric: str) -> bool:
    """Returns whether a metric's scale depends on the extractor's features."""
    spec = parse_spec(metric)
    if spec.name == "backward":  # of another metric
        return depends_on_features(str(dict(spec.settings).get("of", "fid")))
    return spec.name in FEATURE_METRICS


def comparison_warning(metrics: Iterable[str], features: str) -> str:
    """Returns a sentence if values cannot be compared with published FIDs; else an empty text."""
    named = [metric for metric in metrics if parse_spec(metric).name.startswith("fid")]
    if not features or not named:
        return ""
    return NOT_PUBLISHED.format(names=name_with_features(named[0], features))
