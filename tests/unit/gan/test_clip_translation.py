"""Prediction and motion transfer: losses by hand, published sizes, and what passes to the output."""

import math
from itertools import pairwise

import pytest
import torch
from helpers import CPU, split, steps, trainer, training_setup
from torch import nn

from ganbench.data import DATA
from ganbench.data.base import IMAGE
from ganbench.data.restyled_motion import CLIP, SOURCES
from ganbench.gan.build import META_DEVICE, Incompatible, build_training
from ganbench.gan.losses import LOSSES
from ganbench.gan.networks import NETWORKS
from ganbench.gan.networks.beyond_mse import RecursivePredictor
from ganbench.gan.networks.monkeynet import draw_gaussians, expected_places
from ganbench.gan.recipe import Recipe
from ganbench.gan.tasks import TASKS
from ganbench.gan.tasks.prediction import gradient_difference, mean_power
from ganbench.gan.tasks.target_batch import scale_gradient
from ganbench.gan.variants import resolve_variant
from ganbench.rng import RngStreams

PREDICTIVE, TRANSFERRING = "beyond_mse(width=2)", "monkeynet(width=2, points=3)"


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def batches(data, size=8):
    return {
        domain: examples.make_batch(torch.arange(size))
        for domain, examples in split(data).train.items()
    }


def first_pair(text, data, **kwargs):
    setup = training_setup(text, data, **kwargs)
    (pair,) = setup.task.make_pairs(batches(data), torch.Generator())
    return setup.task, pair


# Losses


def test_gradient_difference_by_hand():
    x = torch.tensor([[0.0, 1.0], [3.0, 1.0]])
    y = torch.tensor([[0.0, 2.0], [-1.0, 4.0]])
    # Columns: |2 - 1|, |5 - 2|; rows: |1 - 3|, |2 - 0|.
    assert gradient_difference(x, y).item() == (1 + 3) / 2 + (2 + 2) / 2
    assert gradient_difference(x, x).item() == 0
    assert gradient_difference(x, 7 - x).item() == 0  # signs of gradients do not count


def test_gradient_difference_ignores_brightness_and_prefers_sharp_edges():
    edge = torch.tensor([[0.0, 0.0, 1.0, 1.0]] * 4)
    soft = torch.tensor([[0.0, 0.25, 0.75, 1.0]] * 4)
    assert gradient_difference(edge + 0.3, edge).item() == pytest.approx(0, abs=1e-6)
    assert gradient_difference(soft, edge) > 0.2


def test_powers_by_hand():
    x, y = torch.tensor([1.0, -2.0]), torch.tensor([0.0, 1.0])
    assert mean_power(x, y, 1).item() == 2
    assert mean_power(x, y, 2).item() == 5


@pytest.mark.parametrize("weight", [0, 0.05, 1, 3])
def test_scaled_gradient_keeps_values(weight):
    x = torch.randn(5, requires_grad=True)
    scaled = scale_gradient(x, weight)
    assert torch.equal(scaled, x)
    if weight:
        (gradient,) = torch.autograd.grad(scaled.square().sum(), x)
        torch.testing.assert_close(gradient, 2 * weight * x)
    else:
        assert not scaled.requires_grad


def test_weights_are_the_published_ones():
    task = TASKS.make(resolve_variant("beyond_mse").task)
    assert (task.content, task.gradient, task.adversarial, task.given) == (1, 1, 0.05, 4)
    recipe = resolve_variant("monkeynet")
    score = torch.tensor([3.0])
    adversarial = LOSSES.make(recipe.loss).generator_loss(score, None) / (score - 1) ** 2
    transfer = TASKS.make(recipe.task)
    assert transfer.reconstruction / (transfer.adversarial * adversarial) == 10


# Prediction


def test_predicted_clips_begin_with_the_given_frames():
    _, pair = first_pair(PREDICTIVE, "moving_digits")
    assert torch.equal(pair.fake[:, :, :4], pair.real[:, :, :4])
    assert not torch.equal(pair.fake[:, :, 4:], pair.real[:, :, 4:])
    assert torch.equal(pair.source, pair.real[:, :, :4])


def test_prediction_depends_on_given_frames_alone():
    task, _ = first_pair(PREDICTIVE, "moving_digits")
    sources = batches("moving_digits")
    changed = sources[IMAGE].images.clone()
    changed[:, :, 4:] = 0
    fakes = [
        task.sample(task.generators, {IMAGE: type(sources[IMAGE])(x, None, None)}, None)[IMAGE]
        for x in (sources[IMAGE].images, changed)
    ]
    assert torch.equal(*fakes)


def test_conditioning_has_frames_classes_and_truth():
    task, _ = first_pair(PREDICTIVE, "moving_digits")
    sources = batches("moving_digits")
    known = task.conditioning(sources)[IMAGE]
    assert torch.equal(known.truth, sources[IMAGE].images)
    assert torch.equal(known.source, sources[IMAGE].images[:, :, :4])
    assert torch.equal(known.labels, sources[IMAGE].labels)


def test_predictor_continues_from_its_own_frames():
    """A predictor that returns the mean of its window, step by step."""

    class Mean(nn.Module):
        def forward(self, window):
            return window.mean(1, keepdim=True)

    given = torch.tensor([1.0, 3.0]).view(1, 1, 2, 1, 1)
    clip = RecursivePredictor(Mean(), 5)(given)
    assert clip.flatten().tolist() == [1, 3, 2, 2.5, 2.25]


def test_terms_of_prediction_equal_formulas():
    text = "beyond_mse(width=2, content=2, gradient=3, exponent=2, given=5)"
    task, pair = first_pair(text, "moving_digits")
    x, y = pair.fake[:, :, 5:], pair.real[:, :, 5:]
    terms = {name: term.item() for name, term in task.generator_terms([pair])}
    assert terms == {
        "content": pytest.approx(2 * (x - y).square().mean().item()),
        "gradient": pytest.approx(3 * gradient_difference(x, y).item()),
    }


@pytest.mark.parametrize(
    ("text", "data", "terms"),
    [
        ("beyond_mse(width=2, adversarial=0, gradient=0)", "moving_digits", {"content"}),
        ("monkeynet(width=2, adversarial=0)", "restyled_motion", {"reconstruction"}),
        ("monkeynet(width=2, supervised=1, reconstruction=0)", "restyled_motion", {"supervised"}),
    ],
)
def test_terms_without_weight_are_left_out(text, data, terms):
    task, pair = first_pair(text, data)
    assert {name for name, _ in task.generator_terms([pair])} == terms
    assert pair.fake.requires_grad is ("adversarial=0" not in text)


def test_adversarial_gradient_has_its_weight():
    gradients = []
    for weight in (1, 0.05):
        task, pair = first_pair(f"beyond_mse(width=2, adversarial={weight})", "moving_digits")
        parameters = list(task.generators.parameters())
        gradients.append(torch.autograd.grad(pair.fake_score.sum(), parameters))
    for whole, part in zip(*gradients, strict=True):
        torch.testing.assert_close(part, 0.05 * whole, rtol=1e-3, atol=1e-6)


def test_beyond_mse_has_the_published_size():
    """The stacks of four scales of 32x32 colour frames, with the paper's widths and kernels."""
    with META_DEVICE:
        network = NETWORKS.make("beyond_mse(width=128)")
        translator = network.build_translator((3, 4, 32, 32), (3, 5, 32, 32))
    widths = [(128, 256, 128)] * 2 + [(128, 256, 512, 256, 128)] * 2
    kernels = [(3, 3, 3, 3), (5, 3, 3, 5), (5, 3, 3, 3, 3, 5), (7, 5, 5, 5, 5, 7)]
    expected = 0
    for inputs, inner, sizes in zip((12, 15, 15, 15), widths, kernels, strict=True):
        for (a, b), size in zip(pairwise((inputs, *inner, 3)), sizes, strict=True):
            expected += a * b * size**2 + b
    assert count(translator) == expected


@pytest.mark.parametrize("given", [1, 4, 7])
def test_any_number_of_frames_can_be_given(given):
    _, pair = first_pair(f"beyond_mse(width=2, given={given})", "moving_digits")
    assert pair.fake.shape == pair.real.shape
    assert torch.equal(pair.fake[:, :, :given], pair.real[:, :, :given])


# Motion transfer


def test_key_points_are_found_exactly():
    heat = torch.zeros(1, 2, 5, 5)
    heat[0, 0, 0, 4] = 1
    heat[0, 1, 1:3, 2] = 0.5
    assert expected_places(heat)[0].flatten().tolist() == pytest.approx([-1, 1, -0.25, 0])


def test_gaussians_are_highest_at_key_points():
    places = torch.tensor([[[-1.0, 1.0], [0.0, 0.0]]])
    maps = draw_gaussians(places, 5)
    assert maps[0, 0].flatten().argmax() == 4
    assert maps[0, 1, 2, 2] == 1
    assert maps[0, 1, 2, 3].item() == pytest.approx(math.exp(-0.5 * (0.5 / 0.2) ** 2))


def test_content_has_no_path_and_motion_no_more_than_places():
    task, _ = first_pair(TRANSFERRING, "restyled_motion")
    generator = task.generators[CLIP].eval()
    motion, content = batches("restyled_motion")[SOURCES].images.chunk(2, 2)
    plain = generator(torch.cat([motion, content], 2))
    # The order of the content's frames does not count.
    torch.testing.assert_close(generator(torch.cat([motion, content.flip(2)], 2)), plain)
    # A frame depends on the motion's frame at its time alone.
    changed = motion.clone()
    changed[:, :, 3] = motion[:, :, 5]
    made = generator(torch.cat([changed, content], 2))
    differs = (made - plain).abs().amax((0, 1, 3, 4)) > 0
    assert differs.nonzero().flatten().tolist() == [3]
    torch.testing.assert_close(made[:, :, 3], plain[:, :, 5])


def test_terms_of_transfer_equal_formulas():
    text = "monkeynet(width=2, generator_norm='none', reconstruction=2, supervised=3)"
    task, pair = first_pair(text, "restyled_motion")
    own, generator = batches("restyled_motion"), task.generators[CLIP]
    clips, truth = own[CLIP].images, own[SOURCES].truth
    terms = {name: term.item() for name, term in task.generator_terms([pair])}
    again = generator(torch.cat([clips, clips], 2))
    assert terms == {
        "reconstruction": pytest.approx(2 * (again - clips).abs().mean().item()),
        "supervised": pytest.approx(3 * (pair.output - truth).abs().mean().item()),
    }
    assert torch.equal(pair.real, clips)
    assert torch.equal(pair.source, own[SOURCES].images)


def test_transfers_keep_sources_classes_and_truth():
    task, _ = first_pair(TRANSFERRING, "restyled_motion")
    own = batches("restyled_motion")
    known = task.conditioning(own)[CLIP]
    assert torch.equal(known.source, own[SOURCES].images)
    assert torch.equal(known.truth, own[SOURCES].truth)
    assert torch.equal(known.labels, own[SOURCES].labels)
    assert task.sample(task.generators, own, None)[CLIP].shape == own[CLIP].images.shape


@pytest.mark.parametrize(
    ("text", "data", "term"),
    [
        ("beyond_mse(width=4)", "moving_digits", "content"),
        ("monkeynet(width=4)", "restyled_motion", "reconstruction"),
    ],
)
def test_training_lowers_the_content_term(text, data, term):
    logs = steps(trainer(text, data, generator_lr=2e-3, batch=16), 8)
    assert logs[-1][term] < logs[0][term]


# Refusals


@pytest.mark.parametrize(
    ("recipe", "data", "reason"),
    [
        (Recipe("", "beyond_mse", task="prediction"), "digits", "beyond_mse makes clips"),
        (Recipe("", "cyclegan", task="prediction"), "digits", "frames of clips are predicted"),
        (Recipe("", "beyond_mse", task="prediction"), "restyled_motion", "has one domain"),
        (Recipe("", "beyond_mse", task="prediction(given=8)"), "moving_digits", "set given to less"),
        (Recipe("", "mocogan", task="prediction"), "moving_digits", "generates images from noise"),
        (Recipe("", "monkeynet", task="prediction"), "moving_digits", "one clip of two"),
        (Recipe("", "monkeynet", task="motion_transfer"), "moving_digits", "needs sources and clips"),
        (Recipe("", "cyclegan(downs=1, strided=1)", task="motion_transfer"), "restyled_digits",
         "motion is that of clips"),
        (Recipe("", "beyond_mse", task="motion_transfer"), "restyled_motion", "continues clips"),
        (Recipe("", "beyond_mse", task="unconditional"), "moving_digits", "makes no clips from noise"),
        (Recipe("", "monkeynet", task="unconditional"), "moving_digits", "makes no clips from noise"),
    ],
)  # fmt: skip
def test_impossible_recipes_are_refused(recipe, data, reason):
    from ganbench.gan.build import check_recipe

    with pytest.raises(Incompatible, match=reason):
        check_recipe(recipe, data)


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        ("prediction(given=0)", "given must be at least 1"),
        ("prediction(exponent=3)", "exponent is 3; there are 1, 2"),
        ("prediction(gradient=-1)", "gradient must not be below 0"),
        ("prediction(content=0, gradient=0, adversarial=0)", "must be above 0"),
        ("motion_transfer(supervised=-1)", "supervised must not be below 0"),
        ("motion_transfer(reconstruction=0, adversarial=0)", "must be above 0"),
    ],
)
def test_impossible_settings_are_refused(task, reason):
    with pytest.raises(ValueError, match=reason):
        TASKS.make(task)


def test_supervised_transfer_needs_the_truth():
    setup = training_setup("monkeynet(width=2, supervised=1)", "restyled_motion")
    own = batches("restyled_motion")
    clips = own[SOURCES]
    own[SOURCES] = type(clips)(clips.images, clips.labels, clips.index)
    (pair,) = setup.task.make_pairs(own, torch.Generator())
    with pytest.raises(ValueError, match="these have none"):
        list(setup.task.generator_terms([pair]))


def test_networks_are_the_same_on_every_seed_stream():
    first, again = (
        build_training(
            resolve_variant(TRANSFERRING), DATA.make("restyled_motion"), RngStreams(3, CPU)
        )
        for _ in range(2)
    )
    for a, b in zip(first.task.parameters(), again.task.parameters(), strict=True):
        assert torch.equal(a, b)
