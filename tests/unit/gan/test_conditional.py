"""Conditional games: labels bind where they should, and what the discriminator tells is what the papers say."""

import math
from dataclasses import replace

import pytest
import torch
from helpers import CPU, same, split, steps, trainer, training_setup
from scipy import stats
from torch.nn.functional import cross_entropy

from ganbench.data.base import IMAGE
from ganbench.evaluation.evaluator import evaluator_for
from ganbench.evaluation.scores_file import values_of_readings
from ganbench.gan.build import Incompatible
from ganbench.gan.networks.discriminator import ProjectionHead
from ganbench.gan.tasks import TASKS
from ganbench.gan.tasks.infogan import categorical_information, continuous_information
from ganbench.image_grid import arrange_by_class
from ganbench.rng import RngStreams
from ganbench.training.sampling import draw_samples_of_task

LABELLED = ["cdcgan(width=4)", "acgan(width=4)", "projection(width=8)", "sagan(width=4)"]


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def play(made, number=0):
    return made.task.make_pairs(made.loader.batches(number), made.begin_step(0))[0]


def test_a_projection_is_a_score_and_an_inner_product():
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


def test_a_widened_projection_projects_further_features_too():
    head = ProjectionHead(5, 3, bias=False).widen(2)
    assert (head.linear.in_features, head.embedding.embedding_dim) == (7, 7)
    assert head.linear.bias is None


@pytest.mark.parametrize("text", LABELLED)
def test_fakes_of_a_turn_have_the_labels_of_its_reals(text):
    made = trainer(text)
    pair, batch = play(made), made.loader.batches(0)[IMAGE]
    assert torch.equal(pair.real_label, batch.labels)
    assert torch.equal(pair.fake_label, batch.labels)
    assert torch.equal(split("digits").train[IMAGE].labels[batch.index], batch.labels)


@pytest.mark.parametrize("text", LABELLED)
def test_another_label_is_another_image(text):
    made = trainer(text)
    with torch.no_grad():
        for name, parameter in made.task.generators.named_parameters():
            if "scale" in name or "shift" in name:  # which begin without a say
                parameter.copy_(random(*parameter.shape))
    made.task.generators.eval()
    latents = random(1, 4).expand(10, 4)
    images = made.task.generators[IMAGE](latents, torch.arange(10))
    assert torch.cdist(*[images.flatten(1)] * 2).add(torch.eye(10)).min() > 1e-6


@pytest.mark.parametrize("text", ["cdcgan(width=4)", "projection(width=8)", "cr3gan(width=4)"])
def test_a_projection_game_judges_under_the_label(text):
    pair = play(trainer(text))
    other = (pair.real_label + 1) % 10
    assert not torch.allclose(pair.score(pair.real, "x", other), pair.real_score, atol=1e-7)


def test_acgan_scores_without_the_label_and_tells_it():
    pair = play(trainer("acgan(width=4, norm='none')"))
    other = (pair.real_label + 1) % 10
    assert torch.equal(pair.score(pair.real, "x", other), pair.real_score)
    assert pair.discriminator.teller(pair.real_features).shape == (8, 10)


def test_acgans_terms_are_the_cross_entropies_of_both_sides():
    made = trainer("acgan(width=4)")
    made.task.weight = 3.0
    pair = play(made)
    told = [pair.discriminator.teller(f) for f in (pair.real_features, pair.fake_features)]
    real, fake = (3 * cross_entropy(t, pair.real_label).item() for t in told)
    terms = dict(made.task.discriminator_terms([pair]))
    assert {k: v.item() for k, v in terms.items()} == pytest.approx(
        {"classes_of_reals": real, "classes_of_fakes": fake}
    )
    terms = dict(made.task.generator_terms([pair]))
    assert {k: v.item() for k, v in terms.items()} == pytest.approx({"classes_of_fakes": fake})


@pytest.mark.parametrize("text", ["cdcgan(width=4)", "acgan(width=4)"])
def test_samples_have_the_labels_of_their_sources(text):
    made, held_out = trainer(text), split("digits").held_out
    heard = []
    made.task.generators[IMAGE].register_forward_pre_hook(lambda _, given: heard.append(given[1]))
    fakes = draw_samples_of_task(made.task, made.task.generators, held_out, RngStreams(0, CPU), "x")
    assert torch.equal(torch.cat(heard), held_out[IMAGE].labels)
    assert len(fakes.images) == len(held_out[IMAGE])
    assert torch.equal(fakes.labels, held_out[IMAGE].labels)


@pytest.mark.parametrize(
    ("text", "data", "reason"),
    [
        ("cdcgan(width=4)", "ring", "needs labels, and the data have none"),
        ("sagan(width=4)", "ring", "needs labels"),
    ],
)
def test_a_conditional_game_objects_to_data_without_labels(text, data, reason):
    with pytest.raises(Incompatible, match=reason):
        training_setup(text, data)


@pytest.mark.parametrize("task", ["conditional", "auxiliary"])
def test_a_conditional_game_objects_to_networks_that_take_no_labels(task):
    from test_every_variant import objection

    from ganbench.gan.variants import resolve_variant

    why = objection(replace(resolve_variant("began(width=4)"), task=task), "digits")
    assert why == "a conditional task needs networks with labels, and autoencoder takes none"
    why = objection(replace(resolve_variant("began(width=4)"), task="information"), "digits")
    assert "codes are predicted from features" in why


@pytest.mark.parametrize("text", [*LABELLED, "infogan(width=4)", "biggan(width=4)"])
def test_pacgan_objects_where_each_image_is_asked_something_of_its_own(text):
    with pytest.raises(Incompatible, match="has its own label or code"):
        training_setup(text, tricks=("pacgan",))


def test_truncated_latents_are_of_the_truncated_normal_law():
    class Same(torch.nn.Module):
        def forward(self, latents, labels):
            return latents

    task = TASKS.make("conditional(truncation=0.5)")
    task.latent = 50
    source = split("digits").held_out[IMAGE].make_batch(torch.arange(400))
    made = torch.nn.ModuleDict({IMAGE: Same()})
    drawn = task.sample(made, {IMAGE: source}, torch.Generator().manual_seed(0))[IMAGE]
    assert stats.kstest(drawn.flatten().numpy(), stats.truncnorm(-0.5, 0.5).cdf).pvalue > 0.01
    task.truncation = 0.0
    plain = task.sample(made, {IMAGE: source}, torch.Generator().manual_seed(0))[IMAGE]
    assert stats.kstest(plain.flatten().numpy(), stats.norm.cdf).pvalue > 0.01
    with pytest.raises(ValueError, match="truncation"):
        TASKS.load("conditional")(truncation=-1)


def test_truncation_of_0_is_no_part_of_a_games_identity():
    assert TASKS.identity("conditional") == TASKS.identity("conditional(truncation=0)")
    assert "truncation" not in TASKS.identity("conditional")["settings"]


# InfoGAN


def test_the_bound_is_the_information_of_a_known_channel():
    """A code of four letters, of which one in four arrives as another: I = log 4 - H(noise)."""
    count, error = 40_000, 0.25
    drawn = torch.Generator().manual_seed(0)
    code = torch.randint(4, (count,), generator=drawn)
    wrong = torch.rand(count, generator=drawn) < error
    seen = (code + wrong * torch.randint(1, 4, (count,), generator=drawn)) % 4
    law = torch.full((4, 4), error / 3).fill_diagonal_(1 - error)
    noise = -(1 - error) * math.log(1 - error) - error * math.log(error / 3)
    one_hot = torch.eye(4)[code][:, None]
    found = categorical_information(law.log()[seen][:, None], one_hot).item()
    assert found == pytest.approx(math.log(4) - noise, abs=0.01)
    # any other reader knows less, and one that knows nothing 0
    assert categorical_information(2 * law.log()[seen][:, None], one_hot).item() < found
    assert categorical_information(torch.zeros(count, 1, 4), one_hot).item() == pytest.approx(
        0, abs=1e-5
    )


def test_two_codes_carry_the_sum_of_what_each_does():
    sure = 1e3 * torch.eye(3)[torch.tensor([[0, 2], [1, 1]])]
    assert categorical_information(sure, sure / 1e3).item() == pytest.approx(2 * math.log(3))


def test_the_bound_on_numbers_is_that_of_the_normal_density():
    code, mean = 2 * torch.rand(50, 3) - 1, random(50, 3)
    log_variance = random(50, 3, seed=1)
    density = stats.norm(mean, log_variance.div(2).exp()).logpdf(code).sum(1).mean()
    expected = 3 * math.log(2) + density  # the entropy of a number uniform in [-1, 1] is log 2
    found = continuous_information(mean, log_variance, code).item()
    assert found == pytest.approx(expected, rel=1e-5)


def test_codes_are_uniform_and_stand_behind_the_latents():
    made = trainer("infogan(width=4)")
    task, plain = made.task, trainer("dcgan(width=4)").task
    found = task.draw_latents(2000, torch.Generator().manual_seed(0))
    assert found.shape == (2000, 4 + 10 + 2)
    latents, category, number = found.tensor_split([4, 14], 1)
    assert same(latents, plain.draw_latents(2000, torch.Generator().manual_seed(0)))
    assert torch.equal(category.sum(1), torch.ones(2000))
    assert stats.chisquare(category.sum(0)).pvalue > 0.01
    assert stats.kstest(number.flatten(), stats.uniform(-1, 2).cdf).pvalue > 0.01


def test_both_sides_raise_the_information_about_the_codes():
    made = trainer("infogan(width=4)", generator_lr=1e-2, discriminator_lr=1e-2)
    made.plain_loss = replace(made.plain_loss, generator_weight=0.0)
    logs = steps(made, 60)
    assert logs[-1]["information"] < logs[0]["information"] - 1
    assert all(-math.log(10) <= log["information"] for log in logs)  # not more than there is


# Evidence that labels bind


@pytest.mark.slow
@pytest.mark.parametrize("text", ["cdcgan(width=16)", "acgan(width=16)"])
def test_a_conditional_generator_makes_what_its_labels_say(text):
    made = trainer(text, batch=64, latent=64, generator_lr=1e-3, discriminator_lr=1e-3)
    assert accuracy(made) < 0.3
    for _ in range(1_500):
        made.train_step()
    made.flush()
    assert accuracy(made) > 0.8


def accuracy(made) -> float:
    """The share of fakes that the shipped classifier takes for what their labels say."""
    evaluator = evaluator_for("digits", "cpu")
    fakes = draw_samples_of_task(
        made.task, made.sampling_generators(), evaluator.split.held_out, RngStreams(0, CPU), "test"
    )
    return values_of_readings(evaluator.measure(fakes, ("class_accuracy",)))["class_accuracy"]


def test_a_picture_has_a_row_a_class():
    images, labels = torch.arange(30).view(30, 1, 1, 1), torch.arange(30) % 2
    shown = arrange_by_class(images, labels).flatten().view(2, 10)
    assert torch.equal(shown, torch.stack([torch.arange(0, 20, 2), torch.arange(1, 21, 2)]))
    assert torch.equal(
        arrange_by_class(images[:3], labels[:3]).flatten()[1:10], torch.tensor([2] + 8 * [0])
    )
    many = arrange_by_class(images, torch.arange(30))
    assert len(many) == 100  # the first ten classes
