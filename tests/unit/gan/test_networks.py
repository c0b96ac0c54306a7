"""Networks: the published sizes, shapes, initial weights and norms."""

from itertools import pairwise

import pytest
import torch
from helpers import CPU, same, training_setup
from torch import nn

from ganbench.gan.networks import NETWORKS
from ganbench.gan.networks.base import ChannelNorm, initialize_parameters
from ganbench.rng import RngStreams

META = torch.device("meta")


def count(module):
    return sum(p.numel() for p in module.parameters())


def build(text, part, *args, seed=0):
    network = NETWORKS.make(text)
    return initialize_parameters(
        network, getattr(network, f"build_{part}")(*args), RngStreams(seed, CPU), part
    )


def test_dcgan_has_published_parameter_count():
    with META:
        dcgan = NETWORKS.make("dcgan")
        assert count(dcgan.build_generator(100, (3, 64, 64))) == 3_576_704
        assert count(dcgan.build_discriminator((3, 64, 64))) == 2_765_568


def test_mlp_parameter_count_matches_layers():
    def dense(*widths):
        return sum((a + 1) * b for a, b in pairwise(widths))

    mlp = NETWORKS.make("mlp")
    assert count(mlp.build_generator(100, (1, 28, 28))) == dense(100, 128, 256, 512, 784)
    assert count(mlp.build_discriminator((1, 28, 28))) == dense(784, 512, 256, 1)


@pytest.mark.parametrize("resolution", [8, 16, 32, 64, 128])
@pytest.mark.parametrize("channels", [1, 3])
def test_dcgan_supports_square_images(resolution, channels):
    shape = (channels, resolution, resolution)
    dcgan = NETWORKS.make("dcgan(width=4)")
    fake = dcgan.build_generator(5, shape)(torch.randn(2, 5))
    assert fake.shape == (2, *shape)
    assert fake.abs().max() <= 1
    discriminator = dcgan.build_discriminator(shape)
    assert discriminator(fake).shape == (2,)
    assert discriminator.features(fake).shape == (2, discriminator.width)
    assert discriminator.body(fake).shape == (2, *discriminator.shape)


@pytest.mark.parametrize("resolution", [16, 32, 64, 128])
def test_smallest_dcgan_maps_are_4_by_4(resolution):
    assert NETWORKS.make("dcgan(width=4)").build_discriminator((1, resolution, resolution)).shape[
        1:
    ] == (
        4,
        4,
    )
    assert NETWORKS.make("dcgan(width=4)").build_discriminator((1, 8, 8)).shape == (8, 2, 2)


@pytest.mark.parametrize("shape", [(1, 12, 12), (3, 8, 16), (1, 4, 4), (1, 256, 256), (2,)])
def test_dcgan_rejects_unsupported_shapes(shape):
    assert len(NETWORKS.make("dcgan").incompatibility(shape).split()) > 5
    assert NETWORKS.make("mlp").incompatibility(shape) is None


@pytest.mark.parametrize("shape", [(2,), (5,), (1, 8, 8), (3, 8, 16)])
def test_mlp_supports_any_shape(shape):
    mlp = NETWORKS.make("mlp(width=8)")
    fake = mlp.build_generator(5, shape)(torch.randn(3, 5))
    assert fake.shape == (3, *shape)
    assert mlp.build_discriminator(shape)(fake).shape == (3,)


def test_only_image_generators_end_in_tanh():
    def has_tanh(shape):
        return any(
            isinstance(m, nn.Tanh) for m in NETWORKS.make("mlp").build_generator(5, shape).modules()
        )

    assert has_tanh((1, 8, 8))
    assert not has_tanh((2,))


def test_dcgan_initial_weights_follow_paper():
    for part, args in (("generator", (32, (1, 8, 8))), ("discriminator", ((1, 8, 8),))):
        module = build("dcgan", part, *args)
        layers = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
        weights = [m.weight for m in module.modules() if isinstance(m, layers)]
        scales = [m.weight for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
        flat = torch.cat([w.flatten() for w in weights])
        assert flat.std().item() == pytest.approx(0.02, rel=0.02)
        assert flat.mean().item() == pytest.approx(0, abs=5e-4)
        assert (flat / 0.02).pow(4).mean().item() == pytest.approx(
            3, abs=0.2
        )  # a normal's kurtosis
        scales = torch.cat(scales)
        assert scales.mean().item() == pytest.approx(1, abs=0.01)
        assert scales.std().item() == pytest.approx(0.02, rel=0.25)
        assert all((m.bias == 0).all() for m in module.modules() if isinstance(m, nn.BatchNorm2d))


def test_initial_weights_depend_on_seed_and_layer():
    first = build("dcgan(width=8, norm='none')", "discriminator", (1, 8, 8)).state_dict()
    assert same(
        first, build("dcgan(width=8, norm='none')", "discriminator", (1, 8, 8)).state_dict()
    )
    other = build("dcgan(width=8, norm='none')", "discriminator", (1, 8, 8), seed=1).state_dict()
    assert not any(torch.equal(first[name], other[name]) for name in first)
    heads = [weight.flatten()[:16] for weight in first.values()]
    assert not any(torch.equal(a, b) for i, a in enumerate(heads) for b in heads[:i])


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("dcgan", nn.BatchNorm2d),
        ("dcgan(norm='layer')", ChannelNorm),
        ("dcgan(norm='instance')", nn.InstanceNorm2d),
        ("dcgan(norm='group')", nn.GroupNorm),
        ("mlp(norm='batch')", nn.BatchNorm1d),
        ("mlp(norm='layer')", nn.LayerNorm),
        ("mlp(norm='group')", nn.GroupNorm),
    ],
)
def test_norm_setting_applies_to_discriminator(text, kind):
    discriminator = NETWORKS.make(text).build_discriminator((1, 16, 16))
    expected = {"dcgan": 1, "mlp": 2}[text.split("(")[0]]  # dcgan has none after its first layer
    assert sum(isinstance(m, kind) for m in discriminator.modules()) == expected
    assert discriminator(torch.randn(4, 1, 16, 16)).isfinite().all()


@pytest.mark.parametrize("text", ["dcgan(norm='none', generator_norm='none')", "mlp"])
def test_norm_none_adds_no_layers(text):
    network = NETWORKS.make(text)
    for part in (network.build_generator(4, (1, 16, 16)), network.build_discriminator((1, 16, 16))):
        assert not [m for m in part.modules() if "Norm" in type(m).__name__]


@pytest.mark.parametrize("norm", ["none", "layer", "instance", "group"])
def test_scores_without_batch_norm_are_per_image(norm):
    discriminator = build(f"dcgan(width=4, norm='{norm}')", "discriminator", (1, 8, 8))
    x = torch.randn(6, 1, 8, 8)
    torch.testing.assert_close(discriminator(x)[:1], discriminator(x[:1]), rtol=1e-4, atol=1e-6)


def test_channel_norm_equals_layer_norm_of_example():
    x = torch.randn(3, 4, 5, 5)
    torch.testing.assert_close(
        ChannelNorm(4)(x), nn.functional.layer_norm(x, (4, 5, 5)), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("text", ["dcgan(width=5, norm='group')", "mlp(width=5, norm='group')"])
def test_group_norm_fits_any_width(text):
    x = torch.randn(2, 1, 8, 8)
    assert NETWORKS.make(text).build_discriminator((1, 8, 8))(x).isfinite().all()


def test_task_uses_networks_of_recipe():
    task = training_setup("dcgan(width=4)").task
    assert task.generators["image"][1].out_channels == 8  # doubled once
    assert count(task.discriminators) == 4 * 16 + 4 * 8 * 16 + 2 * 8 + 8 * 4
