"""Residual families: the published sizes, and layers against what they stand for, recomputed."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from helpers import CPU, trainer, training_setup
from torch import nn
from torch.nn.functional import batch_norm

from ganbench.data.base import IMAGE
from ganbench.gan.build import Incompatible
from ganbench.gan.networks import NETWORKS
from ganbench.gan.networks.attention import SelfAttention
from ganbench.gan.networks.base import initialize_parameters
from ganbench.gan.networks.conditioning import (
    ClassEmbedding,
    ConditionalBatchNorm,
    OneHotConditioned,
)
from ganbench.gan.networks.r3gan import ClassDirection, NormalConv2d, R3GANBlock
from ganbench.rng import RngStreams

META = torch.device("meta")
ROOT = Path(__file__).parents[3]


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def network(text, classes=0):
    return replace(NETWORKS.make(text), classes=classes)


def count(module):
    return sum(p.numel() for p in module.parameters())


def sizes(text, latent, shape, classes=0):
    with META:
        made = network(text, classes)
        return count(made.build_generator(latent, shape)), count(made.build_discriminator(shape))


def drawn(text, part, *args, classes=0, seed=0):
    made = network(text, classes)
    return initialize_parameters(
        made, getattr(made, f"build_{part}")(*args), RngStreams(seed, CPU), part
    )


# Published sizes


def test_sngan_has_the_size_published_for_cifar():
    assert sizes("sngan", 128, (3, 32, 32)) == (4_276_739, 1_053_825)


def test_biggan_has_the_size_published_for_imagenet_at_128():
    """70.4 and 88.0 million in the paper's table; to the last weight those of its authors' reimplementation."""
    assert sizes("biggan", 120, (3, 128, 128), 1000) == (70_433_988, 87_982_370)


def test_r3gan_has_the_size_published_for_cifar():
    """20.78 million for the generator; the discriminator's last linear layer is that of 768 x 768.

    Eight blocks of width 768 a side are 20.67 million; the rest is what makes and judges the 4x4 maps.
    """
    wide = 2 * 768
    blocks = 8 * (2 * 768 * wide + wide * 16 * 9 + 2 * wide)
    maps, colours = 768 * 4 * 4, 768 * 3
    generator = blocks + (64 + 64) * 768 + maps + colours + 10 * 64
    discriminator = blocks + colours + maps + 768 * 768 + 10 * 768
    assert sizes("r3gan", 64, (3, 32, 32), 10) == (generator, discriminator)
    assert generator == 20_781_952
    assert discriminator == 21_280_512


def test_sagan_has_the_parameters_of_its_layers():
    """The paper tells no count; these are its layers: blocks of 1024 to 64 channels, attention at 32x32."""

    def conv(fan_in, fan_out, side):
        return fan_in * fan_out * side**2 + fan_out

    def block(fan_in, fan_out, hidden, past=True):
        inner = conv(fan_in, hidden, 3) + conv(hidden, fan_out, 3)
        return inner + (conv(fan_in, fan_out, 1) if past else 0)

    def attention(channels):
        return 4 * channels * channels // 8 + 1

    widths = [1024, 1024, 512, 256, 128, 64]
    generator = 128 * 1024 * 16 + 1024 * 16 + attention(256) + 2 * 64 + conv(64, 3, 3)
    for a, b in pairwise(widths):
        generator += block(a, b, b) + 2 * 1000 * (a + b)  # scales and shifts of each class
    judge = block(3, 64, 64) + attention(128) + block(1024, 1024, 1024, past=False)
    for a, b in pairwise(reversed(widths[1:])):
        judge += block(a, b, a)
    judge += 1024 + 1 + 1000 * 1024
    assert sizes("sagan", 128, (3, 128, 128), 1000) == (generator, judge)


def test_sngans_pyramid_for_large_images_is_the_published_one():
    sngan = network("sngan")
    assert sngan.generator_widths(5) == [1024, 1024, 512, 256, 128, 64]
    assert [width for width, _ in sngan.discriminator_widths(5)] == [64, 128, 256, 512, 1024, 1024]
    assert [halves for _, halves in sngan.discriminator_widths(5)] == [True] * 5 + [False]


FAMILIES = ["sngan(width=8)", "sagan(width=4)", "biggan(width=4)", "r3gan(width=4)"]


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("text", FAMILIES)
def test_a_family_makes_and_judges_with_labels_and_without(text, classes):
    made, shape = network(text, classes), (3, 16, 16)
    labels = [torch.tensor([0, 2])] if classes else []
    fake = made.build_generator(7, shape)(random(2, 7), *labels)
    assert fake.shape == (2, *shape)
    judge = made.build_discriminator(shape)
    assert judge(fake, *labels).shape == (2,)
    assert judge.body(fake).shape == (2, *judge.shape)


@pytest.mark.parametrize("text", FAMILIES)
def test_a_family_objects_to_points_and_other_sizes(text):
    for shape in ((2,), (3, 12, 12)):
        assert len(NETWORKS.make(text).incompatibility(shape).split()) > 5


def test_attention_is_at_the_published_side():
    with META:
        for text, side in (("sagan(width=8)", 32), ("biggan(width=8)", 64)):
            made, seen = network(text), []
            parts = (
                made.build_generator(120, (3, 128, 128)),
                made.build_discriminator((3, 128, 128)),
            )
            for part in parts:
                for layer in part.modules():
                    if isinstance(layer, SelfAttention):
                        layer.register_forward_pre_hook(lambda _, x, s=seen: s.append(x[0].shape))
            parts[1](parts[0](torch.empty(2, 120)))
            assert [shape[2] for shape in seen] == [side, side]


# Layers


@pytest.mark.parametrize("pooled", [False, True])
def test_attention_is_what_a_loop_over_places_finds(pooled):
    layer, x = SelfAttention(16, 6, pooled), random(2, 16, 4, 4)
    with torch.no_grad():
        layer.gate.fill_(0.7)
    query, key, value = (made(x) for made in (layer.query, layer.key, layer.value))
    if pooled:
        key, value = (nn.MaxPool2d(2)(maps) for maps in (key, value))
    expected = x.clone()
    for n in range(2):
        for row in range(4):
            for column in range(4):
                scores = torch.einsum("c,cp->p", query[n, :, row, column], key[n].flatten(1))
                weight = scores.exp() / scores.exp().sum()
                found = value[n].flatten(1) @ weight
                out = layer.out.weight[:, :, 0, 0] @ found
                expected[n, :, row, column] += 0.7 * out
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)


def test_attention_begins_without_a_say_and_learns_to_have_one():
    layer, x = SelfAttention(16, 2), random(2, 16, 4, 4)
    assert torch.equal(layer(x), x)
    layer(x).square().sum().backward()
    assert layer.gate.grad.abs() > 0
    made = drawn("sagan(width=8)", "generator", 8, (1, 8, 8))
    assert [m.gate.item() for m in made.modules() if isinstance(m, SelfAttention)] == [0]


def test_conditional_batch_norm_is_an_affine_map_a_class_behind_the_batchs_norm():
    layer = ConditionalBatchNorm(3, ClassEmbedding(4, 3), ClassEmbedding(4, 3))
    x, labels = random(6, 3, 2, 2), torch.tensor([0, 3, 1, 0, 2, 2])
    plain = batch_norm(x, None, None, training=True)
    torch.testing.assert_close(layer(x, labels), plain)  # to begin with
    with torch.no_grad():
        layer.scale.weight.copy_(random(4, 3))
        layer.shift.weight.copy_(random(4, 3, seed=1))
    found = layer(x, labels)
    for n, label in enumerate(labels):
        for c in range(3):
            a, b = 1 + layer.scale.weight[label, c], layer.shift.weight[label, c]
            torch.testing.assert_close(found[n, c], a * plain[n, c] + b)


def test_labels_stand_one_hot_behind_the_latents():
    latents, labels = random(3, 2), torch.tensor([1, 0, 2])
    found = OneHotConditioned(nn.Identity(), 3)(latents, labels)
    assert torch.equal(found, torch.cat([latents, torch.eye(3)[labels]], 1))


def test_biggan_hands_each_block_its_slice_of_the_latents_and_the_class():
    made = drawn("biggan(width=4, embedding=5)", "generator", 9, (1, 16, 16), classes=3)
    assert made.told.slices == [3, 3, 3]  # the smallest maps, and two blocks
    latents, labels = random(2, 9), torch.tensor([0, 2])
    seed, conditions = made.told(latents, labels)
    assert torch.equal(seed, latents[:, :3])
    for number, condition in enumerate(conditions, 1):
        embedded = made.told.shared.weight[labels]
        expected = torch.cat([embedded, latents[:, 3 * number : 3 * number + 3]], 1)
        assert torch.equal(condition, expected)


def test_biggans_weights_begin_orthogonal():
    parts = [
        drawn("biggan(width=4, embedding=5)", "generator", 9, (3, 16, 16), classes=3),
        drawn("biggan(width=4)", "discriminator", (3, 16, 16), classes=3),
    ]
    kinds = nn.Conv2d | nn.Linear | nn.Embedding
    layers = [m for part in parts for m in part.modules() if isinstance(m, kinds)]
    assert len(layers) > 20
    for layer in layers:
        matrix = layer.weight.flatten(1)
        matrix = matrix if len(matrix) <= matrix.shape[1] else matrix.T
        torch.testing.assert_close(matrix @ matrix.T, torch.eye(len(matrix)), rtol=0, atol=1e-5)


def test_r3gans_blocks_begin_as_the_identity_and_its_layers_keep_the_variance():
    made = drawn("r3gan(width=64)", "discriminator", (3, 8, 8), classes=3)
    for block in (m for m in made.modules() if isinstance(m, R3GANBlock)):
        x = random(2, block.inner[0].in_channels, 4, 4)
        assert torch.equal(block(x), x)
    for layer in (m for m in made.modules() if isinstance(m, NormalConv2d) and m.gain):
        expected = layer.gain / layer.weight[0].numel() ** 0.5
        assert layer.weight.std().item() == pytest.approx(expected, rel=0.25)
    directions = made.head.direction
    assert isinstance(directions, ClassDirection)
    assert directions.weight.norm(dim=1).mean().item() == pytest.approx(1, rel=0.2)


def test_spectral_norm_of_both_networks_gives_every_matrix_norm_1():
    made = training_setup(
        "sagan(width=4)", tricks=("spectral_norm(iterations=30, generator=true)",)
    )
    task = made.task.train()
    labels = torch.arange(8) % 10
    for _ in range(5):
        task.discriminators[IMAGE](task.generators[IMAGE](random(8, 4), labels), labels)
    for side, kinds in (
        (task.generators, nn.Conv2d | nn.Linear),
        (task.discriminators, nn.Conv2d | nn.Linear | nn.Embedding),
    ):
        layers = [
            m for m in side.modules() if isinstance(m, kinds) and not isinstance(m, ClassEmbedding)
        ]
        assert len(layers) > 10
        for layer in layers:
            norm = torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item()
            assert norm == pytest.approx(1, abs=0.02)
    per_class = [m for m in task.generators.modules() if isinstance(m, ClassEmbedding)]
    assert per_class
    assert all(type(m) is ClassEmbedding for m in per_class)  # as it was


def test_spectral_norm_objects_to_weights_that_begin_at_zero():
    with pytest.raises(Incompatible, match="some weights of r3gan begin at zero"):
        trainer("r3gan(width=4)", tricks=("spectral_norm",))
    with pytest.raises(ValueError, match="no normalization"):
        NETWORKS.load("r3gan")(norm="batch")
