"""Conditional tasks: labels reach both networks, and the terms equal the papers' formulas."""

import math
from dataclasses import replace

import pytest
import torch
from helpers import CPU, same, split, steps, trainer, training_setup
from scipy import stats
from torch.nn.functional import cross_entropy
from trick_cases import incompatibility

from ganbench.data.base import IMAGE
from ganbench.evaluation.evaluator import evaluator_for
from ganbench.evaluation.scores_file import values_of_readings
from ganbench.gan.build import Incompatible
from ganbench.gan.networks.discriminator import ProjectionHead
from ganbench.gan.tasks import TASKS
from ganbench.gan.tasks.infogan import categorical_information, continuous_information
from ganbench.gan.variants import resolve_variant
from ganbench.image_grid import arrange_by_class
from ganbench.rng import RngStreams
from ganbench.training.sampling import draw_samples_of_task

LABELLED_VARIANTS = ["cdcgan(width=4)", "acgan(width=4)", "projection(width=8)", "sagan(width=4)"]


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def draw_pair(training, step=0):
    return training.task.make_pairs(training.loader.batches(step), training.begin_step(0))[0]


def test_projection_adds_inner_product_to_score():
    head = ProjectionHead(5, 3)
    features, labels = random(7, 5), torch.arange(7) % 3
    weight, bias = head.linear.weight[0], head.linear.bias
    expected = torch.stack(
        [
            f @ weight + bias[0] + f @ head.embedding.weight[y]
            for f, y in zip(features, labels, strict=True)
        ]
    )
    torch.testing.assert_close(head(features, labels), expected)


def test_widened_projection_covers_extra_features():
    head = ProjectionHead(5, 3, bias=False).widen(2)
    assert (head.linear.in_features, head.embedding.embedding_dim) == (7, 7)
    assert head.linear.bias is None


@pytest.mark.parametrize("text", LABELLED_VARIANTS)
def test_generated_images_have_labels_of_real_batch(text):
    training = trainer(text)
    pair, batch = draw_pair(training), training.loader.batches(0)[IMAGE]
    assert torch.equal(pair.real_label, batch.labels)
    assert torch.equal(pair.fake_label, batch.labels)
    assert torch.equal(split("digits").train[IMAGE].labels[batch.index], batch.labels)


@pytest.mark.parametrize("text", LABELLED_VARIANTS)
def test_label_changes_generated_image(text):
    training = trainer(text)
    with torch.no_grad():
        for name, parameter in training.task.generators.named_parameters():
            if "scale" in name or "shift" in name:  # these start at values without effect
                parameter.copy_(random(*parameter.shape))
    training.task.generators.eval()
    latents = random(1, 4).expand(10, 4)
    images = training.task.generators[IMAGE](latents, torch.arange(10))
    assert torch.cdist(*[images.flatten(1)] * 2).add(torch.eye(10)).min() > 1e-6


@pytest.mark.parametrize("text", ["cdcgan(width=4)", "projection(width=8)", "cr3gan(width=4)"])
def test_projection_score_depends_on_label(text):
    pair = draw_pair(trainer(text))
    other = (pair.real_label + 1) % 10
    assert not torch.allclose(pair.score(pair.real, "x", other), pair.real_score, atol=1e-7)


def test_acgan_score_ignores_label_and_predicts_classes():
    pair = draw_pair(trainer("acgan(width=4, norm='none')"))
    other = (pair.real_label + 1) % 10
    assert torch.equal(pair.score(pair.real, "x", other), pair.real_score)
    assert pair.discriminator.teller(pair.real_features).shape == (8, 10)


def test_acgan_terms_equal_cross_entropies():
    training = trainer("acgan(width=4)")
    training.task.weight = 3.0
    pair = draw_pair(training)
    logits = [pair.discriminator.teller(f) for f in (pair.real_features, pair.fake_features)]
    real, fake = (3 * cross_entropy(logit, pair.real_label).item() for logit in logits)
    terms = dict(training.task.discriminator_terms([pair]))
    assert {k: v.item() for k, v in terms.items()} == pytest.approx(
        {"classes_of_reals": real, "classes_of_fakes": fake}
    )
    terms = dict(training.task.generator_terms([pair]))
    assert {k: v.item() for k, v in terms.items()} == pytest.approx({"classes_of_fakes": fake})


@pytest.mark.parametrize("text", ["cdcgan(width=4)", "acgan(width=4)"])
def test_samples_have_held_out_labels(text):
    training, held_out = trainer(text), split("digits").held_out
    labels = []
    training.task.generators[IMAGE].register_forward_pre_hook(
        lambda _, inputs: labels.append(inputs[1])
    )
    fakes = draw_samples_of_task(
        training.task, training.task.generators, held_out, RngStreams(0, CPU), "x"
    )
    assert torch.equal(torch.cat(labels), held_out[IMAGE].labels)
    assert len(fakes.images) == len(held_out[IMAGE])
    assert torch.equal(fakes.labels, held_out[IMAGE].labels)


@pytest.mark.parametrize(
    ("text", "data", "reason"),
    [
        ("cdcgan(width=4)", "ring", "needs labels, and the data have none"),
        ("sagan(width=4)", "ring", "needs labels"),
    ],
)
def test_conditional_task_rejects_unlabelled_data(text, data, reason):
    with pytest.raises(Incompatible, match=reason):
        training_setup(text, data)


@pytest.mark.parametrize("task", ["conditional", "auxiliary"])
def test_conditional_task_rejects_networks_without_labels(task):
    reason = incompatibility(replace(resolve_variant("began(width=4)"), task=task), "digits")
    assert reason == "a conditional task needs networks with labels, and autoencoder takes none"
    reason = incompatibility(
        replace(resolve_variant("began(width=4)"), task="information"), "digits"
    )
    assert "codes are predicted from features" in reason


@pytest.mark.parametrize("text", [*LABELLED_VARIANTS, "infogan(width=4)", "biggan(width=4)"])
def test_pacgan_rejects_tasks_with_labels_or_codes(text):
    with pytest.raises(Incompatible, match="has its own label or code"):
        training_setup(text, tricks=("pacgan",))


def test_truncated_latents_follow_truncated_normal():
    class ReturnLatents(torch.nn.Module):
        def forward(self, latents, labels):
            return latents

    task = TASKS.make("conditional(truncation=0.5)")
    task.latent = 50
    source = split("digits").held_out[IMAGE].make_batch(torch.arange(400))
    generators = torch.nn.ModuleDict({IMAGE: ReturnLatents()})
    truncated = task.sample(generators, {IMAGE: source}, torch.Generator().manual_seed(0))[IMAGE]
    assert stats.kstest(truncated.flatten().numpy(), stats.truncnorm(-0.5, 0.5).cdf).pvalue > 0.01
    task.truncation = 0.0
    plain = task.sample(generators, {IMAGE: source}, torch.Generator().manual_seed(0))[IMAGE]
    assert stats.kstest(plain.flatten().numpy(), stats.norm.cdf).pvalue > 0.01
    with pytest.raises(ValueError, match="truncation"):
        TASKS.load("conditional")(truncation=-1)


def test_zero_truncation_keeps_task_identity():
    assert TASKS.identity("conditional") == TASKS.identity("conditional(truncation=0)")
    assert "truncation" not in TASKS.identity("conditional")["settings"]


# InfoGAN


def test_information_bound_equals_known_channel():
    """One in four of the four-letter codes arrives as another: I = log 4 - H(noise)."""
    count, error = 40_000, 0.25
    random = torch.Generator().manual_seed(0)
    code = torch.randint(4, (count,), generator=random)
    wrong = torch.rand(count, generator=random) < error
    received = (code + wrong * torch.randint(1, 4, (count,), generator=random)) % 4
    probabilities = torch.full((4, 4), error / 3).fill_diagonal_(1 - error)
    noise_entropy = -(1 - error) * math.log(1 - error) - error * math.log(error / 3)
    one_hot = torch.eye(4)[code][:, None]
    information = categorical_information(probabilities.log()[received][:, None], one_hot).item()
    assert information == pytest.approx(math.log(4) - noise_entropy, abs=0.01)
    # other predictions give less information, and uniform predictions give 0
    assert (
        categorical_information(2 * probabilities.log()[received][:, None], one_hot).item()
        < information
    )
    assert categorical_information(torch.zeros(count, 1, 4), one_hot).item() == pytest.approx(
        0, abs=1e-5
    )


def test_information_of_two_codes_adds_up():
    logits = 1e3 * torch.eye(3)[torch.tensor([[0, 2], [1, 1]])]
    assert categorical_information(logits, logits / 1e3).item() == pytest.approx(2 * math.log(3))


def test_continuous_bound_equals_normal_density():
    code, mean = 2 * torch.rand(50, 3) - 1, random(50, 3)
    log_variance = random(50, 3, seed=1)
    density = stats.norm(mean, log_variance.div(2).exp()).logpdf(code).sum(1).mean()
    expected = 3 * math.log(2) + density  # the entropy of a number uniform in [-1, 1] is log 2
    information = continuous_information(mean, log_variance, code).item()
    assert information == pytest.approx(expected, rel=1e-5)


def test_codes_are_uniform_and_follow_latents():
    training = trainer("infogan(width=4)")
    task, plain = training.task, trainer("dcgan(width=4)").task
    inputs = task.draw_latents(2000, torch.Generator().manual_seed(0))
    assert inputs.shape == (2000, 4 + 10 + 2)
    latents, categories, numbers = inputs.tensor_split([4, 14], 1)
    assert same(latents, plain.draw_latents(2000, torch.Generator().manual_seed(0)))
    assert torch.equal(categories.sum(1), torch.ones(2000))
    assert stats.chisquare(categories.sum(0)).pvalue > 0.01
    assert stats.kstest(numbers.flatten(), stats.uniform(-1, 2).cdf).pvalue > 0.01


def test_training_raises_code_information():
    training = trainer("infogan(width=4)", generator_lr=1e-2, discriminator_lr=1e-2)
    training.plain_loss = replace(training.plain_loss, generator_weight=0.0)
    logs = steps(training, 60)
    assert logs[-1]["information"] < logs[0]["information"] - 1
    assert all(-math.log(10) <= log["information"] for log in logs)  # at most the entropy


# Labels after training


@pytest.mark.slow
@pytest.mark.parametrize("text", ["cdcgan(width=16)", "acgan(width=16)"])
def test_conditional_generator_learns_its_labels(text):
    training = trainer(text, batch=64, latent=64, generator_lr=1e-3, discriminator_lr=1e-3)
    assert accuracy(training) < 0.3
    for _ in range(1_500):
        training.train_step()
    training.flush()
    assert accuracy(training) > 0.8


def accuracy(training) -> float:
    """Returns the share of generated images that the classifier assigns to their labels."""
    evaluator = evaluator_for("digits", "cpu")
    fakes = draw_samples_of_task(
        training.task,
        training.sampling_generators(),
        evaluator.split.held_out,
        RngStreams(0, CPU),
        "test",
    )
    return values_of_readings(evaluator.measure(fakes, ("class_accuracy",)))["class_accuracy"]


def test_image_grid_has_one_row_per_class():
    images, labels = torch.arange(30).view(30, 1, 1, 1), torch.arange(30) % 2
    rows = arrange_by_class(images, labels).flatten().view(2, 10)
    assert torch.equal(rows, torch.stack([torch.arange(0, 20, 2), torch.arange(1, 21, 2)]))
    assert torch.equal(
        arrange_by_class(images[:3], labels[:3]).flatten()[1:10], torch.tensor([2] + 8 * [0])
    )
    grid = arrange_by_class(images, torch.arange(30))
    assert len(grid) == 100  # the first ten classes
