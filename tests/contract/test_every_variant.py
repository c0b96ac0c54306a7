"""What every variant promises: to be built at every size that it takes, to train, and to object in sentences."""

import itertools
import math
from collections.abc import Iterable
from dataclasses import replace

import pytest
import torch
from helpers import BATCH, CPU, LATENT, split, steps
from trick_cases import TRICK

from ganbench.data import DATA
from ganbench.data.base import IMAGE, Batch, BatchLoader, Data
from ganbench.gan.build import (
    META_DEVICE,
    Incompatible,
    build_training,
    check_recipe,
    make_build_config,
    make_trick_list,
)
from ganbench.gan.losses import LOSSES
from ganbench.gan.recipe import Recipe
from ganbench.gan.variants import VARIANTS, resolve_variant
from ganbench.rng import RngStreams
from ganbench.training.budget import Budget
from ganbench.training.trainer import Trainer

HOME = dict.fromkeys(
    ("cyclegan", "cut"), "restyled_digits"
)  # of variants that have no meaning for single domains
SMALL = {"cyclegan": ", blocks=1, downs=1, strided=1", "srgan": ", blocks=1, factor=2"}
SMALL["inpainting"] = SMALL["cut"] = SMALL["cyclegan"]
every_variant = pytest.mark.parametrize("name", VARIANTS)


def home(name: str) -> str:
    return HOME.get(name, "digits")


def text(name: str, width: int = 4) -> str:
    return f"{name}(width={width}{SMALL.get(name, '')})"


def smallest(name: str) -> Recipe:
    recipe = resolve_variant(text(name))
    return replace(
        recipe, hyperparameters=replace(recipe.hyperparameters, batch=BATCH, latent=LATENT)
    )


def trained(recipe: Recipe, data: str, count: int = 3) -> list[dict[str, float]]:
    streams = RngStreams(0, CPU)
    built = build_training(recipe, DATA.make(data), streams)
    loader = BatchLoader(split(data).train, built.hyperparameters.batch, streams)
    return steps(Trainer(built, loader, streams, Budget("generator_turns", count)), count)


def objection_to(recipe: Recipe, data: str) -> str:
    """What is said before anything is built."""
    try:
        make_build_config(recipe, DATA.make(data), make_trick_list(recipe))
    except Incompatible as why:
        return str(why)
    return ""


def objection(recipe: Recipe, data: str) -> str:
    try:
        check_recipe(recipe, data)
    except Incompatible as why:
        return str(why)
    return ""


STYLEGAN2 = ("path_length", "minibatch_std", "ema(decay=0.998)")


@every_variant
@pytest.mark.parametrize("data", ["digits", "ring"])
def test_a_variant_trains_as_published_or_says_why_not(name, data):
    data = home(name) if data == "digits" else data
    if data == "ring" and (why := objection(smallest(name), data)):
        assert "points of 2 numbers" in why
        return
    logs = trained(smallest(name), data)
    assert all(math.isfinite(value) for log in logs for value in log.values())


@every_variant
def test_every_loss_and_trick_assembles_in_a_variant_or_objects_in_a_sentence(name):
    recipe, agreed = smallest(name), 0
    for trick in TRICK.values():
        arms = [
            replace(recipe, loss=loss, tricks=(*recipe.tricks, trick)) for loss in LOSSES.entries
        ]
        reasons = [objection_to(arm, home(name)) for arm in arms]
        assert all(len(why.split()) > 3 for why in reasons if why)
        agreed += reasons.count("")
        # What is built does not depend on the loss; if it cannot be, that was to be foreseen.
        if "" in reasons:
            assert objection(arms[reasons.index("")], home(name)) == ""
    # The variant's own tricks may bind it to one loss, but most tricks must go with that one.
    assert agreed > len(TRICK) / 2


@pytest.mark.slow
@every_variant
def test_what_assembles_trains(name):
    recipe = smallest(name)
    for loss, trick in itertools.product(LOSSES.entries, TRICK.values()):
        arm = replace(recipe, loss=loss, tricks=(*recipe.tricks, trick))
        if not objection(arm, home(name)):
            logs = trained(arm, home(name), 2)
            finite = all(math.isfinite(value) for log in logs for value in log.values())
            assert finite, (loss, trick)


class Sized(Data):
    """Nothing but shapes: for networks that are asked what they would build."""

    def __init__(self, channels: int, side: int, domains: Iterable[str] = (IMAGE,)):
        object.__setattr__(self, "shapes", dict.fromkeys(domains, (channels, side, side)))
        object.__setattr__(self, "classes", 10)


def sized(name: str, channels: int, side: int) -> Sized:
    return Sized(channels, side, DATA.make(home(name)).shapes)


@every_variant
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [8, 16, 32, 64, 128])
def test_a_variant_makes_images_of_every_size(name, channels, side):
    recipe = smallest(name)
    data, streams = sized(name, channels, side), RngStreams(0, META_DEVICE)
    task = build_training(recipe, data, streams).task
    images = torch.empty(BATCH, channels, side, side, device=META_DEVICE)
    if name in SMALL:  # these translate images
        batch = Batch(images, None, torch.arange(BATCH))
        fakes = task.sample(task.generators, dict.fromkeys(data.shapes, batch), None)
    else:
        latents = torch.empty(BATCH, LATENT + getattr(task, "codes", 0), device=META_DEVICE)
        labels = torch.empty(BATCH, dtype=torch.int64, device=META_DEVICE)
        asked = task.conditioning({IMAGE: Batch(images, labels, labels)})
        fakes = {IMAGE: task.generators[IMAGE](latents, *([labels] if asked else []))}
    assert all(fake.shape == images.shape for fake in fakes.values())


@every_variant
def test_a_wider_variant_has_more_parameters(name):
    def size(width):
        task = build_training(
            resolve_variant(text(name, width)), sized(name, 1, 16), RngStreams(0, META_DEVICE)
        ).task
        return sum(p.numel() for p in task.parameters())

    assert size(8) < size(16)


def test_the_table_is_what_papers_and_their_code_say():
    facts = {  # loss, discriminator's turns, learning rate, first beta, tricks
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
        "srgan": ("non_saturating", 1, 1e-4, 0.9, ()),
        "inpainting": ("non_saturating", 1, 2e-4, 0.5, ()),
        "cdcgan": ("non_saturating", 1, 2e-4, 0.5, ()),
        "acgan": ("non_saturating", 1, 2e-4, 0.5, ()),
        "infogan": ("non_saturating", 1, 2e-4, 0.5, ()),
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
            ("progressive_growing", "r1", "minibatch_std", "ema"),
        ),
        "stylegan2": ("non_saturating", 1, 2e-3, 0.0, ("r1(every=16)", *STYLEGAN2)),
        "stylegan2_ada": (
            "non_saturating",
            1,
            2e-3,
            0.0,
            ("r1(every=16, side=1024)", *STYLEGAN2, "ada"),
        ),
    }
    found = {
        name: (
            recipe.loss,
            recipe.hyperparameters.discriminator_turns,
            recipe.hyperparameters.discriminator_lr,
            recipe.hyperparameters.discriminator_betas[0],
            recipe.tricks,
        )
        for name, recipe in VARIANTS.items()
    }
    assert found == facts
