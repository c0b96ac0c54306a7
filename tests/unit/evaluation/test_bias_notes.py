"""Notes on sets that are too small for FID and its extrapolation."""

import pytest
import torch

from ganbench.evaluation.evaluate import evaluate
from ganbench.evaluation.image_warnings import notes_on_bias, notes_on_counts
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.feature_set import FeatureSet

SMALL_SUBSETS = "60 images for 64 features in the smallest subset of fid_infinity"
SUITE = """\
schema = 1
name = "tiny"
data = ["digits"]
metrics = ["fid_infinity"]
seeds = 1
points = 1
[[grid]]
variants = ["gan"]
[budget.cpu]
images = 960
[analysis]
outcome = "fid_infinity"
"""


@pytest.mark.parametrize(("count", "notes"), [(64, 1), (65, 0)])
def test_bias_is_noted_up_to_feature_count(count, notes):
    assert len(notes_on_bias(count, 64, ("kid", "fid"))) == notes


def test_other_metrics_have_no_bias_note():
    assert notes_on_bias(2, 64, ("kid", "recall")) == []


def test_bias_note_names_both_counts():
    (note,) = notes_on_bias(30, 1280, ("fid",))
    assert note.startswith("30 images for 1,280 features: ")


@pytest.mark.parametrize(
    ("fakes", "notes"), [(299, 0), (300, 1), (600, 1), (649, 1), (650, 0), (50_000, 0)]
)
def test_small_subsets_of_extrapolation_are_noted_if_it_has_a_value(fakes, notes):
    assert len(notes_on_counts(fakes, 5_000, 64, ("kid", "fid_infinity"))) == notes


def test_extrapolation_note_names_both_counts():
    (note,) = notes_on_counts(600, 5_000, 64, ("fid", "fid_infinity"))
    assert note.startswith(f"{SMALL_SUBSETS}: ")


def test_evaluation_and_plan_have_the_extrapolation_note(ganbench, tmp_path, monkeypatch):
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))
    scores = evaluate("digits:held_out", "digits", metrics="fid_infinity", floor=False)
    assert SMALL_SUBSETS in str(scores.as_dict()["notes"])
    path = tmp_path / "tiny.toml"
    path.write_text(SUITE)
    code, out, err = ganbench("plan", path, "--device", "cpu", "--no-estimate")
    assert code == 0, err
    assert f"note: digits: {SMALL_SUBSETS}" in out


def test_other_metrics_have_no_extrapolation_note():
    assert notes_on_counts(600, 5_000, 64, ("fid", "fid_unbiased")) == []


@pytest.mark.parametrize(("fakes", "factor"), [(1_000, 0.63), (520, 2.0)])
def test_extrapolation_from_fewer_images_than_features_is_far_off(fakes, factor):
    """The documented simulation: its standard error does not show how far the value is off."""
    random, width = torch.Generator().manual_seed(0), 256
    real = FeatureSet(torch.randn(20_000, width, generator=random))
    fake = FeatureSet(0.8 * torch.randn(fakes, width, generator=random) + 0.1)
    distance = width * (0.2**2 + 0.1**2)
    extrapolated, unbiased = (
        METRICS.make(name)(fake, real) for name in ("fid_infinity", "fid_unbiased")
    )
    assert extrapolated.value == pytest.approx(factor * distance, rel=0.05)
    assert abs(extrapolated.value - distance) > 10 * extrapolated.standard_error
    assert unbiased.value == pytest.approx(distance, rel=0.2)
