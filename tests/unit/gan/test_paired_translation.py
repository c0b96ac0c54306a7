"""pix2pix: its networks have the authors' layers, and its terms and pairs are those of the paper."""

from dataclasses import replace

import pytest
import torch
from helpers import split, training_setup
from torch import nn
from trick_cases import incompatibility

from ganbench.data.base import Data
from ganbench.gan.build import META_DEVICE, Incompatible, build_training
from ganbench.gan.networks import NETWORKS
from ganbench.gan.networks.pix2pix import DropoutNoise
from ganbench.gan.recipe import Recipe
from ganbench.gan.tasks import TASKS
from ganbench.gan.variants import resolve_variant
from ganbench.rng import RngStreams

TINY = "pix2pix(width=4, downs=2, strided=1)"


def batches(count=6):
    train = split("restyled_digits").train
    return {domain: own.make_batch(torch.arange(count)) for domain, own in train.items()}


def make_task(settings=""):
    return training_setup(TINY.replace(")", f"{settings})"), "restyled_digits").task


def make_pair(task):
    (pair,) = task.make_pairs(batches(), torch.Generator())
    return pair


# Networks


def test_translator_has_published_size():
    """The authors' code prints 54.414 M for 256 pixels and three channels."""
    with META_DEVICE:
        translator = NETWORKS.make("pix2pix").build_translator((3, 256, 256), (3, 256, 256))
    assert sum(p.numel() for p in translator.parameters()) == 54_413_955
    assert translator(torch.empty(2, 3, 256, 256, device=META_DEVICE)).shape == (2, 3, 256, 256)


def test_discriminator_has_published_size():
    """The authors' code prints 2.769 M for inputs and targets of three channels each."""
    with META_DEVICE:
        discriminator = NETWORKS.make("pix2pix").build_discriminator((6, 256, 256))
    assert sum(p.numel() for p in discriminator.parameters()) == 2_768_705
    assert discriminator(torch.empty(2, 6, 256, 256, device=META_DEVICE)).shape == (2, 30, 30)


def test_published_layers_have_dropout():
    """CD512-CD512-CD512-C512-C256-C128-C64: dropout is in the first three layers of the decoder."""
    with META_DEVICE:
        translator = NETWORKS.make("pix2pix").build_translator((3, 256, 256), (3, 256, 256))
    noisy = [any(isinstance(m, DropoutNoise) for m in layer) for layer in translator.decoder]
    assert noisy == [True] * 3 + [False] * 5


@pytest.mark.parametrize("downs", [1, 2, 3])
def test_every_decoder_layer_reads_maps_of_the_encoder(downs):
    """Each output gets maps of its own size; without the innermost maps it still sees its pixel."""
    network = NETWORKS.make(f"pix2pix(width=2, downs={downs}, dropout=0)")
    translator = network.build_translator((1, 16, 16), (2, 16, 16))
    read = []
    for layer in translator.encoder:
        layer.register_forward_hook(lambda *call: read.append(call[2].shape[1]))
    given = []
    for layer in translator.decoder:
        layer.register_forward_hook(lambda *call: given.append(call[1][0].shape[1]))
    made = translator(torch.randn(3, 1, 16, 16))
    assert made.shape == (3, 2, 16, 16)
    assert given == [read[-1], *(2 * width for width in reversed(read[:-1]))]
    if downs > 1:
        translator.decoder[0].register_forward_hook(lambda *call: torch.zeros_like(call[2]))
        x = torch.randn(1, 1, 16, 16, requires_grad=True)
        (gradient,) = torch.autograd.grad(translator(x)[0, 0, 5, 9], x)
        assert gradient[0, 0, 5, 9] != 0


def test_dropout_never_ends_and_keeps_the_mean():
    noise = DropoutNoise(0.25).eval()
    torch.manual_seed(0)
    kept = noise(torch.ones(100_000))
    assert kept.unique().tolist() == [0, pytest.approx(4 / 3)]
    assert kept.mean().item() == pytest.approx(1, abs=0.01)


def test_weights_are_drawn_as_published():
    translator = training_setup("pix2pix(width=16, downs=3, strided=1)", "restyled_digits").task
    (network,) = translator.generators.values()
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    drawn = torch.cat([m.weight.flatten() for m in convolutions])
    assert drawn.std().item() == pytest.approx(0.02, rel=0.02)
    scales = torch.cat([m.weight for m in network.modules() if isinstance(m, nn.InstanceNorm2d)])
    assert scales.mean().item() == pytest.approx(1, abs=0.01)
    assert 0.01 < scales.std().item() < 0.03


@pytest.mark.parametrize("settings", ["downs=4", "strided=3"])
def test_too_deep_networks_name_the_remedy(settings):
    recipe = resolve_variant(f"pix2pix(width=4, {settings})")
    assert "set downs and strided to less" in incompatibility(recipe, "restyled_digits")


@pytest.mark.parametrize("settings", ["width=0", "dropout=1", "dropout=-0.1"])
def test_impossible_network_settings_are_refused(settings):
    with pytest.raises(ValueError, match="must be at least"):
        NETWORKS.make(f"pix2pix({settings})")


# The task


def test_discriminator_scores_inputs_beside_targets_and_outputs():
    task, own = make_task(), batches()
    pair = make_pair(task)
    assert torch.equal(pair.real, torch.cat([own["a"].images, own["a"].truth], 1))
    assert torch.equal(pair.fake[:, :1], own["a"].images)
    assert pair.fake.shape == pair.real.shape == (6, 2, 8, 8)


def test_unconditional_discriminator_scores_images_alone():
    pair = make_pair(make_task(", conditional=false"))
    assert torch.equal(pair.real, batches()["a"].truth)
    assert pair.fake.shape == (6, 1, 8, 8)


@pytest.mark.parametrize("conditional", ["true", "false"])
def test_content_term_equals_its_formula(conditional):
    task = make_task(f", content=7, conditional={conditional}")
    pair = make_pair(task)
    (term,) = task.generator_terms([pair])
    expected = 7 * (pair.output[:, -1:] - batches()["a"].truth).abs().mean()
    assert term[0] == "content"
    assert term[1].item() == pytest.approx(expected.item(), rel=1e-6)


def test_adversarial_weight_scales_the_gradient_alone():
    task = make_task(", adversarial=0.25")
    pair = make_pair(task)
    assert torch.equal(pair.fake, pair.output)
    by_fake, by_output = (
        torch.autograd.grad(x.square().sum(), list(task.generators.parameters()), retain_graph=True)
        for x in (pair.fake, pair.output)
    )
    for scaled, whole in zip(by_fake, by_output, strict=True):
        torch.testing.assert_close(scaled, whole / 4)


def test_published_weights_are_the_defaults():
    task = TASKS.make(resolve_variant("pix2pix").task)
    assert (task.content, task.adversarial, task.conditional) == (100, 1, True)


def test_samples_are_translations_without_their_inputs():
    task, sources = make_task(), batches()
    fakes = task.sample(task.generators, sources, torch.Generator())
    conditioning = task.conditioning(sources)
    assert fakes["b"].shape == (6, 1, 8, 8)
    assert torch.equal(conditioning["b"].source, sources["a"].images)
    assert torch.equal(conditioning["b"].truth, sources["a"].truth)


@pytest.mark.parametrize("settings", ["content=-1", "adversarial=-1", "content=0, adversarial=0"])
def test_impossible_weights_are_refused(settings):
    with pytest.raises(ValueError, match=r"below 0|above 0"):
        TASKS.make(f"paired_translation({settings})")


@pytest.mark.parametrize(
    ("trick", "remedy"),
    [("diffaugment", "set colour to false"), ("ada", "set groups to 'bg'")],
)
def test_colours_of_two_images_are_not_mixed(trick, remedy):
    beside, alone = (
        replace(resolve_variant(TINY.replace(")", f", conditional={flag})")), tricks=(trick,))
        for flag in ("true", "false")
    )
    assert remedy in incompatibility(beside, "restyled_digits")
    assert not incompatibility(alone, "restyled_digits")
    without = {"diffaugment": "diffaugment(colour=false)", "ada": "ada(groups='bg')"}[trick]
    assert not incompatibility(replace(beside, tricks=(without,)), "restyled_digits")


class Enlarged(Data):
    """Data whose targets are larger than their inputs."""

    has_targets = True


def test_inputs_of_another_size_than_their_targets_need_no_place_beside_them():
    data = Enlarged()
    object.__setattr__(data, "shapes", {"a": (1, 8, 8), "b": (1, 16, 16)})
    reasons = []
    for conditional in ("true", "false"):
        recipe = Recipe(
            "", "srgan(width=4, blocks=1)", task=f"paired_translation(conditional={conditional})"
        )
        try:
            build_training(recipe, data, RngStreams(0, META_DEVICE))
            reasons.append("")
        except Incompatible as error:
            reasons.append(str(error))
    assert "set conditional to false" in reasons[0]
    assert reasons[1] == ""


def test_data_without_targets_are_refused(tmp_path):
    reason = incompatibility(resolve_variant("pix2pix"), f"unpaired(path={str(tmp_path)!r})")
    assert "cyclegan and cut need none" in reason
    assert "two domains" in incompatibility(resolve_variant(TINY), "digits")
