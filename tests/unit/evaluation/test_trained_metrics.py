"""What a classifier learns of fakes: scikit-learn's, on constructed samplers of digits, and on a trained GAN."""

import numpy as np
import pytest
import torch
from helpers import CPU, split, trainer
from sklearn.linear_model import LogisticRegression

from ganbench.data.base import IMAGE, to_uint8
from ganbench.evaluation.evaluator import Evaluator
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.base import MetricNotApplicable
from ganbench.evaluation.metrics.feature_set import FeatureSet
from ganbench.evaluation.metrics.linear_probe import (
    LabelledFeatures,
    average_cells,
    predict_classes,
)
from ganbench.training.budget import Budget
from ganbench.training.sampling import GeneratedSamples


@pytest.fixture(scope="module")
def ruler():
    return Evaluator("digits", CPU)


def examples(side):
    found = getattr(split("digits"), side)[IMAGE]
    return LabelledFeatures(average_cells(found.images) / 255, found.labels)


@pytest.mark.parametrize("classes", [10, 2, 1])
def test_the_classifier_is_scikit_learns(classes):
    train, test = examples("train"), examples("held_out")
    train, test = (side.where(side.y < classes) for side in (train, test))
    ours = predict_classes(train, test.x).numpy()
    if classes == 1:  # which scikit-learn refuses
        return np.testing.assert_array_equal(ours, 0)
    theirs = LogisticRegression(C=1, tol=1e-6, max_iter=1000).fit(train.x.numpy(), train.y.numpy())
    assert (ours == theirs.predict(test.x.numpy())).mean() >= 0.998
    return None


def gaussians(count=600, spread=1.0, kinds=10, seed=0):
    """Digits drawn from a Gaussian for each class, as a good GAN may; of less spread or kinds, a collapsed one."""
    train = split("digits").train[IMAGE]
    pixels, random = train.images.flatten(1).double(), torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 10
    images = torch.empty(count, 64)
    for label in range(10):
        own = pixels[train.labels == label % kinds]
        chosen = labels == label
        cloud = own[torch.randint(len(own), (int(chosen.sum()), 2), generator=random)].mean(1)
        images[chosen] = (own.mean(0) + spread * (cloud - own.mean(0))).float()
    return GeneratedSamples(images.view(-1, 1, 8, 8) / 127.5 - 1, labels)


def value(ruler, fakes, metric):
    found = ruler.measure(fakes, (metric,))[METRICS.label(metric)]
    return found if isinstance(found, str) else found.value


def test_reals_are_worth_more_than_a_good_gan_and_that_more_than_a_collapsed_one(ruler):
    """By the score 0.949, 0.932, 0.898 of means alone, and 0.295 of half the classes under all labels."""
    good, poor, worse = (
        gaussians(),
        gaussians(spread=0.0),
        gaussians(kinds=5),
    )
    for metric in ("cas", "augmentation"):
        real = ruler.measure_floor((metric,))[METRICS.label(metric)].value
        found = [real, *(value(ruler, fakes, metric) for fakes in (good, poor, worse))]
        assert found == sorted(found, reverse=True), (metric, found)
        assert found[1] - found[3] > 0.05
    assert value(ruler, good, "gan_test") > 0.95  # which sees no lack of diversity
    assert value(ruler, poor, "gan_test") == 1
    assert value(ruler, worse, "gan_test") == pytest.approx(0.5, abs=0.02)


def test_labels_that_the_extractor_tells_stand_in_for_labels_that_were_asked(ruler):
    good = gaussians()
    unasked = GeneratedSamples(good.images)
    for metric in ("cas", "augmentation"):
        told = value(ruler, unasked, f"{metric}(labels='told')")
        assert told == pytest.approx(value(ruler, good, metric), abs=0.03)
        reason = value(ruler, unasked, metric)
        assert reason == (
            "needs classes that fakes were asked to show, and none were asked for; "
            "labels='told' uses the classes that the extractor predicts"
        )
    assert "asked to show" in value(ruler, unasked, "gan_test")


def test_what_is_missing_is_told_in_a_sentence(ruler):
    fake, real = ruler.features_of_samples(gaussians()), ruler.real_features
    foreign = FeatureSet(fake.features, fake.logits, fake.images, classes_are_modes=False)
    with pytest.raises(MetricNotApplicable, match="this extractor predicts other classes"):
        METRICS.make("cas(labels='told')")(foreign, real)
    unlabelled = FeatureSet(real.features, real.logits, real.images, held_out=real.held_out)
    with pytest.raises(MetricNotApplicable, match="needs the classes of reals"):
        METRICS.make("cas")(fake, unlabelled)
    alone = FeatureSet(real.features, real.logits, real.images, real.labels)
    with pytest.raises(MetricNotApplicable, match="needs held-out real examples"):
        METRICS.make("cas")(fake, alone)
    for wrong in ("cas(on='pixel')", "cas(labels='true')", "augmentation(few=0)"):
        with pytest.raises(ValueError, match=r"did you mean|at least|there are"):
            METRICS.make(wrong)


def test_the_floor_is_not_tested_on_what_it_was_trained_on(ruler):
    train, held_out = examples("train"), examples("held_out")
    scale = train.x.square().mean().sqrt()
    sides = [LabelledFeatures(side.x / scale, side.y) for side in (held_out, train)]
    expected = (predict_classes(sides[0], sides[1].x) == sides[1].y).double().mean()
    found = ruler.measure_floor(("cas",))["cas"].value
    assert found == pytest.approx(float(expected), abs=2e-3)
    assert found < 0.97  # on its own training data it would be 1


def test_large_images_are_seen_in_cells():
    images = torch.randint(0, 256, (3, 3, 40, 24), dtype=torch.uint8)
    found = average_cells(images)
    assert found.shape == (3, 3 * 16 * 16)
    assert average_cells(images[:, :, :8, :8]).shape == (3, 3 * 64)
    whole = images[:, :, ::1].double().view(3, 3, -1).mean(2)
    assert found.view(3, 3, -1).mean(2).sub(whole).abs().max() < 12


@pytest.mark.slow
def test_a_trained_gan_is_worth_more_than_the_same_one_collapsed(ruler):
    """Reals 0.949, the GAN 0.893, a dozen of its latents 0.508."""
    made = trainer(
        "gan(width=128)",
        batch=64,
        latent=32,
        generator_lr=1e-3,
        discriminator_lr=1e-3,
        budget=Budget("generator_turns", 2500),
    )
    while made.progress < 1:
        made.train_step()
    task = made.task
    task.generators.eval()
    random = torch.Generator().manual_seed(0)
    latents = torch.randn(600, 32, generator=random)
    few = latents[torch.arange(600) % 12]
    with torch.no_grad():
        good, bad = (GeneratedSamples(task.generators[IMAGE](z)) for z in (latents, few))
    real = ruler.measure_floor(("cas",))["cas"].value
    found = [real, *(value(ruler, side, "cas(labels='told')") for side in (good, bad))]
    assert found == sorted(found, reverse=True)
    assert to_uint8(good.images).unique(dim=0).shape[0] > 500
