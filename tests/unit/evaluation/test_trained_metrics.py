"""Classifier metrics on constructed samplers of digits and on a trained GAN."""

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
def evaluator():
    return Evaluator("digits", CPU)


def labelled_examples(side):
    split_examples = getattr(split("digits"), side)[IMAGE]
    return LabelledFeatures(average_cells(split_examples.images) / 255, split_examples.labels)


@pytest.mark.parametrize("classes", [10, 2, 1])
def test_classifier_equals_scikit_learn(classes):
    train, test = labelled_examples("train"), labelled_examples("held_out")
    train, test = (side.where(side.y < classes) for side in (train, test))
    predicted = predict_classes(train, test.x).numpy()
    if classes == 1:  # scikit-learn does not accept a single class
        return np.testing.assert_array_equal(predicted, 0)
    expected = LogisticRegression(C=1, tol=1e-6, max_iter=1000).fit(
        train.x.numpy(), train.y.numpy()
    )
    assert (predicted == expected.predict(test.x.numpy())).mean() >= 0.998
    return None


def gaussian_digits(count=600, spread=1.0, class_count=10, seed=0):
    """Draws digits around class means; low spread or few classes imitate mode collapse."""
    train = split("digits").train[IMAGE]
    pixels, random = train.images.flatten(1).double(), torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 10
    images = torch.empty(count, 64)
    for label in range(10):
        own = pixels[train.labels == label % class_count]
        chosen = labels == label
        cloud = own[torch.randint(len(own), (int(chosen.sum()), 2), generator=random)].mean(1)
        images[chosen] = (own.mean(0) + spread * (cloud - own.mean(0))).float()
    return GeneratedSamples(images.view(-1, 1, 8, 8) / 127.5 - 1, labels)


def metric_value(evaluator, fakes, metric):
    reading = evaluator.measure(fakes, (metric,))[METRICS.label(metric)]
    return reading if isinstance(reading, str) else reading.value


def test_scores_rank_reals_good_and_collapsed_gans(evaluator):
    """CAS: reals 0.949, good GAN 0.932, class means 0.898, half of the classes 0.295."""
    good, poor, worse = (
        gaussian_digits(),
        gaussian_digits(spread=0.0),
        gaussian_digits(class_count=5),
    )
    for metric in ("cas", "augmentation"):
        real = evaluator.measure_floor((metric,))[METRICS.label(metric)].value
        values = [real, *(metric_value(evaluator, fakes, metric) for fakes in (good, poor, worse))]
        assert values == sorted(values, reverse=True), (metric, values)
        assert values[1] - values[3] > 0.05
    assert metric_value(evaluator, good, "gan_test") > 0.95  # GAN-test does not measure diversity
    assert metric_value(evaluator, poor, "gan_test") == 1
    assert metric_value(evaluator, worse, "gan_test") == pytest.approx(0.5, abs=0.02)


def test_predicted_labels_replace_missing_labels(evaluator):
    good = gaussian_digits()
    unlabelled = GeneratedSamples(good.images)
    for metric in ("cas", "augmentation"):
        predicted = metric_value(evaluator, unlabelled, f"{metric}(labels='told')")
        assert predicted == pytest.approx(metric_value(evaluator, good, metric), abs=0.03)
        reason = metric_value(evaluator, unlabelled, metric)
        assert reason == (
            "needs the class labels that fakes were conditioned on, but there are none; "
            "labels='told' uses the classes that the extractor predicts"
        )
    assert "conditioned on" in metric_value(evaluator, unlabelled, "gan_test")


def test_missing_inputs_raise_explained_errors(evaluator):
    fake, real = evaluator.features_of_samples(gaussian_digits()), evaluator.real_features
    foreign = FeatureSet(fake.features, fake.logits, fake.images, classes_are_modes=False)
    with pytest.raises(MetricNotApplicable, match="this extractor predicts other classes"):
        METRICS.make("cas(labels='told')")(foreign, real)
    unlabelled = FeatureSet(real.features, real.logits, real.images, held_out=real.held_out)
    with pytest.raises(MetricNotApplicable, match="needs class labels of the reals"):
        METRICS.make("cas")(fake, unlabelled)
    without_held_out = FeatureSet(real.features, real.logits, real.images, real.labels)
    with pytest.raises(MetricNotApplicable, match="needs held-out real examples"):
        METRICS.make("cas")(fake, without_held_out)
    for spec in ("cas(on='pixel')", "cas(labels='true')", "augmentation(few=0)"):
        with pytest.raises(ValueError, match=r"did you mean|at least|there are"):
            METRICS.make(spec)


def test_floor_is_tested_on_unseen_data(evaluator):
    train, held_out = labelled_examples("train"), labelled_examples("held_out")
    scale = train.x.square().mean().sqrt()
    sides = [LabelledFeatures(side.x / scale, side.y) for side in (held_out, train)]
    expected = (predict_classes(sides[0], sides[1].x) == sides[1].y).double().mean()
    floor = evaluator.measure_floor(("cas",))["cas"].value
    assert floor == pytest.approx(float(expected), abs=2e-3)
    assert floor < 0.97  # on its training data it would be 1


def test_large_images_are_averaged_in_cells():
    images = torch.randint(0, 256, (3, 3, 40, 24), dtype=torch.uint8)
    cells = average_cells(images)
    assert cells.shape == (3, 3 * 16 * 16)
    assert average_cells(images[:, :, :8, :8]).shape == (3, 3 * 64)
    channel_means = images[:, :, ::1].double().view(3, 3, -1).mean(2)
    assert cells.view(3, 3, -1).mean(2).sub(channel_means).abs().max() < 12


@pytest.mark.slow
def test_trained_gan_scores_above_its_collapsed_copy(evaluator):
    """CAS: reals 0.949, GAN 0.893, GAN restricted to 12 latents 0.508."""
    gan_trainer = trainer(
        "gan(width=128)",
        batch=64,
        latent=32,
        generator_lr=1e-3,
        discriminator_lr=1e-3,
        budget=Budget("generator_turns", 2500),
    )
    while gan_trainer.progress < 1:
        gan_trainer.train_step()
    task = gan_trainer.task
    task.generators.eval()
    random = torch.Generator().manual_seed(0)
    latents = torch.randn(600, 32, generator=random)
    few = latents[torch.arange(600) % 12]
    with torch.no_grad():
        good, bad = (GeneratedSamples(task.generators[IMAGE](z)) for z in (latents, few))
    real = evaluator.measure_floor(("cas",))["cas"].value
    values = [real, *(metric_value(evaluator, side, "cas(labels='told')") for side in (good, bad))]
    assert values == sorted(values, reverse=True)
    assert to_uint8(good.images).unique(dim=0).shape[0] > 500
