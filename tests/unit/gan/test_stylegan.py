"""ProGAN and StyleGAN networks: published sizes, styles, noise, mixing and truncation."""

import math

import pytest
import torch
from helpers import CPU, steps, trainer, training_setup
from torch import nn
from torch.nn.functional import conv2d, leaky_relu

from ganbench.data.base import IMAGE
from ganbench.gan.build import META_DEVICE, Incompatible
from ganbench.gan.networks import NETWORKS
from ganbench.gan.networks.base import Network, initialize_parameters
from ganbench.gan.networks.filters import downsample_bilinear
from ganbench.gan.networks.progan import ProGANHead
from ganbench.gan.networks.progressive import enlarge_to
from ganbench.gan.networks.style_mapping import NoiseInjection, mix_styles
from ganbench.gan.networks.stylegan import AdaIN
from ganbench.gan.networks.stylegan2 import ModulatedConv2d
from ganbench.gan.tricks import path_length
from ganbench.gan.tricks.minibatch_std import MinibatchStd
from ganbench.gan.tricks.path_length import path_lengths
from ganbench.gan.tricks.progressive_growing import progressive_modules
from ganbench.rng import RngStreams

RANDOM = torch.Generator().manual_seed(5)
NETWORK_SPECS = (
    "progan(width=6)",
    "stylegan(width=6)",
    "stylegan2(width=6)",
    "stylegan2(width=6, up='residual', down='skip')",
)
every_network = pytest.mark.parametrize("text", NETWORK_SPECS)


def normal(*size):
    return torch.randn(size, generator=RANDOM)


def initialized(module):
    return initialize_parameters(Network(), module, RngStreams(0, CPU), "module")


def build_generator(text, latent=5, shape=(1, 16, 16)):
    return initialized(NETWORKS.make(text).build_generator(latent, shape))


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("text", "generator_size", "discriminator_size"),
    [
        # 23.1 M each as published, with the last image layer only; all nine count here
        ("progan", 23_086_795, 23_087_249),
        # 26.2 M as published
        ("stylegan", 26_219_627, 23_087_249),
        # configuration F, 30.37 M and 29.01 M as published; E has half of the channels from 64 on
        ("stylegan2", 30_370_060, 29_012_513),
        ("stylegan2(wide_to=32)", 24_900_764, 24_038_161),
    ],
)
def test_networks_have_published_sizes_at_1024(text, generator_size, discriminator_size):
    network, shape = NETWORKS.make(text), (3, 1024, 1024)
    with META_DEVICE:
        generator, plain = network.build_generator(512, shape), network.build_discriminator(shape)
        # the published counts include the channel of this trick
        discriminator = MinibatchStd().transform_discriminator(plain)
        image = generator(torch.empty(2, 512))
        assert image.shape == (2, *shape)
        assert discriminator(image).shape == (2,)
    assert (count(generator), count(discriminator)) == (generator_size, discriminator_size)


@every_network
@pytest.mark.parametrize("side", [8, 16, 32, 64, 128, 256, 512, 1024])
def test_networks_support_powers_of_two(text, side):
    network, shape = NETWORKS.make(text), (3, side, side)
    assert network.incompatibility(shape) is None
    with META_DEVICE:
        image = network.build_generator(5, shape)(torch.empty(2, 5))
        discriminator = network.build_discriminator(shape)
        assert discriminator(image).shape == (2,)
        assert discriminator.body(image).shape == (2, *discriminator.shape)
    assert image.shape == (2, *shape)


@every_network
def test_networks_reject_other_shapes(text):
    for shape in ((1, 4, 4), (1, 12, 12), (3, 8, 16), (3, 2048, 2048), (2,)):
        assert len(NETWORKS.make(text).incompatibility(shape).split()) > 5


@pytest.mark.parametrize(
    "setting",
    ["norm='batch'", "width=0", "wide_to=2", "depth=0", "mixing=1.5", "truncation=-1", "up='both'"],
)
def test_invalid_setting_raises_value_error(setting):
    with pytest.raises(ValueError, match=setting.split("=")[0].replace("norm", "normalization")):
        NETWORKS.make(f"stylegan2({setting})")


@every_network
def test_gradients_reach_every_parameter(text):
    """Growing networks are tested at two levels, as the fully grown ones skip some layers."""
    discriminator = initialized(NETWORKS.make(text).build_discriminator((1, 16, 16)))
    generator = build_generator(text)
    parts = [*progressive_modules(generator), *progressive_modules(discriminator)]
    for level in (0.5, 1.5) if parts else (None,):
        for part in parts:
            part.level = level
        discriminator(generator(normal(16, 5))).square().sum().backward()
    for name, parameter in [*generator.named_parameters(), *discriminator.named_parameters()]:
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@every_network
def test_initial_images_and_scores_have_moderate_scale(text):
    wide = text.replace("6", "64")
    with torch.no_grad():
        image = build_generator(wide)(normal(8, 5))
        discriminator = initialized(NETWORKS.make(wide).build_discriminator((1, 16, 16)))
        score = discriminator(enlarge_to(normal(64, 1, 4, 4), 16))
    assert 0.3 < image.std().item() < 3
    assert 0.1 < score.std().item() < 3


def test_adain_sets_map_mean_and_deviation():
    layer, x, w = initialized(AdaIN(6, 3)), 3 * normal(4, 6, 8, 8) + 2, normal(4, 3)
    scale, offset = layer.style(w).chunk(2, 1)
    styled = layer(x, w)
    torch.testing.assert_close(styled.mean((2, 3)), offset, rtol=1e-4, atol=1e-5)
    deviation = styled.std((2, 3), correction=0)
    torch.testing.assert_close(deviation, (1 + scale).abs(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("demodulate", [True, False])
def test_modulated_convolution_equals_per_image_weights(kernel, demodulate):
    """The paper's form: scaled and demodulated weights, and one convolution group per image."""
    layer = initialized(ModulatedConv2d(6, 5, 3, kernel, demodulate)).double()
    x, w = normal(4, 6, 8, 8).double(), normal(4, 3).double()
    scale = 1 + layer.style(w)
    weights = layer.conv.weight[None] * scale[:, None, :, None, None]  # [N, out, in, k, k]
    if demodulate:
        weights = weights / weights.square().sum((2, 3, 4), keepdim=True).add(1e-8).sqrt()
        torch.testing.assert_close(
            weights.square().sum((2, 3, 4)), torch.ones(4, 5).double(), rtol=1e-6, atol=0
        )
    grouped = conv2d(x.reshape(1, 24, 8, 8), weights.flatten(0, 1), padding=kernel // 2, groups=4)
    torch.testing.assert_close(layer(x, w), grouped.reshape(4, 5, 8, 8))


@torch.no_grad()
@pytest.mark.parametrize("size", [0.1, 1, 30])
def test_demodulated_maps_have_unit_deviation(size):
    layer = initialized(ModulatedConv2d(32, 16, 4, 3))
    maps = layer(normal(64, 32, 12, 12), size * normal(64, 4))[:, :, 1:-1, 1:-1]
    assert maps.std((0, 2, 3)).sub(1).abs().max() < 0.05


def test_noise_starts_at_zero_equal_across_channels():
    x, layer = torch.zeros(2, 3, 4, 4), NoiseInjection(3)
    assert torch.equal(layer(x), x)
    nn.init.constant_(layer.scale, 2.0)
    noisy = layer(x)
    assert noisy[0, 0].std() > 0.5
    assert torch.equal(noisy[:, 0], noisy[:, 2])
    assert not torch.equal(noisy[0], noisy[1])


@pytest.mark.parametrize("text", ["stylegan(width=6)", "stylegan2(width=6)"])
def test_noise_uses_global_torch_generator(text):
    generator, latents = build_generator(text).eval(), normal(2, 5)
    for part in generator.modules():
        if isinstance(part, NoiseInjection):
            nn.init.ones_(part.scale)

    def image(seed):
        with torch.no_grad(), RngStreams(seed, CPU).seeded_globally("layers"):
            return generator(latents)

    assert torch.equal(image(0), image(0))
    assert not torch.equal(image(0), image(1))


def test_styles_mix_once_in_given_share():
    w, other = torch.zeros(4000, 1), torch.ones(4000, 1)
    torch.manual_seed(0)
    styles = mix_styles(w, other, 6, 0.9)[:, :, 0]
    assert not styles[:, 0].any()  # the first layer always uses the first latent
    assert (styles.diff(dim=1) >= 0).all()  # at most one switch
    mixed = styles[:, -1] == 1
    assert mixed.float().mean().item() == pytest.approx(0.9, abs=0.02)
    shares = styles[mixed].sum(1).long().bincount(minlength=6)[1:] / mixed.sum()
    torch.testing.assert_close(shares, torch.full((5,), 0.2), rtol=0, atol=0.03)
    assert not mix_styles(w, other, 6, 0.0).any()


@pytest.mark.parametrize("text", ["stylegan", "stylegan2"])
def test_styles_mix_only_in_training(text):
    generator, latents = build_generator(f"{text}(width=6, mixing=1)"), normal(4, 5)
    assert generator.styles(latents, 6).diff(dim=1).any()
    assert not generator.eval().styles(latents, 6).diff(dim=1).any()
    pure = build_generator(f"{text}(width=6, mixing=0)")
    assert not pure.styles(latents, 6).diff(dim=1).any()


def test_mapping_ignores_latent_length():
    mapping, latents = build_generator("stylegan2(width=6)").styles.mapping, normal(4, 5)
    torch.testing.assert_close(mapping(latents), mapping(7 * latents))


def test_truncation_moves_styles_to_training_mean():
    latents, truncated = normal(64, 5), {}
    for share in (1, 0.5, 0):
        styles = build_generator(f"stylegan2(width=6, mixing=0, truncation={share})").styles
        w = styles.mapping(latents)
        torch.testing.assert_close(styles(latents, 2)[:, 0], w)  # no truncation in training
        torch.testing.assert_close(styles.mean, 0.005 * w.mean(0))
        for _ in range(2000):
            styles.update_average(w)
        torch.testing.assert_close(styles.mean, w.mean(0), rtol=1e-3, atol=1e-5)
        mean = styles.mean.clone()
        truncated[share] = styles.eval()(latents, 2)
        assert torch.equal(styles.mean, mean)  # sampling keeps the mean
    torch.testing.assert_close(truncated[1][:, 0], w)
    torch.testing.assert_close(truncated[0.5][:, 1], mean + 0.5 * (w - mean))
    torch.testing.assert_close(truncated[0], mean.expand(64, 2, -1))


def test_minibatch_std_joins_maps_before_last_convolution():
    discriminator = NETWORKS.make("progan(width=6)").build_discriminator((1, 16, 16))
    discriminator = initialized(MinibatchStd().transform_discriminator(discriminator))
    assert isinstance(discriminator.head.head, ProGANHead)
    convolution = discriminator.head.head.layers[0][0]
    assert (convolution.in_channels, convolution.out_channels) == (7, 6)
    x = normal(4, 1, 16, 16)
    maps = discriminator.body(x)
    deviation = maps.var(0, correction=0).add(1e-8).sqrt().mean()  # one group of four
    joined = torch.cat([maps, deviation.expand(4, 1, 4, 4)], 1)
    torch.testing.assert_close(discriminator(x), discriminator.head.head.layers(joined).squeeze(1))


@pytest.mark.parametrize("text", ["stylegan(width=6)", "stylegan2(width=6, down='skip')"])
def test_discriminators_filter_before_they_activate(text):
    """As the authors' networks: the activation has the last word on the maps of each block."""
    body = initialized(NETWORKS.make(text).build_discriminator((1, 16, 16))).body
    block = (body.blocks if text.startswith("stylegan(") else body.halvings)[0]
    x = normal(2, block.layers[0][0].in_channels, 8, 8)
    convolved = block.layers[1][0](block.layers[0](x))
    expected = leaky_relu(downsample_bilinear(convolved), 0.2)
    assert torch.equal(block.layers(x), expected)


def test_path_lengths_equal_jacobian_norms():
    generator = build_generator("stylegan2(width=3, mixing=0)", shape=(1, 8, 8)).double().eval()
    styles = normal(2, generator.synthesis.layers, 3).double().requires_grad_()
    noise = torch.Generator().manual_seed(3)
    lengths = path_lengths(generator.synthesis(styles), styles, noise)
    noise.manual_seed(3)
    y = torch.randn(2, 1, 8, 8, generator=noise) / 8
    for number in range(2):
        jacobian = torch.autograd.functional.jacobian(
            lambda one: generator.synthesis(one[None])[0], styles[number].detach()
        )
        squares = torch.einsum("chwlk,chw->lk", jacobian, y[number].double()).square().sum(1)
        assert lengths[number].item() == pytest.approx(squares.mean().sqrt().item(), rel=1e-6)


def test_path_length_mean_follows_its_decay():
    training = trainer("stylegan2(width=4)", tricks=("path_length(every=1, decay=0.75)",))
    recorded = []
    (means,) = [buffer for name, buffer in training.trick.named_buffers() if name.endswith("means")]

    def record_lengths(images, styles, random, plain=path_length.path_lengths):
        recorded.append(plain(images, styles, random))
        return recorded[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(path_length, "path_lengths", record_lengths)
        steps(training, 2)
    first, second = (lengths.mean().item() for lengths in recorded)
    assert means.item() == pytest.approx(0.75 * first + 0.25 * second, rel=1e-5)


def test_path_length_acts_every_fourth_step():
    tricks = ("path_length(weight=3, every=4, decay=0)",)
    training = trainer("stylegan2(width=4)", tricks=tricks)
    logs = steps(training, 5)
    assert ["path_length" in log for log in logs] == [True, False, False, False, True]
    (means,) = [buffer for name, buffer in training.trick.named_buffers() if name.endswith("means")]
    assert means.shape == (1,)
    assert means.item() > 0
    single = steps(trainer("stylegan2(width=4)", tricks=tricks), 1)[0]["path_length"]
    double = tricks[0].replace("3", "6")
    doubled = steps(trainer("stylegan2(width=4)", tricks=(double,)), 1)[0]["path_length"]
    assert doubled == pytest.approx(2 * single, rel=1e-5)


def test_path_length_rejects_networks_without_mapping():
    for text in ("progan(width=4)", "dcgan(width=4)"):
        with pytest.raises(Incompatible, match="no mapping"):
            training_setup(text, tricks=("path_length",))


def test_drift_is_mean_squared_real_score():
    plain, drifting = (
        steps(trainer("progan(width=4)", tricks=tricks, loss="wasserstein"), 1)[0]
        for tricks in ((), ("drift(weight=0.5)",))
    )
    assert drifting["drift"] >= 0.5 * plain["real_score"] ** 2
    assert drifting["discriminator"] == pytest.approx(plain["discriminator"])
    assert "drift" not in plain
    assert math.isfinite(drifting["drift"])


def test_task_uses_networks_of_recipe():
    task = training_setup("stylegan(width=4)").task
    assert task.generators[IMAGE].synthesis.layers == 4


def test_r1_side_scales_with_pixel_count():
    def term(trick):
        return steps(trainer("progan(width=4)", tricks=(trick,)), 1)[0]["r1"]

    assert term("r1(weight=10, side=16)") == pytest.approx(term("r1(weight=2.5)"), rel=1e-5)
    assert term("r1(side=8)") == pytest.approx(term("r1"), rel=1e-5)
    with pytest.raises(Incompatible, match="R1 of a side needs images"):
        training_setup("gan(width=4)", "ring", tricks=("r1(side=8)",))
