"""Settings under which each trick acts within a few steps, and short trainings with them."""

import csv
import math
from functools import cache
from pathlib import Path

import pytest
from helpers import (
    steps,
    trainer,
)

from ganbench.gan.build import Incompatible, check_recipe
from ganbench.gan.losses import LOSSES
from ganbench.gan.recipe import Recipe
from ganbench.gan.tricks import TRICKS

CHEAP = {
    "past_discriminators": "past_discriminators(every=1)",
    "label_flipping": "label_flipping(share=0.4)",
    "image_pool": "image_pool(size=16)",  # full within the few steps of a test
    "gradient_clipping": "gradient_clipping(norm=0.01)",
    "unrolled": "unrolled(turns=1)",
    "minibatch_discrimination": "minibatch_discrimination(kernels=3, depth=2)",
    # with their defaults, these begin to act later than the few steps of a test
    "ada": "ada(kimg=0.02, every=1, target=-0.9)",
    "lecam": "lecam(start=1)",
}


CONDITIONAL = {"text": "cdcgan(width=4, norm='none')"}
HOME = {
    "logit_centering": {"text": "gan(width=8)", "loss": "relativistic"},
    **dict.fromkeys(("label_interpolation", "matching_penalty", "mismatch"), CONDITIONAL),
    "equilibrium": {"text": "began(width=4, code=8)", "loss": "wasserstein"},
    "path_length": {"text": "stylegan2(width=4)"},
    "post_hoc_ema": {"text": "gan(width=8)"},  # a generator without batch norm
    "progressive_growing": {"text": "progan(width=4)"},
    "transport_pull": {"text": "gan(width=8)", "latent": 64},  # the size of digits
}


# Tricks that can act all at once in a plain GAN. Spectral norm bounds singular values already, and
# packs of images have no features of one image.
TOGETHER = [
    name
    for name in TRICKS.entries
    if name not in (*HOME, "singular_value_clipping", "representation_alignment")
]

TRICK_SPECS = {name: CHEAP.get(name, name) for name in TRICKS.entries}


# Variants, data and losses in which every pair of tricks is tried.
PAIR_SETUPS = (
    ("gan(width=8)", "digits", "non_saturating"),
    ("dcgan(width=4)", "digits", "hinge"),
    ("dcgan(width=4, norm='layer')", "digits", "wasserstein"),  # penalties reject batch norm
    ("gan2d(width=8)", "ring", "relativistic"),
)

# Variants, data and losses in which every trick is tried alone.
TINY_CYCLEGAN = "cyclegan(width=4, blocks=1, downs=1, strided=1)"
SINGLE_SETUPS = (
    ("gan(width=8)", "digits", tuple(LOSSES.entries)),
    ("dcgan(width=4)", "digits", tuple(LOSSES.entries)),
    ("gan(width=8)", "ring", tuple(LOSSES.entries)),
    ("began(width=4, code=8)", "digits", tuple(LOSSES.entries)),
    (TINY_CYCLEGAN, "restyled_digits", ("least_squares",)),
    (f"cut{TINY_CYCLEGAN[8:]}", "restyled_digits", ("least_squares",)),
    ("srgan(width=4, blocks=1, factor=2)", "digits", ("least_squares",)),
    ("inpainting(width=4, blocks=1, downs=1, strided=1)", "digits", ("least_squares",)),
    ("pix2pix(width=4, downs=2, strided=1)", "restyled_digits", ("non_saturating",)),
)
SINGLE_TABLE = (
    Path(__file__).parent / "contract" / "single_tricks.csv"
)  # by studies/compatibility.py

every_trick = pytest.mark.parametrize("name", TRICK_SPECS)


def at_home(name, text="gan(width=8)"):
    """Returns the network and loss that a trick is tried with: its own if it needs them."""
    return HOME.get(name, {"text": text})


@cache
def compatible_losses(text, data) -> dict[str, list[str]]:
    """Returns the losses that train with each trick in a setup, by the committed table."""
    with SINGLE_TABLE.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    here = [row for row in rows if (row["variant"], row["data"]) == (text, data)]
    return {row["trick"]: row["compatible losses"].split() for row in here}


def assert_outcomes_of_table(name, text, data, losses) -> None:
    """Trains a trick with each loss, and checks that it trains exactly where the table says so."""
    outcomes = {loss: training_outcome(text, data, (TRICK_SPECS[name],), loss) for loss in losses}
    trained = [loss for loss, outcome in outcomes.items() if outcome == "trained"]
    assert trained == compatible_losses(text, data)[name]


def outcome_of_incompatibility(error) -> str:
    """Checks that the reason is a sentence."""
    assert len(str(error).split()) > 3
    return "rejected"


def training_outcome(text, data, tricks, loss, **plan) -> str:
    """Trains two steps and returns "trained" or "rejected"; checks the logs or the reason."""
    try:
        training = trainer(text, data, tricks, loss=loss, **plan)
    except Incompatible as error:
        return outcome_of_incompatibility(error)
    logs = steps(training, 2)
    assert all({"discriminator", "generator"} <= log.keys() for log in logs)
    assert all(math.isfinite(value) for log in logs for value in log.values())
    assert all(value.isfinite().all() for value in training.task.state_dict().values())
    return "trained"


def incompatibility(recipe: Recipe, data: str) -> str:
    """Returns the reason why a recipe cannot train on the data, or an empty string."""
    try:
        check_recipe(recipe, data)
    except Incompatible as error:
        return str(error)
    return ""
