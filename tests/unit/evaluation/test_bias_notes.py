"""Notes on sets that are too small for FID."""

import pytest

from ganbench.evaluation.image_warnings import notes_on_bias


@pytest.mark.parametrize(("count", "notes"), [(64, 1), (65, 0)])
def test_bias_is_noted_up_to_feature_count(count, notes):
    assert len(notes_on_bias(count, 64, ("kid", "fid"))) == notes


def test_other_metrics_have_no_bias_note():
    assert notes_on_bias(2, 64, ("kid", "recall")) == []


def test_bias_note_names_both_counts():
    (note,) = notes_on_bias(30, 1280, ("fid",))
    assert note.startswith("30 images for 1,280 features: ")
