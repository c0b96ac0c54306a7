"""Progressive growing: a schedule that images never notice, and that survives whatever training does."""

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
CHAIN = ("progressive_growing(until=1)", "ema(decay=0.5)")


def networks(text, shape=SHAPE):
    network, streams = NETWORKS.make(text), RngStreams(0, CPU)
    generator = initialize_parameters(
        network, network.build_generator(5, shape), streams, "generator"
    ).eval()
    judge = initialize_parameters(
        network, network.build_discriminator(shape), streams, "discriminator"
    )
    return generator, judge


def at(network, level):
    for part in progressive_modules(network):
        part.level = level
    return network


def images(generator, level, count=3):
    with torch.no_grad(), RngStreams(0, CPU).seeded_globally("images"):
        return at(generator, level)(torch.randn(count, 5))


def test_each_doubling_fades_as_long_as_the_size_before_it_was_alone():
    assert [level_at(share / 6, 3) for share in range(7)] == pytest.approx([0, 0, 1, 1, 2, 2, 3])
    assert level_at(1.5 / 6, 3) == pytest.approx(0.5)
    assert level_at(3.25 / 6, 3) == pytest.approx(1.25)
    assert level_at(2, 3) == 3
    found = [level_at(share / 600, 3) for share in range(601)]
    assert all(0 <= after - before < 0.011 for before, after in pairwise(found))


@every_family
@pytest.mark.parametrize("switch", [1, 2, 3])
def test_images_on_either_side_of_a_switch_are_equal_to_float_precision(text, switch):
    generator, judge = networks(text)
    before, there = (images(generator, switch - share) for share in (1e-7, 0))
    assert before.std() > 0.1
    torch.testing.assert_close(before, there, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(at(judge, switch - 1e-7)(there), at(judge, switch)(there))
    if switch < 3:
        torch.testing.assert_close(images(generator, switch + 1e-7), there, rtol=1e-5, atol=1e-5)
        with torch.no_grad():
            after = at(judge, switch + 1e-7)(there)
            torch.testing.assert_close(after, at(judge, switch)(there), rtol=1e-4, atol=1e-5)


@every_family
def test_fading_in_mixes_the_images_of_two_sizes(text):
    generator, _ = networks(text)
    low, half, high = (images(generator, number) for number in (1, 1.5, 2))
    torch.testing.assert_close(half, (low + high) / 2)


@every_family
@pytest.mark.parametrize("number", [0, 1, 1.5, 3])
def test_a_level_shows_no_finer_detail_and_full_size(text, number):
    generator, _ = networks(text)
    found = images(generator, number)
    assert found.shape == (3, *SHAPE)
    whole = -(-number // 1)
    torch.testing.assert_close(found, limit_detail(found, whole))
    assert number == 3 or not torch.equal(images(generator, 3), found)


def test_reals_lose_the_detail_that_networks_do_not_draw():
    x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    assert torch.equal(limit_detail(x, 1), x)
    coarse = limit_detail(x, 0)
    torch.testing.assert_close(coarse[0, 0, :2, :2], x[0, 0, :2, :2].mean().expand(2, 2))
    torch.testing.assert_close(limit_detail(x, 0.25), 0.75 * coarse + 0.25 * x)


def test_what_is_not_drawn_yet_is_not_computed():
    asked = []

    def part(name):
        return lambda x: (asked.append(name), x)[1]

    blocks, ends = [part(f"block {n}") for n in range(3)], [part(f"end {n}") for n in range(3)]
    draw_at_level(0, 16, blocks, ends, torch.zeros(1, 1, 4, 4))
    assert asked == ["block 0", "end 0"]
    asked.clear()
    encode_at_level(1, blocks, ends, torch.zeros(1, 1, 16, 16))
    assert asked == ["end 1", "block 0"]


def test_networks_grow_to_the_end_of_the_schedule_and_stay():
    made = trainer(
        "progan(width=4)", tricks=("progressive_growing",), budget=Budget("generator_turns", 8)
    )
    found = []
    for _ in range(8):
        steps(made, 1)
        found.append({part.level for part in progressive_modules(made.task)})
    assert found == [{0.0}, {0.0}, {0.0}, {0.5}, {1.0}, {1.0}, {1.0}, {1.0}]


@pytest.mark.parametrize("text", ["progan(width=4)", "stylegan(width=4)"])
def test_a_training_that_is_resumed_while_it_grows_repeats_the_unbroken_one(text):
    unbroken, resumed = (trainer(text, tricks=CHAIN) for _ in range(2))
    steps(unbroken, 6)
    assert {part.level for part in progressive_modules(unbroken.task)} == {0.25}
    resumed.load_state_dict(through_a_file(unbroken.state_dict()))
    assert {part.level for part in progressive_modules(resumed.task)} == {0.25}
    # A training that was stopped at its end is resumed without another step.
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


def test_an_average_grows_with_its_generator():
    """Else it would draw full size from the first step on, to count what its layers count."""
    made = trainer("stylegan(width=4)", tricks=CHAIN)
    steps(made, 7)
    assert {part.level for part in progressive_modules(made.trick)} == {0.5}


def test_the_averaged_sampler_has_the_level_and_the_mean_of_its_own_styles():
    made = trainer("stylegan(width=4)", tricks=CHAIN)
    steps(made, 6)
    sampler = made.sampling_generators()
    assert {part.level for part in progressive_modules(sampler)} == {0.25}
    fresh = training_setup("stylegan(width=4)").task.generators
    assert {part.level for part in progressive_modules(fresh)} == {1.0}
    fresh.load_state_dict(through_a_file(sampler.state_dict()))
    assert {part.level for part in progressive_modules(fresh)} == {0.25}
    own, average = (side[IMAGE].styles for side in (made.task.generators, sampler))
    assert average.mean.abs().max() > 0
    assert torch.equal(fresh[IMAGE].styles.mean, average.mean)
    assert not torch.equal(own.mean, average.mean)


def test_growing_goes_with_looking_ahead_and_with_past_discriminators():
    tricks = (
        "progressive_growing(until=1)",
        "unrolled(turns=1, order=1)",
        "past_discriminators(every=1)",
    )
    made = trainer("progan(width=4)", tricks=tricks)
    steps(made, 6)
    assert {part.level for part in progressive_modules(made.task)} == {0.25}


def test_networks_of_one_size_object():
    for text in ("stylegan2(width=4)", "dcgan(width=4)", "gan(width=4)"):
        with pytest.raises(Incompatible, match="needs networks that can grow"):
            training_setup(text, tricks=("progressive_growing",))
