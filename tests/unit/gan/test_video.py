"""Families and tasks of clips: published sizes, shared contents, and pairs of two discriminators."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from helpers import CPU, split, steps, trainer, training_setup
from torch import nn

from ganbench.data import DATA
from ganbench.data.base import IMAGE
from ganbench.data.bouncing import BouncingLaw
from ganbench.data.modality import frames_of
from ganbench.gan.build import META_DEVICE, Incompatible, build_training
from ganbench.gan.networks import NETWORKS
from ganbench.gan.networks.clips import join_frames
from ganbench.gan.networks.dvdgan import ConvGRU
from ganbench.gan.recipe import Recipe
from ganbench.gan.tasks.video import FRAME, pick_frames
from ganbench.gan.tricks import TRICKS
from ganbench.gan.tricks.diffaugment import DiffAugment
from ganbench.gan.tricks.singular_value_clipping import clip_scales, clip_singular_values
from ganbench.gan.variants import resolve_variant
from ganbench.rng import RngStreams, StepContext

CLIPS = "moving_digits"
COLOUR_64 = (3, 16, 64, 64)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def family(spec):
    return NETWORKS.make(spec)


def build(make, *arguments):
    with META_DEVICE:
        return make(*arguments)


def layer_sizes(widths, kernel, first=0):
    """Weights of convolutions without bias between widths, and of norms behind all but `first`."""
    convolutions = sum(a * b * kernel for a, b in pairwise(widths))
    return convolutions + 2 * sum(widths[1:][first:])


# Published sizes at 64x64: the layers that the authors' code states


def test_mocogan_has_the_published_size():
    network = family("mocogan")
    generator = build(network.build_generator, 50, COLOUR_64)
    cell = 2 * (3 * 10 * 10 + 3 * 10)  # GRU of 10: three gates of inputs and states, with biases
    widths = (512, 256, 128, 64)
    image = 60 * 512 * 16 + 2 * 512 + layer_sizes(widths, 16) + 64 * 3 * 16
    assert count(generator) == cell + image
    widths = (64, 128, 256, 512)
    clip = 3 * 64 * 64 + layer_sizes(widths, 64) + 512 * 64
    assert count(build(network.build_discriminator, COLOUR_64)) == clip
    frame = 3 * 64 * 16 + layer_sizes(widths, 16) + 512 * 16
    assert count(build(network.build_frame_discriminator, (3, 64, 64))) == frame


def test_mocogan_sees_four_frames_behind_its_convolutions():
    discriminator = build(family("mocogan").build_discriminator, COLOUR_64)
    assert discriminator.shape == (512, 4, 4, 4)


def test_vgan_has_the_published_size_but_for_biases_and_a_second_score():
    network, shape = family("vgan"), (3, 32, 64, 64)
    widths = (512, 256, 128, 64)
    foreground = 100 * 512 * 2 * 16 + 2 * 512 + layer_sizes(widths, 64)
    heads = 64 * 3 * 64 + 3 + 64 * 64 + 1
    background = 100 * 512 * 16 + 2 * 512 + layer_sizes(widths, 16) + 64 * 3 * 16
    generator = count(build(network.build_generator, 100, shape))
    assert generator == foreground + heads + background
    widths = (64, 128, 256, 512)
    discriminator = count(build(network.build_discriminator, shape))
    assert discriminator == 3 * 64 * 64 + layer_sizes(widths, 64) + 512 * 2 * 16


def test_tgan_has_the_published_size():
    network = family("tgan")
    generator = build(network.build_generator, 100, COLOUR_64)
    pairs = ((100, 512, 1), (512, 256, 4), (256, 128, 4), (128, 128, 4), (128, 100, 4))
    temporal = sum(a * b * kernel + b for a, b, kernel in pairs) + 2 * (512 + 256 + 128 + 128)
    smallest = 2 * (100 * 256 * 16 + 2 * 256 * 16)
    image = layer_sizes((512, 256, 128, 64, 32), 16) + 32 * 3 * 9 + 3
    assert count(generator) == temporal + smallest + image
    widths = (64, 128, 256, 512)
    biases = sum(widths)
    clip = 3 * 64 * 64 + layer_sizes(widths, 64) + biases + 512 * 16 + 1
    assert count(build(network.build_discriminator, COLOUR_64)) == clip


# Latents and frames


def small_generator(spec, latent=4):
    network, shape = family(spec), (1, 8, 16, 16)
    torch.manual_seed(0)
    generator = network.build_generator(latent, shape).eval()
    return generator, torch.randn(3, network.count_latents(latent, shape))


def test_frames_join_clip_by_clip():
    clips = torch.arange(2 * 1 * 3 * 2 * 2.0).view(2, 1, 3, 2, 2)
    assert torch.equal(join_frames(frames_of(clips), 2), clips)


def test_mocogan_frames_share_content_and_depend_on_earlier_noise():
    generator, latents = small_generator("mocogan(width=4, motion=3)")
    assert latents.shape[1] == 9 * 3 + 4
    plain = generator(latents)
    changed = latents.clone()
    changed[:, 3 * 5 : 3 * 6] += 1  # the noise of frame 4, behind the first state
    differs = (generator(changed) - plain).abs().amax((0, 1, 3, 4)) > 0
    assert differs.tolist() == [False] * 4 + [True] * 4
    changed = latents.clone()
    changed[:, -4:] += 1
    assert ((generator(changed) - plain).abs().amax((0, 1, 3, 4)) > 0).all()


def test_mocogan_motion_is_that_of_a_gru():
    generator, latents = small_generator("mocogan(width=4, motion=3)")
    noise = latents[:, :27].view(3, 9, 3)
    unrolled = nn.GRU(3, 3, batch_first=True)
    for name, parameter in generator.recurrent.named_parameters():
        getattr(unrolled, f"{name}_l0").data = parameter.data
    expected, _ = unrolled(noise[:, 1:], noise[None, :, 0].contiguous())
    torch.testing.assert_close(generator.motions(latents[:, :27]), expected)


def test_framewise_frames_are_independent():
    generator, latents = small_generator("framewise(width=4)")
    assert latents.shape[1] == 8 * 4
    changed = latents.clone()
    changed[:, 4 * 2 : 4 * 3] += 1
    differs = (generator(changed) - generator(latents)).abs().amax((0, 1, 3, 4)) > 0
    assert differs.nonzero().flatten().tolist() == [2]


def test_framewise_without_motion_scores_frames_alone():
    """The score of a clip is the mean of its frames' scores, so their order changes nothing."""
    torch.manual_seed(0)
    built = (
        family("framewise(width=4, sees_motion=False)").build_discriminator((1, 8, 16, 16)).eval()
    )
    clips = torch.randn(3, 1, 8, 16, 16)
    shuffled = clips[:, :, torch.randperm(8)]
    torch.testing.assert_close(built(clips), built(shuffled))
    each = built(frames_of(clips).unsqueeze(2)).unflatten(0, (3, 8))
    torch.testing.assert_close(built(clips), each.mean(1))
    seeing = family("framewise(width=4)").build_discriminator((1, 8, 16, 16)).eval()
    assert not torch.allclose(seeing(clips), seeing(shuffled))


def test_vgan_blends_foreground_and_background_by_the_mask():
    generator, latents = small_generator("vgan(width=4)")
    mask = generator.masks(latents)
    foreground, still = generator.foreground(generator.trunk(latents)), generator.still(latents)
    expected = mask * foreground + (1 - mask) * still[:, :, None]
    torch.testing.assert_close(generator(latents), expected)
    generator.mask[0].bias.data.fill_(-100)
    clips = generator(latents)
    torch.testing.assert_close(clips, still[:, :, None].expand_as(clips))


def test_mask_term_is_its_weighted_mean():
    training = trainer("vgan(width=4, weight=0.5)", CLIPS, latent=4)
    recipe = replace(resolve_variant("vgan(width=4, weight=0.5)"))
    setup = build_training(recipe, DATA.make(CLIPS), RngStreams(0, CPU))
    assert setup.task.weight == 0.5
    pairs = setup.task.make_pairs(training.loader.batches(0), torch.Generator().manual_seed(0))
    ((name, term),) = setup.task.generator_terms(pairs)
    masks = setup.task.generators[IMAGE].masks(pairs[0].source)
    assert name == "mask"
    assert term.item() == pytest.approx(0.5 * masks.mean().item())


def test_convolutional_gru_follows_its_equations():
    layer, x = ConvGRU(2), torch.randn(1, 3, 2, 4, 4)
    states = layer(x)
    state = torch.zeros(1, 2, 4, 4)
    for step, made in zip(x.unbind(1), states.unbind(1), strict=True):
        update, reset = layer.gates(torch.cat([step, state], 1)).sigmoid().chunk(2, 1)
        proposed = layer.proposal(torch.cat([step, reset * state], 1)).relu()
        state = (1 - update) * state + update * proposed
        torch.testing.assert_close(made, state)


# The task


def test_frames_are_picked_by_place():
    clips = torch.arange(2 * 3 * 4.0).view(2, 1, 4, 1, 3)
    picked = pick_frames(clips, torch.tensor([[2, 0], [3, 1]]))
    assert torch.equal(
        picked, torch.stack([clips[0, :, 2], clips[0, :, 0], *clips[1, :, [3, 1]].unbind(1)])
    )


@pytest.mark.parametrize(("text", "frames"), [("mocogan(width=4)", 1), ("dvdgan(width=4)", 4)])
def test_frame_pair_shows_the_clips_frames(text, frames):
    training = trainer(text, CLIPS, loss="hinge")
    clips, single = training.make_pairs(0, 0)
    assert (clips.name, single.name) == (IMAGE, FRAME)
    assert (clips.shares_generator, single.shares_generator) == (False, True)
    for part in ("real", "fake"):
        whole, shown = getattr(clips, part), getattr(single, part)
        each = shown.unflatten(0, (-1, frames))
        matches = (whole.transpose(1, 2)[:, None] == each[:, :, None]).flatten(3).all(3)
        assert (matches.sum(2) >= 1).all()
    if clips.real_label is not None:
        assert torch.equal(single.real_label, clips.real_label.repeat_interleave(frames))
    assert single.real_score.shape == (frames * len(clips.real),)


def test_step_trains_both_discriminators():
    training = trainer("mocogan(width=4)", CLIPS)
    before = {n: count_sum(d) for n, d in training.task.discriminators.items()}
    steps(training, 1)
    assert all(count_sum(d) != before[n] for n, d in training.task.discriminators.items())


def count_sum(module):
    return sum(parameter.double().sum().item() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("recipe", "data", "reason"),
    [
        (
            Recipe("", "mocogan", task="video"),
            "digits",
            "mocogan makes clips, and the data are images",
        ),
        (Recipe("", "dcgan", task="video"), CLIPS, "dcgan makes images, and the data are clips"),
        (Recipe("", "mlp", task="video"), CLIPS, "mlp has no discriminator of frames"),
        (Recipe("", "mocogan", task="layered"), CLIPS, "mocogan has none"),
        (Recipe("", "framewise", task="information"), CLIPS, "each frame has its own"),
        (Recipe("", "framewise", task="conditional_video"), CLIPS, "framewise takes none"),
        (Recipe("", "mocogan", task="video(scored_frames=9)"), CLIPS, "9 frames cannot be drawn"),
        (Recipe("", "tgan"), "moving_digits(frames=12)", "up to a power of two, not to 12"),
        (Recipe("", "vgan"), "moving_digits(frames=10)", "halves 10 frames 2 times"),
    ],
)
def test_impossible_recipes_are_refused(recipe, data, reason):
    with pytest.raises(Incompatible, match=reason):
        build_training(recipe, DATA.make(data), RngStreams(0, META_DEVICE))


@pytest.mark.parametrize("task", ["auxiliary", "information", "conditional"])
def test_tasks_with_labels_and_codes_take_clips(task):
    recipe = Recipe("", "mocogan(width=4, norm='layer')", task=task)
    recipe = replace(recipe, hyperparameters=replace(recipe.hyperparameters, batch=8, latent=4))
    task = build_training(recipe, DATA.make(CLIPS), RngStreams(0, CPU)).task
    batches = {IMAGE: split(CLIPS).train[IMAGE].make_batch(torch.arange(8))}
    (pair,) = task.make_pairs(batches, torch.Generator().manual_seed(0))
    assert pair.fake.shape == pair.real.shape
    assert pair.fake_score.shape == (8,)


# Tricks


def test_augmentation_is_the_same_in_all_frames():
    trick = DiffAugment()
    trick.begin_step(StepContext(RngStreams(0, CPU), 0, 0, 0.0))
    frame = torch.randn(6, 3, 1, 16, 16)
    still = frame.expand(-1, -1, 5, -1, -1)
    shown = trick.transform_discriminator_input(still, "image/real")
    assert shown.shape == still.shape
    assert (shown - shown[:, :, :1]).abs().max() == 0
    assert (shown - still).abs().flatten(1).amax(1).min() > 0


@pytest.mark.parametrize("name", ["diffaugment", "consistency", "frequency_separation"])
def test_image_tricks_equal_those_on_single_frames(name):
    """A clip of one frame is changed as the image is."""
    image = torch.randn(6, 1, 16, 16)
    outputs = []
    for x in (image, image[:, :, None]):
        trick = TRICKS.make(name)
        trick.begin_step(StepContext(RngStreams(0, CPU), 0, 0, 0.0))
        if name == "consistency":
            outputs.append(trick.augment(x, torch.Generator().manual_seed(3)))
        else:
            outputs.append(trick.transform_discriminator_input(x, "image/real"))
    torch.testing.assert_close(outputs[1][:, :, 0], outputs[0])


@pytest.mark.parametrize("text", ["mocogan(width=4)", "dvdgan(width=4)", "tgan(width=4)"])
def test_spectral_norm_reaches_3d_and_recurrent_layers(text):
    tricks = ("spectral_norm(generator=true, iterations=30)",)
    loss = "hinge" if "dvd" in text else "non_saturating"
    task = training_setup(text, CLIPS, tricks, loss).task
    batches = {IMAGE: split(CLIPS).train[IMAGE].make_batch(torch.arange(8))}
    for pair in task.make_pairs(batches, torch.Generator().manual_seed(0)):
        assert pair.fake_score.isfinite().all()
    task.eval()
    kinds = (nn.Conv3d, nn.GRUCell, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d)
    layers = [module for module in task.modules() if isinstance(module, kinds)]
    assert len({type(layer) for layer in layers}) > 1
    for layer in layers:
        for weight in (
            (layer.weight_ih, layer.weight_hh) if hasattr(layer, "weight_ih") else [layer.weight]
        ):
            first = 1 if "Transpose" in type(layer).__name__ else 0
            matrix = weight.detach().transpose(0, first).flatten(1)
            assert torch.linalg.matrix_norm(matrix, 2).item() == pytest.approx(1, rel=0.05)


def test_recurrent_cell_iterates_once_per_pass():
    setup = training_setup("mocogan(width=4)", CLIPS, ("spectral_norm(generator=true)",))
    generator = setup.task.generators[IMAGE]
    iterated, plain = [], nn.utils.parametrizations._SpectralNorm._power_method

    def record(norm, *arguments):
        iterated.append(norm)
        return plain(norm, *arguments)

    norms = [*generator.recurrent.parametrizations.weight_hh]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.utils.parametrizations._SpectralNorm, "_power_method", record)
        generator(torch.randn(8, setup.task.latent))
    assert iterated.count(norms[0]) == 1


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 2, 3, 3), (4, 2, 2, 3, 3)])
def test_singular_values_are_clipped(shape):
    weight = torch.randn(shape) * 2
    u, values, v = torch.linalg.svd(weight.flatten(1), full_matrices=False)
    clipped = clip_singular_values(weight, 1.5)
    torch.testing.assert_close(clipped.flatten(1), u @ values.clamp(max=1.5).diag() @ v)
    torch.testing.assert_close(clip_singular_values(clipped, 1.5), clipped)


def test_scales_of_batch_norm_are_clipped():
    norm = nn.BatchNorm3d(3)
    norm.running_var = torch.tensor([4.0, 4.0, 4.0])
    norm.weight.data = torch.tensor([3.0, 1.0, -1.0])
    with torch.no_grad():
        clip_scales(norm)
    assert norm.weight.tolist() == pytest.approx([2, 1, 0.02])


def test_clipping_acts_after_every_fifth_discriminator_step():
    settings = {"discriminator_turns": 2, "discriminator_lr": 0.5}
    training = trainer("gan(width=8)", tricks=("singular_value_clipping(every=5)",), **settings)
    largest = []
    for step in range(1, 6):
        steps(training, 1)
        layer = training.task.discriminators[IMAGE].head.linear
        largest.append(torch.linalg.matrix_norm(layer.weight, 2).item())
        assert (largest[-1] <= 1.0001) is (step == 5), step  # the tenth discriminator step


def test_weights_of_one_generator_are_regularized_once():
    for trick in ("orthogonal_regularization", "historical_averaging"):
        training = trainer("mocogan(width=4)", CLIPS, tricks=(trick,))
        steps(training, 1)
        pairs = training.make_pairs(1, -1)
        terms = [name for pair in pairs for name, _ in training.trick.generator_terms(pair)]
        assert len(terms) == 1


def test_law_of_the_data_reaches_the_split():
    assert split(CLIPS).law == BouncingLaw(8, 8, (1, 2))
