"""What every variant promises: to be built at every size that it takes, to train, and to object in sentences."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from conftest import BATCH, CPU, LATENT, split, steps
from test_every_trick import TRICK

from ganbench.assemble import META, Incompatible, assemble, checked
from ganbench.data import DATA
from ganbench.data.base import IMAGE, Data, Deck
from ganbench.losses import LOSSES
from ganbench.plan import Budget
from ganbench.recipe import Recipe
from ganbench.streams import Streams
from ganbench.train import Trainer
from ganbench.variants import VARIANTS, variant

every_variant = pytest.mark.parametrize("name", VARIANTS)


def smallest(name: str) -> Recipe:
    recipe = variant(f"{name}(width=4)")
    return replace(recipe, plan=replace(recipe.plan, batch=BATCH, latent=LATENT))


def trained(recipe: Recipe, data: str, count: int = 3) -> list[dict[str, float]]:
    streams = Streams(0, CPU)
    built = assemble(recipe, DATA.make(data), streams)
    deck = Deck(split(data).train, built.plan.batch, streams)
    return steps(Trainer(built, deck, streams, Budget("generator_turns", count)), count)


def objection(recipe: Recipe, data: str) -> str:
    try:
        checked(recipe, data)
    except Incompatible as why:
        return str(why)
    return ""


@every_variant
@pytest.mark.parametrize("data", ["digits", "ring"])
def test_a_variant_trains_as_published_or_says_why_not(name, data):
    if data == "ring" and (why := objection(smallest(name), data)):
        assert "points of 2 numbers" in why
        return
    logs = trained(smallest(name), data)
    assert all(math.isfinite(value) for log in logs for value in log.values())


@every_variant
def test_every_loss_and_trick_assembles_in_a_variant_or_objects_in_a_sentence(name):
    recipe, assembled = smallest(name), 0
    for loss, trick in itertools.product(LOSSES.entries, TRICK.values()):
        why = objection(replace(recipe, loss=loss, tricks=(*recipe.tricks, trick)), "digits")
        assembled += not why
        if why:
            assert len(why.split()) > 3
            assert "it cannot be built" not in why  # foreseen, not stumbled over
    # The variant's own tricks may bind it to one loss, but most tricks must go with that one.
    assert assembled > len(TRICK) / 2


@pytest.mark.slow
@every_variant
def test_what_assembles_trains(name):
    recipe = smallest(name)
    for loss, trick in itertools.product(LOSSES.entries, TRICK.values()):
        arm = replace(recipe, loss=loss, tricks=(*recipe.tricks, trick))
        if not objection(arm, "digits"):
            logs = trained(arm, "digits", 2)
            finite = all(math.isfinite(value) for log in logs for value in log.values())
            assert finite, (loss, trick)


class Sized(Data):
    """Nothing but shapes: for networks that are asked what they would build."""

    def __init__(self, channels: int, side: int):
        object.__setattr__(self, "shapes", {IMAGE: (channels, side, side)})
        object.__setattr__(self, "classes", 0)


@every_variant
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [8, 16, 32, 64, 128])
def test_a_variant_makes_images_of_every_size(name, channels, side):
    recipe = smallest(name)
    game = assemble(recipe, Sized(channels, side), Streams(0, META)).game
    latents = torch.empty(BATCH, LATENT, device=META)
    assert game.generators[IMAGE](latents).shape == (BATCH, channels, side, side)


@every_variant
def test_a_wider_variant_has_more_parameters(name):
    def size(width):
        game = assemble(variant(f"{name}(width={width})"), Sized(1, 16), Streams(0, META)).game
        return sum(p.numel() for p in game.parameters())

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
    }
    found = {
        name: (
            recipe.loss,
            recipe.plan.discriminator_turns,
            recipe.plan.discriminator_lr,
            recipe.plan.discriminator_betas[0],
            recipe.tricks,
        )
        for name, recipe in VARIANTS.items()
    }
    assert found == facts
