"""Errors of clips against their targets: step by step, and beside baselines."""

import math
from dataclasses import replace

import pytest
import torch
import torchmetrics.functional.image as oracle
from helpers import CPU, split

from ganbench.data.base import IMAGE, to_unit_range
from ganbench.data.modality import frames_of
from ganbench.data.restyled_motion import SOURCES
from ganbench.evaluation.evaluator import Evaluator
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.base import MetricNotApplicable
from ganbench.evaluation.metrics.feature_set import FeatureSet
from ganbench.training.sampling import GeneratedSamples

TARGET_METRICS = ("psnr", "ssim", "translation_error")


def noise_clips(count=6, frames=5, given=2, seed=0):
    """Clips of noise with targets, which share their first frames with the sources."""
    random = torch.Generator().manual_seed(seed)
    shape = (count, 1, frames, 16, 16)
    clips, truth = (
        torch.randint(256, shape, generator=random, dtype=torch.uint8) for _ in range(2)
    )
    clips[:, :, :given] = truth[:, :, :given]
    fake = FeatureSet(torch.randn(count, 3, generator=random), None, clips)
    fake.truth, fake.source = truth, truth[:, :, :given]
    return fake


def value(spec, fake):
    return METRICS.make(spec)(fake, fake).value


@pytest.mark.parametrize("step", [1, 2, 3])
def test_errors_of_a_step_equal_torchmetrics(step):
    fake = noise_clips()
    x, y = (clips[:, :, 1 + step].double() for clips in (fake.images, fake.truth))
    psnr = oracle.peak_signal_noise_ratio(
        x, y, data_range=255.0, dim=(1, 2, 3), reduction="elementwise_mean"
    )
    ssim = oracle.structural_similarity_index_measure(x, y, data_range=255.0)
    error = (x - y).abs().mean() / 255
    assert value(f"psnr(step={step})", fake) == pytest.approx(float(psnr), rel=1e-6)
    assert value(f"ssim(step={step})", fake) == pytest.approx(float(ssim), rel=1e-4)
    assert value(f"translation_error(step={step})", fake) == pytest.approx(float(error))


@pytest.mark.parametrize("name", TARGET_METRICS)
def test_mean_is_that_of_the_new_frames(name):
    fake = noise_clips()
    by_step = [value(f"{name}(step={step})", fake) for step in (1, 2, 3)]
    assert value(name, fake) == pytest.approx(sum(by_step) / 3)
    # Given frames equal those of the target. They do not count.
    changed = replace(fake, images=fake.images.clone())
    changed.images[:, :, :2] = 0
    assert value(name, changed) == value(name, fake)


@pytest.mark.parametrize("name", TARGET_METRICS)
def test_standard_error_is_over_clips(name):
    fake = noise_clips(count=7)
    alone = [
        value(name, replace(fake, **{
            part: getattr(fake, part)[[n, n]] for part in ("features", "images", "truth", "source")
        }))
        for n in range(7)
    ]  # fmt: skip
    deviation = torch.tensor(alone).double().std().item()
    reading = METRICS.make(name)(fake, fake)
    assert reading.standard_error == pytest.approx(deviation / math.sqrt(7), rel=1e-4)


def test_last_frame_is_repeated():
    fake = noise_clips()
    still = fake.source[:, :, -1:].expand(-1, -1, 5, -1, -1)
    for name in TARGET_METRICS:
        assert value(f"{name}(baseline='last_frame')", fake) == value(
            name, replace(fake, images=still)
        )
        assert value(f"{name}(baseline='last_frame', step=2)", fake) == value(
            f"{name}(step=2)", replace(fake, images=still)
        )


def test_sources_of_transfers_are_baselines():
    fake = noise_clips(given=0)
    motion, content = noise_clips(seed=1).images, noise_clips(seed=2).images
    fake.source = torch.cat([motion, content], 2)
    for name in TARGET_METRICS:
        for baseline, clips in (("motion", motion), ("content", content)):
            expected = value(name, replace(fake, images=clips))
            assert value(f"{name}(baseline='{baseline}')", fake) == expected
        assert value(f"{name}(step=5)", fake) == value(
            name, replace(fake, **{p: getattr(fake, p)[:, :, 4:] for p in ("images", "truth")})
        )


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("psnr(step=4)", "clips have 3 new frames, and this is the error of frame 4"),
        ("psnr(baseline='motion')", "one clip for motion and one for content"),
    ],
)
def test_impossible_comparisons_have_reasons(spec, reason):
    with pytest.raises(MetricNotApplicable, match=reason):
        value(spec, noise_clips())


def test_baselines_are_those_of_clips():
    with pytest.raises(MetricNotApplicable, match="none are given"):
        value("psnr(baseline='last_frame')", replace(noise_clips(), source=None))
    clips = noise_clips()
    images = replace(clips, **{p: getattr(clips, p)[:, :, 0] for p in ("images", "truth")})
    assert value("psnr", images) > 40  # the first frame is given
    for spec in ("psnr(step=1)", "ssim(baseline='motion')"):
        with pytest.raises(MetricNotApplicable, match="those of clips, not of images"):
            value(spec, images)
    with pytest.raises(ValueError, match="step must be at least 1"):
        METRICS.make("psnr(step=-1)")


def test_true_transfers_meet_every_floor():
    """The truth scores as real clips do, and a source does not."""
    examples = split("restyled_motion").held_out[SOURCES]
    motion, content = examples.images.chunk(2, 2)
    evaluator = Evaluator("restyled_motion", CPU)
    metrics = ("fvd", "law_error", "direction_accuracy", "class_accuracy", "psnr", "ssim")
    truth, moved, own = (
        evaluator.measure(
            GeneratedSamples(
                *map(to_unit_range, (clips,)), examples.labels,
                to_unit_range(examples.images), to_unit_range(examples.truth),
            ),
            metrics,
        )
        for clips in (examples.truth, motion, content)
    )  # fmt: skip
    assert truth["law_error"].value < 1e-6
    assert truth["direction_accuracy"].value == 1
    assert truth["class_accuracy"].value > 0.95
    assert truth["psnr"].value > 58
    assert truth["ssim"].value == pytest.approx(1)
    assert moved["direction_accuracy"].value == 1
    assert moved["class_accuracy"].value < 0.05  # another digit
    assert own["direction_accuracy"].value == pytest.approx(0.25, abs=0.05)
    assert all(x["psnr"].value < 20 for x in (moved, own))


def test_frames_of_clips_are_compared_one_by_one():
    fake = noise_clips(given=0)
    fake.source = None
    frames = replace(
        fake,
        features=torch.randn(30, 3),
        images=frames_of(fake.images),
        truth=frames_of(fake.truth),
    )
    for name in TARGET_METRICS:
        assert value(name, fake) == pytest.approx(value(name, frames))


def test_repeating_the_last_frame_is_wrong_where_digits_move():
    clips = split("moving_digits").held_out[IMAGE].images[:500]
    fake = FeatureSet(torch.randn(500, 2), None, clips, source=clips[:, :, :4], truth=clips)
    errors = [value(f"psnr(baseline='last_frame', step={n})", fake) for n in (1, 2, 3, 4)]
    assert all(10 < error < 20 for error in errors)
    assert value("psnr", fake) > 58
