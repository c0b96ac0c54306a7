"""Metrics of clips against closed forms, and the clip classifier's stated accuracy."""

import math
from dataclasses import replace

import pytest
import torch
from helpers import CPU, split

from ganbench.data.base import IMAGE, to_unit_range
from ganbench.data.bouncing import BouncingLaw
from ganbench.data.modality import frames_of
from ganbench.evaluation.clip_features import shuffle_frames
from ganbench.evaluation.evaluator import Evaluator
from ganbench.evaluation.extractors import EXTRACTORS
from ganbench.evaluation.extractors import clip_classifier as own
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.acd import frame_distances
from ganbench.evaluation.metrics.base import MetricNotApplicable
from ganbench.evaluation.metrics.feature_set import FeatureSet
from ganbench.evaluation.metrics.identity_constancy import share_of_equal_pairs
from ganbench.evaluation.metrics.motion import centres_of_brightness, nearest_paths
from ganbench.training.sampling import GeneratedSamples

LAW = BouncingLaw(frames=8, width=8, speeds=(1, 2))
CLIP_METRICS = (
    "fvd",
    "fvd(shuffle='fakes')",
    "fvd(shuffle='both')",
    "acd",
    "identity_constancy",
    "law_error",
    "speed_error",
    "direction_accuracy",
)


@pytest.fixture(scope="module")
def evaluator():
    return Evaluator("moving_digits", CPU)


def held_out(count=400):
    examples = split("moving_digits").held_out[IMAGE]
    return examples.images[:count], examples.labels[:count]


def measure(evaluator, clips, labels=None):
    samples = GeneratedSamples(to_unit_range(clips), labels)
    return evaluator.measure(samples, CLIP_METRICS)


def dots(places):
    """Clips of one bright pixel at rows and columns [N, T, 2]."""
    clips = torch.zeros(len(places), 1, places.shape[1], 16, 16, dtype=torch.uint8)
    clip, frame = torch.meshgrid(*map(torch.arange, places.shape[:2]), indexing="ij")
    clips[clip, 0, frame, places[:, :, 0], places[:, :, 1]] = 200
    return clips


def test_accuracies_are_those_stated():
    extractor = EXTRACTORS.make("clip_classifier")
    classes, digits = own.held_out_accuracies(extractor.network, extractor.frames.network)
    assert classes == pytest.approx(own.SHIPPED_CLIP_CLASSIFIER.held_out_accuracy, abs=6e-4)
    assert digits == pytest.approx(own.SHIPPED_FRAME_ACCURACY, abs=6e-4)


def test_longer_and_larger_clips_are_windows_of_reduced_frames():
    extractor = EXTRACTORS.make("clip_classifier")
    clips = split("moving_digits").train[IMAGE].images[:2]
    large = clips.repeat_interleave(2, 3).repeat_interleave(2, 4)
    features, logits = extractor(clips)
    torch.testing.assert_close(extractor(large)[0], features, rtol=1e-4, atol=1e-4)
    both, first = extractor(torch.cat([clips, clips.flip(2)], 2))
    torch.testing.assert_close(both, torch.cat([features, extractor(clips.flip(2))[0]], 1))
    torch.testing.assert_close(first, logits)
    assert EXTRACTORS.make("clip_classifier(classes=false)")(clips)[1] is None
    with pytest.raises(RuntimeError, match="it reads clips of 8 frames or more"):
        extractor(clips[:, :, :7])


def test_centre_of_brightness_is_a_weighted_mean():
    clips = dots(torch.tensor([[[3, 5], [0, 15]]]))
    clips[0, 0, 0, 7, 5] = 100  # a third of the brightness, four rows below
    centres = centres_of_brightness(clips)
    assert centres[0].flatten().tolist() == pytest.approx([3 + 4 / 3, 5, 0, 15])
    assert centres_of_brightness(torch.zeros_like(clips))[0, 0].tolist() == [7.5, 7.5]


def test_lawful_paths_are_found_exactly():
    clips, labels = held_out()
    paths = nearest_paths(centres_of_brightness(clips), LAW)
    assert torch.equal(paths.direction, labels % 4)
    assert paths.distance.max() < 1e-6
    assert set(paths.speed.tolist()) == {1, 2}


def test_distance_from_the_law_is_a_root_mean_square():
    right = torch.stack([torch.full((8,), 4), torch.arange(8)], 1)
    zigzag = right + torch.tensor([[1, 0], [-1, 0]]).repeat(4, 1)
    still = torch.full((8, 2), 5)
    paths = nearest_paths(torch.stack([right, zigzag, still]).double(), LAW)
    # A thing that does not move is nearest to the path with the least variance.
    least = LAW.paths().var(1, correction=0).min().sqrt()
    assert paths.distance.tolist() == pytest.approx([0, 1, float(least)], abs=1e-9)
    assert paths.direction[:2].tolist() == [0, 0]


def test_law_needs_clips_of_its_length():
    with pytest.raises(MetricNotApplicable, match="known for 8 frames, and clips have 9"):
        nearest_paths(torch.zeros(2, 9, 2), LAW)


def test_speed_error_is_that_of_the_median_step(evaluator):
    fast = torch.stack([torch.full((8,), 4), 2 * torch.arange(8)], 1)
    diagonal = torch.stack([torch.arange(8), 2 * torch.arange(8)], 1)
    clips = dots(torch.stack([fast, diagonal]))
    value = measure(evaluator, clips)["speed_error"].value
    assert value == pytest.approx((math.sqrt(5) - 2) / 2)


def test_frame_distances_average_all_pairs():
    features = torch.tensor([[0.0, 0], [3, 4], [0, 0], [1, 1], [1, 1], [1, 1]])
    assert frame_distances(features, 2).tolist() == pytest.approx([10 / 3, 0])


def test_share_of_equal_pairs():
    classes = torch.tensor([[1, 1, 1, 1], [0, 1, 2, 3], [5, 5, 0, 0]])
    assert share_of_equal_pairs(classes).tolist() == pytest.approx([1, 0, 1 / 3])


def test_shuffling_keeps_the_frames_of_each_clip():
    clips, _ = held_out(50)
    shuffled = shuffle_frames(clips)
    assert torch.equal(shuffled, shuffle_frames(clips))
    assert not torch.equal(shuffled, clips)
    assert torch.equal(shuffled.sum(2), clips.sum(2))


def test_real_clips_meet_every_floor(evaluator):
    clips, labels = held_out(2000)
    readings = measure(evaluator, clips, labels)
    assert readings["law_error"].value < 1e-6
    assert readings["direction_accuracy"].value == 1
    assert readings["identity_constancy"].value > 0.93
    assert readings["speed_error"].value < 0.05
    assert readings["fvd"].value < readings["fvd(shuffle='fakes')"].value / 4
    assert readings["fvd(shuffle='both')"].value < readings["fvd(shuffle='fakes')"].value / 4
    assert all(readings[name].standard_error is not None for name in CLIP_METRICS)


def test_independent_frames_lose_the_identity(evaluator):
    clips, _ = held_out(400)
    frames = frames_of(clips)
    order = torch.randperm(len(frames), generator=torch.Generator().manual_seed(0))
    mixed = frames[order].unflatten(0, (400, 8)).transpose(1, 2)
    real, fake = measure(evaluator, clips), measure(evaluator, mixed)
    assert fake["identity_constancy"].value == pytest.approx(0.1, abs=0.03)
    assert fake["acd"].value > 2 * real["acd"].value
    assert fake["fvd"].value > 5 * real["fvd"].value
    assert fake["law_error"].value > 1


def test_fvd_equals_the_formula(evaluator):
    import scipy.linalg

    clips, _ = held_out(300)
    fake, real = evaluator.extract(clips), evaluator.real_features
    a, b = (side.features.double().numpy() for side in (fake, real))
    first, second = ((x.mean(0), torch.from_numpy(x.T).cov().numpy()) for x in (a, b))
    root = scipy.linalg.sqrtm(first[1] @ second[1]).real
    expected = ((first[0] - second[0]) ** 2).sum() + (first[1] + second[1] - 2 * root).trace()
    assert METRICS.make("fvd")(fake, real).value == pytest.approx(expected, rel=1e-6)


def test_clip_metrics_refuse_other_samples(evaluator):
    points = FeatureSet(torch.randn(20, 3))
    clips = evaluator.extract(held_out(20)[0])
    for name in CLIP_METRICS:
        with pytest.raises(MetricNotApplicable, match="needs clips, not samples without frames"):
            METRICS.make(name)(points, points)
    for name, changes, reason in (
        ("law_error", {"law": None}, "a known law of motion"),
        ("acd", {"frames": None}, "an extractor of single frames"),
        ("fvd(shuffle='both')", {"shuffled": None}, "the extractor of the clips"),
        ("direction_accuracy", {"labels": None}, "class labels"),
    ):
        lacking = replace(clips, **changes)
        with pytest.raises(MetricNotApplicable, match=reason):
            METRICS.make(name)(lacking, lacking)
