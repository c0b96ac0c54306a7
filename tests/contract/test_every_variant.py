"""Contract of variants: they build at every size, train, and explain incompatibilities."""

import itertools
import math
from collections.abc import Iterable
from dataclasses import replace

import pytest
import torch
from helpers import BATCH, CPU, split, steps
from trick_cases import TRICK_SPECS, incompatibility
from variant_cases import (
    CLIP_VARIANTS,
    TRANSLATION_VARIANTS,
    every_variant,
    home_data,
    small_recipe,
    variant_spec,
)

from ganbench.data import DATA
from ganbench.data.base import IMAGE, Batch, BatchLoader, Data
from ganbench.data.restyled_motion import SOURCES
from ganbench.gan.build import (
    META_DEVICE,
    Incompatible,
    build_training,
    make_build_config,
    make_trick_list,
)
from ganbench.gan.losses import LOSSES
from ganbench.gan.networks import NETWORKS
from ganbench.gan.networks.discriminator import Shape
from ganbench.gan.recipe import Recipe
from ganbench.gan.tasks import TASKS
from ganbench.gan.variants import VARIANTS, resolve_variant
from ganbench.rng import RngStreams
from ganbench.training.budget import Budget
from ganbench.training.trainer import Trainer


def train_steps(recipe: Recipe, data: str, count: int = 3) -> list[dict[str, float]]:
    streams = RngStreams(0, CPU)
    setup = build_training(recipe, DATA.make(data), streams)
    loader = BatchLoader(split(data).train, setup.hyperparameters.batch, streams)
    return steps(Trainer(setup, loader, streams, Budget("generator_turns", count)), count)


def build_config_incompatibility(recipe: Recipe, data: str) -> str:
    """Returns the reason that is known before anything is built, or an empty string."""
    try:
        make_build_config(recipe, DATA.make(data), make_trick_list(recipe))
    except Incompatible as error:
        return str(error)
    return ""


STYLEGAN2_TRICKS = ("path_length", "minibatch_std", "ema(decay=0.998)")


@every_variant
@pytest.mark.parametrize("data", ["digits", "ring"])
def test_variant_trains_or_is_incompatible(name, data):
    data = home_data(name) if data == "digits" else data
    if data == "ring" and (reason := incompatibility(small_recipe(name), data)):
        assert "points of 2 numbers" in reason
        return
    logs = train_steps(small_recipe(name), data)
    assert all(math.isfinite(value) for log in logs for value in log.values())


@every_variant
def test_losses_and_tricks_build_or_explain_incompatibility(name):
    recipe, compatible = small_recipe(name), 0
    for trick in TRICK_SPECS.values():
        recipes = [
            replace(recipe, loss=loss, tricks=(*recipe.tricks, trick)) for loss in LOSSES.entries
        ]
        reasons = [build_config_incompatibility(changed, home_data(name)) for changed in recipes]
        assert all(len(reason.split()) > 3 for reason in reasons if reason)
        compatible += reasons.count("")
        # Building does not depend on the loss, so the build config must have found any reason.
        if "" in reasons:
            assert incompatibility(recipes[reasons.index("")], home_data(name)) == ""
    # The variant's own tricks may fix its loss, but most tricks must work with that loss.
    assert compatible > len(TRICK_SPECS) / 2


@pytest.mark.slow
@every_variant
def test_compatible_recipes_train(name):
    recipe = small_recipe(name)
    for loss, trick in itertools.product(LOSSES.entries, TRICK_SPECS.values()):
        changed = replace(recipe, loss=loss, tricks=(*recipe.tricks, trick))
        if not incompatibility(changed, home_data(name)):
            logs = train_steps(changed, home_data(name), 2)
            finite = all(math.isfinite(value) for log in logs for value in log.values())
            assert finite, (loss, trick)


class ShapesOnly(Data):
    """Data with shapes and no images, for networks on the meta device."""

    has_targets = True

    def __init__(self, shape: Shape, domains: Iterable[str] = (IMAGE,)):
        shapes = dict.fromkeys(domains, shape)
        if SOURCES in shapes:  # two clips, one after the other
            shapes[SOURCES] = (shape[0], 2 * shape[1], *shape[2:])
        object.__setattr__(self, "shapes", shapes)
        object.__setattr__(self, "classes", 10)


def shapes_only_data(name: str, channels: int, side: int) -> ShapesOnly:
    frames = [max(8, side // 4)] if name in CLIP_VARIANTS else []
    return ShapesOnly((channels, *frames, side, side), DATA.make(home_data(name)).shapes)


@every_variant
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [8, 16, 32, 64, 128])
def test_variant_generates_every_image_size(name, channels, side):
    recipe = small_recipe(name)
    data, streams = shapes_only_data(name, channels, side), RngStreams(0, META_DEVICE)
    task = build_training(recipe, data, streams).task
    images = torch.empty(BATCH, *list(data.shapes.values())[-1], device=META_DEVICE)
    if name in TRANSLATION_VARIANTS:
        sources = {
            domain: Batch(torch.empty(BATCH, *shape, device=META_DEVICE), None, torch.arange(BATCH))
            for domain, shape in data.shapes.items()
        }
        fakes = task.sample(task.generators, sources, None)
    else:
        latents = torch.empty(BATCH, task.latent + getattr(task, "codes", 0), device=META_DEVICE)
        labels = torch.empty(BATCH, dtype=torch.int64, device=META_DEVICE)
        conditioning = task.conditioning({IMAGE: Batch(images, labels, labels)})
        fakes = {IMAGE: task.generators[IMAGE](latents, *([labels] if conditioning else []))}
    assert all(fake.shape == images.shape for fake in fakes.values())


@every_variant
def test_wider_variant_has_more_parameters(name):
    def size(width):
        task = build_training(
            resolve_variant(variant_spec(name, width)),
            shapes_only_data(name, 1, 16),
            RngStreams(0, META_DEVICE),
        ).task
        return sum(p.numel() for p in task.parameters())

    assert size(8) < size(16)


@every_variant
def test_task_and_network_have_no_setting_in_common(name):
    """A variant's settings are those of both, by name."""
    recipe = resolve_variant(name)
    task, network = TASKS.resolve(recipe.task), NETWORKS.resolve(recipe.network)
    assert not dict(task.settings).keys() & dict(network.settings).keys()


def test_variants_have_published_settings():
    published = {  # loss, discriminator steps, learning rate, first beta, tricks
        "gan": ("non_saturating", 1, 2e-4, 0.5, ()),
        "gan_conv": ("non_saturating", 1, 2e-4, 0.5, ()),
        "gan2d": ("non_saturating", 1, 1e-4, 0.8, ()),
        "dcgan": ("non_saturating", 1, 2e-4, 0.5, ()),
        "lsgan": ("least_squares", 1, 2e-4, 0.5, ()),
        "wgan": ("wasserstein", 5, 5e-5, 0.5, ("weight_clipping",)),
        "wgan_gp": ("wasserstein", 5, 1e-4, 0.5, ("gradient_penalty",)),
        "dragan": ("non_saturating", 1, 1e-4, 0.5, ("dragan",)),
        "improved_gan": (
            "non_saturating",
            1,
            3e-4,
            0.5,
            ("label_smoothing", "minibatch_discrimination"),
        ),
        "pacgan": ("non_saturating", 1, 2e-4, 0.5, ("pacgan",)),
        "unrolled": ("non_saturating", 1, 1e-4, 0.5, ("unrolled",)),
        "began": ("wasserstein", 1, 1e-4, 0.5, ("equilibrium",)),
        "cyclegan": ("least_squares", 1, 2e-4, 0.5, ("image_pool",)),
        "cut": ("least_squares", 1, 2e-4, 0.5, ()),
        "pix2pix": ("non_saturating", 1, 2e-4, 0.5, ()),
        "srgan": ("non_saturating", 1, 1e-4, 0.9, ()),
        "inpainting": ("non_saturating", 1, 2e-4, 0.5, ()),
        "cdcgan": ("non_saturating", 1, 2e-4, 0.5, ()),
        "acgan": ("non_saturating", 1, 2e-4, 0.5, ()),
        "infogan": ("non_saturating", 1, 2e-4, 0.5, ()),
        "reed": ("non_saturating", 1, 2e-4, 0.5, ("label_interpolation", "mismatch")),
        "dfgan": ("hinge", 1, 4e-4, 0.0, ("mismatch", "matching_penalty")),
        "sngan": ("hinge", 5, 2e-4, 0.0, ("spectral_norm",)),
        "projection": ("hinge", 5, 2e-4, 0.0, ("spectral_norm",)),
        "sagan": ("hinge", 1, 4e-4, 0.0, ("spectral_norm(generator=true)",)),
        "biggan": (
            "hinge",
            2,
            2e-4,
            0.0,
            (
                "ema(decay=0.9999, ramp=0.05)",
                "orthogonal_regularization",
                "spectral_norm(generator=true)",
            ),
        ),
        "r3gan": (
            "relativistic",
            1,
            2e-4,
            0.0,
            ("ema(decay=0.9999, ramp=0.05)", "r1(weight=0.05)", "r2(weight=0.05)"),
        ),
        "cr3gan": (
            "relativistic",
            1,
            2e-4,
            0.0,
            ("ema(decay=0.9999, ramp=0.05)", "r1(weight=0.05)", "r2(weight=0.05)"),
        ),
        "progan": (
            "wasserstein",
            1,
            1e-3,
            0.0,
            ("progressive_growing", "gradient_penalty", "drift", "minibatch_std", "ema"),
        ),
        "stylegan": (
            "non_saturating",
            1,
            1e-3,
            0.0,
            ("progressive_growing", "r1", "minibatch_std", "ema(decay=0.998)"),
        ),
        "stylegan2": ("non_saturating", 1, 2e-3, 0.0, ("r1(every=16)", *STYLEGAN2_TRICKS)),
        "stylegan2_ada": (
            "non_saturating",
            1,
            2e-3,
            0.0,
            ("r1(every=16, side=1024)", *STYLEGAN2_TRICKS, "ada"),
        ),
        "vgan": ("non_saturating", 1, 2e-4, 0.5, ()),
        "tgan": ("wasserstein", 1, 5e-5, 0.5, ("singular_value_clipping",)),
        "mocogan": ("non_saturating", 1, 2e-4, 0.5, ()),
        "dvdgan": ("hinge", 2, 5e-4, 0.0, ("spectral_norm(generator=true)",)),
        "framewise": ("non_saturating", 1, 2e-4, 0.5, ()),
        "beyond_mse": ("non_saturating", 1, 2e-4, 0.5, ()),
        "monkeynet": ("least_squares", 1, 2e-4, 0.5, ()),
    }
    actual = {
        name: (
            recipe.loss,
            recipe.hyperparameters.discriminator_turns,
            recipe.hyperparameters.discriminator_lr,
            recipe.hyperparameters.discriminator_betas[0],
            recipe.tricks,
        )
        for name, recipe in VARIANTS.items()
    }
    assert actual == published
