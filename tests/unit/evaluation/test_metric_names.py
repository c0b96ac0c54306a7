"""Names of metrics: features that are not Inception's are part of the name."""

import pytest

from ganbench.evaluation.extractors import EXTRACTORS
from ganbench.evaluation.metric_names import (
    FEATURE_METRICS,
    comparison_warning,
    depends_on_features,
    features_of_extractor,
    features_of_protocol_text,
    metric_display_name,
    name_with_features,
)
from ganbench.evaluation.metrics import METRICS


def plan_of(*extractors):
    sets = [f"set{number}" for number in range(len(extractors))]
    protocols = zip(sets, extractors, strict=True)
    return {"protocols": {d: {"data": d, "extractor": e} for d, e in protocols}}


@pytest.mark.parametrize(
    ("extractor", "name"),
    [
        ("inception", "FID"),
        ("efficientnet_lite0", "FID (efficientnet_lite0)"),
        ("classifier(of='digits')", "FID (digits' classifier)"),
        ("attribute_classifier(of='faces')", "FID (faces' attribute classifier)"),
        ("stacked(of='mnist')", "FID (mnist's stacked classifier)"),
        ("identity", "FID (raw values)"),
        ("clip_classifier", "FID (clip classifier)"),
        ("identity, features as given", "FID (features as given)"),
        ("clip(model='vit-b-16')", "FID (clip vit-b-16)"),
        ("dinov2 with weights 1a2b3c4d", "FID (dinov2)"),
        ("inception with other weights (1a2b)", "FID (inception with other weights (1a2b))"),
    ],
)
def test_name_carries_other_features(extractor, name):
    assert name_with_features("fid", features_of_extractor(extractor)) == name
    assert metric_display_name("fid", plan_of(extractor)) == name


def test_only_inception_has_no_features():
    named = {name for name in EXTRACTORS if features_of_extractor(name)}
    assert {*EXTRACTORS} - named == {"inception"}


def test_name_is_of_one_data_set():
    plan = plan_of("identity", "inception")
    assert metric_display_name("fid", plan, "set0") == "FID (raw values)"
    assert metric_display_name("fid", plan, "set1") == "FID"
    assert metric_display_name("fid", plan) == "FID (raw values or Inception)"


def test_metrics_without_features_keep_their_name():
    plan = plan_of("efficientnet_lite0")
    assert metric_display_name("psnr", plan) == "psnr"
    assert metric_display_name("modes", plan) == "modes"
    assert metric_display_name("recall(k=5)", plan) == "recall(k=5) (efficientnet_lite0)"
    assert metric_display_name("fvd", plan_of("clip_classifier")) == "FVD (clip classifier)"
    assert depends_on_features("backward")
    assert not depends_on_features("backward(of='psnr')")


def test_feature_metrics_exist():
    assert set(METRICS) >= FEATURE_METRICS


@pytest.mark.parametrize(
    ("text", "features"),
    [
        (
            "efficientnet_lite0 (weights 57934424), 120 fakes against 300 reals",
            "efficientnet_lite0",
        ),
        ("classifier(of='digits'), 600 fakes against 1197", "digits' classifier"),
        ("torch_fidelity's estimators on inception (weights 67268250), 9 fakes", ""),
        ("torch_fidelity: inception, 9 fakes", ""),
        ("identity, features as given, 10 fakes", "features as given"),
    ],
)
def test_old_texts_give_the_features(text, features):
    assert features_of_protocol_text(text) == features


def test_warning_needs_fid_and_other_features():
    assert comparison_warning(["kid", "fid"], "dinov2").startswith(
        "FID (dinov2) cannot be compared"
    )
    assert comparison_warning(["kid"], "dinov2") == ""
    assert comparison_warning(["fid"], "") == ""
