"""Settings that small samples reduce appear in label, JSON, protocol and notes."""

import numpy as np
import pytest

import ganbench

FEATURES = np.random.default_rng(0).normal(size=(600, 6))
OPTIONS = {"device": "cpu", "floor": False}


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))


REDUCED = {
    "kid_subsets": ("kid_subsets(subset_size=60)", "subset_size=60 instead of 1000"),
    "kid_subsets(subsets=9)": ("kid_subsets(subset_size=60, subsets=9)", "instead of 1000"),
    "js": ("js(bins=24)", "bins=24 instead of 100"),
}


@pytest.mark.parametrize("metric", REDUCED)
def test_reduced_setting_is_shown(metric):
    scores = ganbench.evaluate(FEATURES[:120], FEATURES[120:], metrics=metric, **OPTIONS)
    label, change = REDUCED[metric]
    plain = scores.as_dict()
    assert plain["metrics"][0]["metric"] == metric
    assert plain["metrics"][0]["label"] == label
    assert label in plain["protocol"]["text"]
    assert list(plain["protocol"]["reduced"]) == [label]
    assert any(note.startswith(f"{metric} was measured with") for note in scores.notes)
    assert any(change in note for note in scores.notes)
    assert label in scores.table()
    assert scores[metric] == ganbench.evaluate(
        FEATURES[:120], FEATURES[120:], metrics=label, **OPTIONS
    )[label]  # fmt: skip


def test_reduced_pairs_of_images_are_shown():
    images = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), np.uint8)
    scores = ganbench.evaluate(
        images, images[::-1], extractor="identity", metrics="ms_ssim,kid", **OPTIONS
    )
    assert [row.label for row in scores.rows] == ["ms_ssim(pairs=10)", "kid"]


def test_setting_that_fits_stays():
    for metric in ("kid_subsets(subset_size=50)", "kid", "js(bins=5)"):
        scores = ganbench.evaluate(FEATURES[:120], FEATURES[120:], metrics=metric, **OPTIONS)
        assert scores.rows[0].label == metric
        assert scores.terms.reduced == ()
        assert "measured with" not in " ".join(scores.notes)


def test_identity_of_a_protocol_ignores_labels():
    both = (
        ganbench.evaluate(FEATURES[:120], FEATURES[120:], metrics=metric, **OPTIONS).terms
        for metric in ("kid_subsets", "kid")
    )
    assert len({terms.id for terms in both}) == 1
