"""The StyleGAN line: published sizes, and styles, demodulation, noise, mixing and truncation as defined."""

import math

import pytest
import torch
from helpers import CPU, steps, trainer, training_setup
from torch import nn
from torch.nn.functional import conv2d

from ganbench.data.base import IMAGE
from ganbench.gan.build import META_DEVICE, Incompatible
from ganbench.gan.networks import NETWORKS
from ganbench.gan.networks.base import Network, initialize_parameters
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
FAMILIES = (
    "progan(width=6)",
    "stylegan(width=6)",
    "stylegan2(width=6)",
    "stylegan2(width=6, up='residual', down='skip')",
)
every_family = pytest.mark.parametrize("text", FAMILIES)


def normal(*size):
    return torch.randn(size, generator=RANDOM)


def made(module):
    return initialize_parameters(Network(), module, RngStreams(0, CPU), "module")


def generator(text, latent=5, shape=(1, 16, 16)):
    return made(NETWORKS.make(text).build_generator(latent, shape))


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("text", "up", "down"),
    [
        # 23.1 M each as published, which counts the last image layer alone; all nine are here
        ("progan", 23_086_795, 23_087_249),
        # 26.2 M as published
        ("stylegan", 26_219_627, 23_087_249),
        # configuration F, 30.37 M and 29.01 M as published; E has half of the channels from 64 on
        ("stylegan2", 30_370_060, 29_012_513),
        ("stylegan2(wide_to=32)", 24_900_764, 24_038_161),
    ],
)
def test_networks_have_the_published_sizes_at_1024(text, up, down):
    network, shape = NETWORKS.make(text), (3, 1024, 1024)
    with META_DEVICE:
        found, judge = network.build_generator(512, shape), network.build_discriminator(shape)
        judge = MinibatchStd().transform_discriminator(
            judge
        )  # as published: the counts are with its channel
        image = found(torch.empty(2, 512))
        assert image.shape == (2, *shape)
        assert judge(image).shape == (2,)
    assert (count(found), count(judge)) == (up, down)


@every_family
@pytest.mark.parametrize("side", [8, 16, 32, 64, 128, 256, 512, 1024])
def test_networks_make_and_judge_squares_of_powers_of_two(text, side):
    network, shape = NETWORKS.make(text), (3, side, side)
    assert network.incompatibility(shape) is None
    with META_DEVICE:
        image = network.build_generator(5, shape)(torch.empty(2, 5))
        judge = network.build_discriminator(shape)
        assert judge(image).shape == (2,)
        assert judge.body(image).shape == (2, *judge.shape)
    assert image.shape == (2, *shape)


@every_family
def test_networks_object_to_other_images(text):
    for shape in ((1, 4, 4), (1, 12, 12), (3, 8, 16), (3, 2048, 2048), (2,)):
        assert len(NETWORKS.make(text).incompatibility(shape).split()) > 5


@pytest.mark.parametrize(
    "setting",
    ["norm='batch'", "width=0", "wide_to=2", "depth=0", "mixing=1.5", "truncation=-1", "up='both'"],
)
def test_settings_that_cannot_be_are_told(setting):
    with pytest.raises(ValueError, match=setting.split("=")[0].replace("norm", "normalization")):
        NETWORKS.make(f"stylegan2({setting})")


@every_family
def test_gradients_reach_every_parameter(text):
    """While networks grow: the layers that make smaller images end with the growth."""
    judge, built = made(NETWORKS.make(text).build_discriminator((1, 16, 16))), generator(text)
    parts = [*progressive_modules(built), *progressive_modules(judge)]
    for level in (0.5, 1.5) if parts else (None,):
        for part in parts:
            part.level = level
        judge(built(normal(16, 5))).square().sum().backward()
    for name, parameter in [*built.named_parameters(), *judge.named_parameters()]:
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@every_family
def test_initial_images_and_scores_have_a_sane_size(text):
    wide = text.replace("6", "64")
    with torch.no_grad():
        image = generator(wide)(normal(8, 5))
        judge = made(NETWORKS.make(wide).build_discriminator((1, 16, 16)))
        score = judge(enlarge_to(normal(64, 1, 4, 4), 16))
    assert 0.3 < image.std().item() < 3
    assert 0.1 < score.std().item() < 3


def test_adain_gives_each_map_the_mean_and_deviation_of_its_style():
    layer, x, w = made(AdaIN(6, 3)), 3 * normal(4, 6, 8, 8) + 2, normal(4, 3)
    scale, offset = layer.style(w).chunk(2, 1)
    found = layer(x, w)
    torch.testing.assert_close(found.mean((2, 3)), offset, rtol=1e-4, atol=1e-5)
    deviation = found.std((2, 3), correction=0)
    torch.testing.assert_close(deviation, (1 + scale).abs(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("demodulate", [True, False])
def test_modulated_convolution_is_that_of_each_images_own_weights(kernel, demodulate):
    """The paper's form: weights scaled by input and to length 1 by output, and one group an image."""
    layer = made(ModulatedConv2d(6, 5, 3, kernel, demodulate)).double()
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
def test_demodulated_maps_have_unit_deviation_whatever_the_style(size):
    layer = made(ModulatedConv2d(32, 16, 4, 3))
    found = layer(normal(64, 32, 12, 12), size * normal(64, 4))[:, :, 1:-1, 1:-1]
    assert found.std((0, 2, 3)).sub(1).abs().max() < 0.05


def test_noise_begins_silent_and_is_the_same_in_all_channels():
    x, layer = torch.zeros(2, 3, 4, 4), NoiseInjection(3)
    assert torch.equal(layer(x), x)
    nn.init.constant_(layer.scale, 2.0)
    found = layer(x)
    assert found[0, 0].std() > 0.5
    assert torch.equal(found[:, 0], found[:, 2])
    assert not torch.equal(found[0], found[1])


@pytest.mark.parametrize("text", ["stylegan(width=6)", "stylegan2(width=6)"])
def test_noise_changes_images_and_comes_from_torchs_global_generator(text):
    built, latents = generator(text).eval(), normal(2, 5)
    for part in built.modules():
        if isinstance(part, NoiseInjection):
            nn.init.ones_(part.scale)

    def image(seed):
        with torch.no_grad(), RngStreams(seed, CPU).seeded_globally("layers"):
            return built(latents)

    assert torch.equal(image(0), image(0))
    assert not torch.equal(image(0), image(1))


def test_styles_cross_over_once_and_in_the_told_share_of_images():
    w, other = torch.zeros(4000, 1), torch.ones(4000, 1)
    torch.manual_seed(0)
    found = mix_styles(w, other, 6, 0.9)[:, :, 0]
    assert not found[:, 0].any()  # the first layer is always the first latent's
    assert (found.diff(dim=1) >= 0).all()  # never back again
    mixed = found[:, -1] == 1
    assert mixed.float().mean().item() == pytest.approx(0.9, abs=0.02)
    where = found[mixed].sum(1).long().bincount(minlength=6)[1:] / mixed.sum()
    torch.testing.assert_close(where, torch.full((5,), 0.2), rtol=0, atol=0.03)
    assert not mix_styles(w, other, 6, 0.0).any()


@pytest.mark.parametrize("text", ["stylegan", "stylegan2"])
def test_styles_are_mixed_in_training_alone(text):
    built, latents = generator(f"{text}(width=6, mixing=1)"), normal(4, 5)
    assert built.styles(latents, 6).diff(dim=1).any()
    assert not built.eval().styles(latents, 6).diff(dim=1).any()
    pure = generator(f"{text}(width=6, mixing=0)")
    assert not pure.styles(latents, 6).diff(dim=1).any()


def test_the_mapping_sees_directions_alone():
    mapping, latents = generator("stylegan2(width=6)").styles.mapping, normal(4, 5)
    torch.testing.assert_close(mapping(latents), mapping(7 * latents))


def test_the_mean_of_styles_is_counted_in_training_and_truncation_draws_to_it():
    latents, found = normal(64, 5), {}
    for share in (1, 0.5, 0):
        styles = generator(f"stylegan2(width=6, mixing=0, truncation={share})").styles
        w = styles.mapping(latents)
        torch.testing.assert_close(styles(latents, 2)[:, 0], w)  # not while it trains
        torch.testing.assert_close(styles.mean, 0.005 * w.mean(0))
        for _ in range(2000):
            styles.update_average(w)
        torch.testing.assert_close(styles.mean, w.mean(0), rtol=1e-3, atol=1e-5)
        mean = styles.mean.clone()
        found[share] = styles.eval()(latents, 2)
        assert torch.equal(styles.mean, mean)  # nor does sampling count
    torch.testing.assert_close(found[1][:, 0], w)
    torch.testing.assert_close(found[0.5][:, 1], mean + 0.5 * (w - mean))
    torch.testing.assert_close(found[0], mean.expand(64, 2, -1))


def test_batch_deviation_joins_maps_before_the_last_convolution_as_published():
    judge = NETWORKS.make("progan(width=6)").build_discriminator((1, 16, 16))
    judge = made(MinibatchStd().transform_discriminator(judge))
    assert isinstance(judge.head.head, ProGANHead)
    convolution = judge.head.head.layers[0][0]
    assert (convolution.in_channels, convolution.out_channels) == (7, 6)
    x = normal(4, 1, 16, 16)
    maps = judge.body(x)
    deviation = maps.var(0, correction=0).add(1e-8).sqrt().mean()  # of a group of four
    joined = torch.cat([maps, deviation.expand(4, 1, 4, 4)], 1)
    torch.testing.assert_close(judge(x), judge.head.head.layers(joined).squeeze(1))


def test_path_lengths_are_those_of_the_jacobian():
    built = generator("stylegan2(width=3, mixing=0)", shape=(1, 8, 8)).double().eval()
    w = normal(2, 3).double().requires_grad_()
    noise = torch.Generator().manual_seed(3)
    found = path_lengths(built.synthesis(w[:, None]), w, noise)
    noise.manual_seed(3)
    y = torch.randn(2, 1, 8, 8, generator=noise) / 8
    for number in range(2):
        jacobian = torch.autograd.functional.jacobian(
            lambda one: built.synthesis(one[None, None])[0], w[number].detach()
        )
        expected = torch.einsum("chwk,chw->k", jacobian, y[number].double()).norm()
        assert found[number].item() == pytest.approx(expected.item(), rel=1e-6)


def test_path_lengths_mean_begins_at_the_first_and_moves_by_its_decay():
    made, found = trainer("stylegan2(width=4)", tricks=("path_length(every=1, decay=0.75)",)), []
    (means,) = [buffer for name, buffer in made.trick.named_buffers() if name.endswith("means")]

    def heard(images, w, random, plain=path_length.path_lengths):
        found.append(plain(images, w, random))
        return found[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(path_length, "path_lengths", heard)
        steps(made, 2)
    first, second = (lengths.mean().item() for lengths in found)
    assert means.item() == pytest.approx(0.75 * first + 0.25 * second, rel=1e-5)


def test_path_length_is_lazy_and_follows_its_mean():
    tricks = ("path_length(weight=3, every=4, decay=0)",)
    made = trainer("stylegan2(width=4)", tricks=tricks)
    logs = steps(made, 5)
    assert ["path_length" in log for log in logs] == [True, False, False, False, True]
    (means,) = [buffer for name, buffer in made.trick.named_buffers() if name.endswith("means")]
    assert means.shape == (1,)
    assert means.item() > 0
    one = steps(trainer("stylegan2(width=4)", tricks=tricks), 1)[0]["path_length"]
    double = tricks[0].replace("3", "6")
    two = steps(trainer("stylegan2(width=4)", tricks=(double,)), 1)[0]["path_length"]
    assert two == pytest.approx(2 * one, rel=1e-5)


def test_path_length_needs_a_mapping():
    for text in ("progan(width=4)", "dcgan(width=4)"):
        with pytest.raises(Incompatible, match="no mapping"):
            training_setup(text, tricks=("path_length",))


def test_drift_is_the_mean_square_of_the_reals_scores():
    plain, told = (
        steps(trainer("progan(width=4)", tricks=tricks, loss="wasserstein"), 1)[0]
        for tricks in ((), ("drift(weight=0.5)",))
    )
    assert told["drift"] >= 0.5 * plain["real_score"] ** 2
    assert told["discriminator"] == pytest.approx(plain["discriminator"])
    assert "drift" not in plain
    assert math.isfinite(told["drift"])


def test_the_game_has_the_recipes_networks():
    task = training_setup("stylegan(width=4)").task
    assert task.generators[IMAGE].synthesis.layers == 4


def test_r1_of_a_side_falls_with_the_number_of_pixels():
    def term(trick):
        return steps(trainer("progan(width=4)", tricks=(trick,)), 1)[0]["r1"]

    assert term("r1(weight=10, side=16)") == pytest.approx(term("r1(weight=2.5)"), rel=1e-5)
    assert term("r1(side=8)") == pytest.approx(term("r1"), rel=1e-5)
    with pytest.raises(Incompatible, match="R1 of a side needs images"):
        training_setup("gan(width=4)", "ring", tricks=("r1(side=8)",))
