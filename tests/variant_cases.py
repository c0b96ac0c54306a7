"""Small forms of every variant, which train within milliseconds."""

from dataclasses import replace

import pytest
from helpers import BATCH, LATENT

from ganbench.gan.recipe import Recipe
from ganbench.gan.variants import VARIANTS, resolve_variant

HOME_DATA = dict.fromkeys(
    ("cyclegan", "cut", "pix2pix"), "restyled_digits"
)  # these need two domains
CLIP_VARIANTS = ("vgan", "tgan", "mocogan", "dvdgan", "framewise", "beyond_mse", "monkeynet")
HOME_DATA |= dict.fromkeys(CLIP_VARIANTS, "moving_digits") | {"monkeynet": "restyled_motion"}
SMALL_SETTINGS = {"cyclegan": ", blocks=1, downs=1, strided=1", "srgan": ", blocks=1, factor=2"}
SMALL_SETTINGS["inpainting"] = SMALL_SETTINGS["cut"] = SMALL_SETTINGS["cyclegan"]
SMALL_SETTINGS |= {"beyond_mse": "", "monkeynet": ", points=3", "pix2pix": ", downs=2, strided=1"}
TRANSLATION_VARIANTS = tuple(SMALL_SETTINGS)
every_variant = pytest.mark.parametrize("name", VARIANTS)


def home_data(name: str) -> str:
    return HOME_DATA.get(name, "digits")


def variant_spec(name: str, width: int = 4) -> str:
    return f"{name}(width={width}{SMALL_SETTINGS.get(name, '')})"


def small_recipe(name: str) -> Recipe:
    recipe = resolve_variant(variant_spec(name))
    return replace(
        recipe, hyperparameters=replace(recipe.hyperparameters, batch=BATCH, latent=LATENT)
    )
