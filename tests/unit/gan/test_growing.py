"""Progressive growing: its schedule, fading, resuming, and use with other tricks."""

from itertools import pairwise

import pytest
import torch
from helpers import CPU, same, steps, through_a_file, trainer, training_setup

from ganbench.data.base import IMAGE
from ganbench.gan.build import Incompatible
from ganbench.gan.networks import NETWORKS
from ganbench.gan.networks.base import initialize_parameters
from ganbench.gan.networks.progressive import draw_at_level, encode_at_level, limit_detail
from ganbench.gan.tricks.progressive_growing import level_at, progressive_modules
from ganbench.rng import RngStreams
from ganbench.training.budget import Budget

SHAPE = (1, 32, 32)
FAMILIES = ("progan(width=6)", "stylegan(width=6)")
every_family = pytest.mark.parametrize("text", FAMILIES)
TRICKS = ("progressive_growing(until=1)", "ema(decay=0.5)")


def build_networks(text, shape=SHAPE):
    network, streams = NETWORKS.make(text), RngStreams(0, CPU)
    generator = initialize_parameters(
        network, network.build_generator(5, shape), streams, "generator"
    ).eval()
    discriminator = initialize_parameters(
        network, network.build_discriminator(shape), streams, "discriminator"
    )
    return generator, discriminator


def set_level(network, level):
    for part in progressive_modules(network):
        part.level = level
    return network


def generate_at_level(generator, level, count=3):
    with torch.no_grad(), RngStreams(0, CPU).seeded_globally("images"):
        return set_level(generator, level)(torch.randn(count, 5))


def test_fading_lasts_as_long_as_stabilizing():
    assert [level_at(share / 6, 3) for share in range(7)] == pytest.approx([0, 0, 1, 1, 2, 2, 3])
    assert level_at(1.5 / 6, 3) == pytest.approx(0.5)
    assert level_at(3.25 / 6, 3) == pytest.approx(1.25)
    assert level_at(2, 3) == 3
    levels = [level_at(share / 600, 3) for share in range(601)]
    assert all(0 <= after - before < 0.011 for before, after in pairwise(levels))


@every_family
@pytest.mark.parametrize("switch", [1, 2, 3])
def test_images_are_continuous_at_each_switch(text, switch):
    generator, discriminator = build_networks(text)
    before, at_switch = (generate_at_level(generator, switch - share) for share in (1e-7, 0))
    assert before.std() > 0.1
    torch.testing.assert_close(before, at_switch, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(
            set_level(discriminator, switch - 1e-7)(at_switch),
            set_level(discriminator, switch)(at_switch),
        )
    if switch < 3:
        torch.testing.assert_close(
            generate_at_level(generator, switch + 1e-7), at_switch, rtol=1e-5, atol=1e-5
        )
        with torch.no_grad():
            after = set_level(discriminator, switch + 1e-7)(at_switch)
            torch.testing.assert_close(
                after, set_level(discriminator, switch)(at_switch), rtol=1e-4, atol=1e-5
            )


@every_family
def test_fading_mixes_images_of_two_sizes(text):
    generator, _ = build_networks(text)
    low, half, high = (generate_at_level(generator, number) for number in (1, 1.5, 2))
    torch.testing.assert_close(half, (low + high) / 2)


@every_family
@pytest.mark.parametrize("number", [0, 1, 1.5, 3])
def test_level_limits_detail_at_full_size(text, number):
    generator, _ = build_networks(text)
    images = generate_at_level(generator, number)
    assert images.shape == (3, *SHAPE)
    next_level = -(-number // 1)
    torch.testing.assert_close(images, limit_detail(images, next_level))
    assert number == 3 or not torch.equal(generate_at_level(generator, 3), images)


def test_real_images_lose_finer_detail():
    x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    assert torch.equal(limit_detail(x, 1), x)
    coarse = limit_detail(x, 0)
    torch.testing.assert_close(coarse[0, 0, :2, :2], x[0, 0, :2, :2].mean().expand(2, 2))
    torch.testing.assert_close(limit_detail(x, 0.25), 0.75 * coarse + 0.25 * x)


def test_blocks_above_the_level_are_skipped():
    computed = []

    def part(name):
        return lambda x: (computed.append(name), x)[1]

    blocks, ends = [part(f"block {n}") for n in range(3)], [part(f"end {n}") for n in range(3)]
    draw_at_level(0, 16, blocks, ends, torch.zeros(1, 1, 4, 4))
    assert computed == ["block 0", "end 0"]
    computed.clear()
    encode_at_level(1, blocks, ends, torch.zeros(1, 1, 16, 16))
    assert computed == ["end 1", "block 0"]


def test_networks_stay_fully_grown_after_schedule():
    training = trainer(
        "progan(width=4)", tricks=("progressive_growing",), budget=Budget("generator_turns", 8)
    )
    levels = []
    for _ in range(8):
        steps(training, 1)
        levels.append({part.level for part in progressive_modules(training.task)})
    assert levels == [{0.0}, {0.0}, {0.0}, {0.5}, {1.0}, {1.0}, {1.0}, {1.0}]


@pytest.mark.parametrize("text", ["progan(width=4)", "stylegan(width=4)"])
def test_resume_while_growing_gives_same_bits(text):
    unbroken, resumed = (trainer(text, tricks=TRICKS) for _ in range(2))
    steps(unbroken, 6)
    assert {part.level for part in progressive_modules(unbroken.task)} == {0.25}
    resumed.load_state_dict(through_a_file(unbroken.state_dict()))
    assert {part.level for part in progressive_modules(resumed.task)} == {0.25}
    # A training stopped at its end is resumed without another step.
    assert same(
        unbroken.sampling_generators().state_dict(), resumed.sampling_generators().state_dict()
    )
    torch.manual_seed(999)
    assert steps(unbroken, 2) == steps(resumed, 2)
    assert {part.level for part in progressive_modules(resumed.task)} == {0.75}
    assert same(unbroken.task.state_dict(), resumed.task.state_dict())
    assert same(
        unbroken.sampling_generators().state_dict(), resumed.sampling_generators().state_dict()
    )


def test_averaged_generator_grows_with_its_generator():
    """Otherwise it would run at full size from the first step to average layer statistics."""
    training = trainer("stylegan(width=4)", tricks=TRICKS)
    steps(training, 7)
    assert {part.level for part in progressive_modules(training.trick)} == {0.5}


def test_averaged_generator_keeps_level_and_style_mean():
    training = trainer("stylegan(width=4)", tricks=TRICKS)
    steps(training, 6)
    sampler = training.sampling_generators()
    assert {part.level for part in progressive_modules(sampler)} == {0.25}
    fresh = training_setup("stylegan(width=4)").task.generators
    assert {part.level for part in progressive_modules(fresh)} == {1.0}
    fresh.load_state_dict(through_a_file(sampler.state_dict()))
    assert {part.level for part in progressive_modules(fresh)} == {0.25}
    own, average = (side[IMAGE].styles for side in (training.task.generators, sampler))
    assert average.mean.abs().max() > 0
    assert torch.equal(fresh[IMAGE].styles.mean, average.mean)
    assert not torch.equal(own.mean, average.mean)


def test_growing_works_with_unrolling_and_past_discriminators():
    tricks = (
        "progressive_growing(until=1)",
        "unrolled(turns=1, order=1)",
        "past_discriminators(every=1)",
    )
    training = trainer("progan(width=4)", tricks=tricks)
    steps(training, 6)
    assert {part.level for part in progressive_modules(training.task)} == {0.25}


def test_networks_of_fixed_size_reject_growing():
    for text in ("stylegan2(width=4)", "dcgan(width=4)", "gan(width=4)"):
        with pytest.raises(Incompatible, match="needs networks that can grow"):
            training_setup(text, tricks=("progressive_growing",))
