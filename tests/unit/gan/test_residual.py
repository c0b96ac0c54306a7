"""Residual networks: published sizes, and layers recomputed from their definitions."""

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
from ganbench.gan.networks.r3gan import (
    ClassVectors,
    NormalConv2d,
    R3GANBlock,
    R3GANProjectionHead,
    ResampleLayer,
)
from ganbench.rng import RngStreams

META = torch.device("meta")
ROOT = Path(__file__).parents[3]


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def make_network(text, classes=0):
    return replace(NETWORKS.make(text), classes=classes)


def count(module):
    return sum(p.numel() for p in module.parameters())


def parameter_counts(text, latent, shape, classes=0):
    with META:
        network = make_network(text, classes)
        return count(network.build_generator(latent, shape)), count(
            network.build_discriminator(shape)
        )


def build(text, part, *args, classes=0, seed=0):
    network = make_network(text, classes)
    return initialize_parameters(
        network, getattr(network, f"build_{part}")(*args), RngStreams(seed, CPU), part
    )


# Published sizes


def test_sngan_has_published_cifar_size():
    assert parameter_counts("sngan", 128, (3, 32, 32)) == (4_276_739, 1_053_825)


def test_biggan_has_published_imagenet_size():
    """The paper gives 70.4 and 88.0 million; the exact counts are from the authors' code."""
    assert parameter_counts("biggan", 120, (3, 128, 128), 1000) == (70_433_988, 87_982_370)


def test_r3gan_has_published_cifar_size():
    """20.78 million for the generator; the discriminator also has a 768 x 768 linear layer.

    Eight blocks of width 768 per network are 20.67 million. The rest are the layers at the 4x4 maps.
    """
    wide = 2 * 768
    blocks = 8 * (2 * 768 * wide + wide * 16 * 9 + 2 * wide)
    maps, colours = 768 * 4 * 4, 768 * 3
    generator = blocks + (64 + 64) * 768 + maps + colours + 10 * 64
    discriminator = blocks + colours + maps + 768 * 768 + 10 * 768
    assert parameter_counts("r3gan", 64, (3, 32, 32), 10) == (generator, discriminator)
    assert generator == 20_781_952
    assert discriminator == 21_280_512


def test_sagan_parameter_count_matches_layers():
    """The paper gives no count, only layers: 1024 to 64 channels, attention at 32x32."""

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
    discriminator = block(3, 64, 64) + attention(128) + block(1024, 1024, 1024, past=False)
    for a, b in pairwise(reversed(widths[1:])):
        discriminator += block(a, b, a)
    discriminator += 1024 + 1 + 1000 * 1024
    assert parameter_counts("sagan", 128, (3, 128, 128), 1000) == (generator, discriminator)


def test_sngan_widths_match_paper_for_large_images():
    sngan = make_network("sngan")
    assert sngan.generator_widths(5) == [1024, 1024, 512, 256, 128, 64]
    assert [width for width, _ in sngan.discriminator_widths(5)] == [64, 128, 256, 512, 1024, 1024]
    assert [halves for _, halves in sngan.discriminator_widths(5)] == [True] * 5 + [False]


NETWORK_SPECS = ["sngan(width=8)", "sagan(width=4)", "biggan(width=4)", "r3gan(width=4)"]


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("text", NETWORK_SPECS)
def test_networks_work_with_and_without_labels(text, classes):
    network, shape = make_network(text, classes), (3, 16, 16)
    labels = [torch.tensor([0, 2])] if classes else []
    fake = network.build_generator(7, shape)(random(2, 7), *labels)
    assert fake.shape == (2, *shape)
    discriminator = network.build_discriminator(shape)
    assert discriminator(fake, *labels).shape == (2,)
    assert discriminator.body(fake).shape == (2, *discriminator.shape)


@pytest.mark.parametrize("text", NETWORK_SPECS)
def test_networks_reject_points_and_other_sizes(text):
    for shape in ((2,), (3, 12, 12)):
        assert len(NETWORKS.make(text).incompatibility(shape).split()) > 5


def test_attention_is_at_published_resolution():
    with META:
        for text, side in (("sagan(width=8)", 32), ("biggan(width=8)", 64)):
            network, shapes = make_network(text), []
            parts = (
                network.build_generator(120, (3, 128, 128)),
                network.build_discriminator((3, 128, 128)),
            )
            for part in parts:
                for layer in part.modules():
                    if isinstance(layer, SelfAttention):
                        layer.register_forward_pre_hook(lambda _, x, s=shapes: s.append(x[0].shape))
            parts[1](parts[0](torch.empty(2, 120)))
            assert [shape[2] for shape in shapes] == [side, side]


# Layers


@pytest.mark.parametrize("pooled", [False, True])
def test_attention_equals_loop_over_positions(pooled):
    layer, x = SelfAttention(16, 6, pooled), random(2, 16, 4, 4)
    with torch.no_grad():
        layer.gate.fill_(0.7)
    query, key, value = (projection(x) for projection in (layer.query, layer.key, layer.value))
    if pooled:
        key, value = (nn.MaxPool2d(2)(maps) for maps in (key, value))
    expected = x.clone()
    for n in range(2):
        for row in range(4):
            for column in range(4):
                scores = torch.einsum("c,cp->p", query[n, :, row, column], key[n].flatten(1))
                weight = scores.exp() / scores.exp().sum()
                attended = value[n].flatten(1) @ weight
                out = layer.out.weight[:, :, 0, 0] @ attended
                expected[n, :, row, column] += 0.7 * out
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)


def test_attention_gate_starts_at_zero_and_learns():
    layer, x = SelfAttention(16, 2), random(2, 16, 4, 4)
    assert torch.equal(layer(x), x)
    layer(x).square().sum().backward()
    assert layer.gate.grad.abs() > 0
    generator = build("sagan(width=8)", "generator", 8, (1, 8, 8))
    assert [m.gate.item() for m in generator.modules() if isinstance(m, SelfAttention)] == [0]


def test_conditional_batch_norm_is_affine_per_class():
    layer = ConditionalBatchNorm(3, ClassEmbedding(4, 3), ClassEmbedding(4, 3))
    x, labels = random(6, 3, 2, 2), torch.tensor([0, 3, 1, 0, 2, 2])
    plain = batch_norm(x, None, None, training=True)
    torch.testing.assert_close(layer(x, labels), plain)  # initially
    with torch.no_grad():
        layer.scale.weight.copy_(random(4, 3))
        layer.shift.weight.copy_(random(4, 3, seed=1))
    normalized = layer(x, labels)
    for n, label in enumerate(labels):
        for c in range(3):
            a, b = 1 + layer.scale.weight[label, c], layer.shift.weight[label, c]
            torch.testing.assert_close(normalized[n, c], a * plain[n, c] + b)


def test_one_hot_labels_follow_latents():
    latents, labels = random(3, 2), torch.tensor([1, 0, 2])
    inputs = OneHotConditioned(nn.Identity(), 3)(latents, labels)
    assert torch.equal(inputs, torch.cat([latents, torch.eye(3)[labels]], 1))


def test_biggan_blocks_get_latent_slice_and_class():
    generator = build("biggan(width=4, embedding=5)", "generator", 9, (1, 16, 16), classes=3)
    assert generator.told.slices == [3, 3, 3]  # the smallest maps, and two blocks
    latents, labels = random(2, 9), torch.tensor([0, 2])
    seed, conditions = generator.told(latents, labels)
    assert torch.equal(seed, latents[:, :3])
    for number, condition in enumerate(conditions, 1):
        embedded = generator.told.shared.weight[labels]
        expected = torch.cat([embedded, latents[:, 3 * number : 3 * number + 3]], 1)
        assert torch.equal(condition, expected)


def test_biggan_weights_start_orthogonal():
    parts = [
        build("biggan(width=4, embedding=5)", "generator", 9, (3, 16, 16), classes=3),
        build("biggan(width=4)", "discriminator", (3, 16, 16), classes=3),
    ]
    kinds = nn.Conv2d | nn.Linear | nn.Embedding
    layers = [m for part in parts for m in part.modules() if isinstance(m, kinds)]
    assert len(layers) > 20
    for layer in layers:
        matrix = layer.weight.flatten(1)
        matrix = matrix if len(matrix) <= matrix.shape[1] else matrix.T
        torch.testing.assert_close(matrix @ matrix.T, torch.eye(len(matrix)), rtol=0, atol=1e-5)


def test_r3gan_blocks_start_as_identity_keeping_variance():
    discriminator = build("r3gan(width=64)", "discriminator", (3, 8, 8), classes=3)
    for block in (m for m in discriminator.modules() if isinstance(m, R3GANBlock)):
        x = random(2, block.inner[0].in_channels, 4, 4)
        assert torch.equal(block(x), x)
    for layer in (m for m in discriminator.modules() if isinstance(m, NormalConv2d) and m.gain):
        expected = layer.gain / layer.weight[0].numel() ** 0.5
        assert layer.weight.std().item() == pytest.approx(expected, rel=0.25)


def test_r3gan_embeds_labels_as_a_linear_layer_of_classes_would():
    """The authors initialize both with the number of classes as fan-in."""
    generator = build("r3gan(width=64)", "generator", 64, (3, 8, 8), classes=10)
    discriminator = build("r3gan(width=64)", "discriminator", (3, 8, 8), classes=10)
    embedding, head = generator.beginning.embedding, discriminator.head
    assert isinstance(embedding, ClassVectors)
    assert isinstance(head, R3GANProjectionHead)
    assert embedding.weight.std().item() == pytest.approx(10**-0.5, rel=0.1)
    lengths = head.direction.weight.norm(dim=1)
    assert lengths.mean().item() == pytest.approx(10**-0.5, rel=0.1)


@pytest.mark.parametrize(
    ("doubles", "taps"), [(False, [0.125, 0.375, 0.375, 0.125]), (True, [0.25, 0.75])]
)
def test_r3gan_resamples_with_the_published_filter(doubles, taps):
    """[1, 3, 3, 1] in both directions; a doubled pixel has every second tap, twice as large."""
    impulses = torch.eye(8)[:, None, :, None].expand(-1, -1, -1, 8)
    response = ResampleLayer(1, 1, doubles)(impulses)[:, 0, 2, 0]
    assert response[response > 0].tolist() == pytest.approx(taps)


def test_last_convolution_of_residual_generators_is_not_enlarged():
    """The authors' blocks have a gain of sqrt(2), and the layer to the image one of 1."""
    generator = build("sngan(width=32)", "generator", 9, (3, 16, 16))
    for layer, gain in ((generator.to_image[2], 1.0), (generator.blocks[0].first, 2**0.5)):
        fan_in, fan_out = (9 * channels for channels in (layer.in_channels, layer.out_channels))
        bound = gain * (6 / (fan_in + fan_out)) ** 0.5
        assert layer.weight.abs().max().item() == pytest.approx(bound, rel=0.01)


def test_spectral_norm_of_both_networks_is_1():
    setup = training_setup(
        "sagan(width=4)", tricks=("spectral_norm(iterations=30, generator=true)",)
    )
    task = setup.task.train()
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
    assert all(type(m) is ClassEmbedding for m in per_class)  # not normalized


def test_spectral_norm_rejects_zero_initial_weights():
    with pytest.raises(Incompatible, match="some weights of r3gan begin at zero"):
        trainer("r3gan(width=4)", tricks=("spectral_norm",))
    with pytest.raises(ValueError, match="no normalization"):
        NETWORKS.load("r3gan")(norm="batch")
