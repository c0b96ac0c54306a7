"""The benchmark subjects: small forms of the variants and tricks in the side's registries."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from itertools import product
from typing import Any

import pytest

import ganbench.gan.variants
from ganbench.data import DATA
from ganbench.data.base import BatchLoader, Split
from ganbench.gan.build import Incompatible, build_training
from ganbench.gan.networks import NETWORKS
from ganbench.gan.tasks import TASKS
from ganbench.gan.tricks import TRICKS
from ganbench.gan.variants import all_variants, resolve_variant
from ganbench.registry import Spec, parse_spec, settings_of
from ganbench.rng import RngStreams
from ganbench.training.budget import Budget, Spent
from ganbench.training.trainer import Trainer

from .order import BENCH_DEVICE, ON_GPU

# On a CPU, small networks expose overhead and operators. On a GPU, the published widths fill the device.
SMALL: dict[str, Any] = (
    {}
    if ON_GPU
    else {"width": 4, "blocks": 1, "downs": 1, "strided": 1, "factor": 2, "depth": 1, "code": 8}
)
BATCH, LATENT = (64, 128) if ON_GPU else (8, 8)
STEPS_PER_WINDOW = 20 if ON_GPU else 1  # steps per window; the first step has every periodic term
MAX_DISCRIMINATOR_STEPS = 2  # maximum discriminator steps per generator step
BUDGET_GENERATOR_STEPS = (
    1000  # the budget; 90 % of it count as spent, so that growing networks are full-size
)
NEARLY_SPENT = Spent(generator_turns=900)
DATA_SETS = ("digits", "restyled_digits", "ring")

# Settings that make a trick act within a few steps, and keep the time of other work small.
CHEAP_TRICK_SPECS = {
    "past_discriminators": "past_discriminators(every=1)",
    "image_pool": "image_pool(size=16)",
    "unrolled": "unrolled(turns=1)",
    "minibatch_discrimination": "minibatch_discrimination(kernels=3, depth=2)",
    "ada": "ada(kimg=0.02, every=1, target=-0.9)",
    "lecam": "lecam(start=1)",
    "label_flipping": "label_flipping(share=0.4)",
}
TRICK_HOMES = (
    "dcgan",
    "gan",
    "began",
    "stylegan2",
    "progan",
)  # variants to try for a trick, in this order
HOME_SETTINGS = {"dcgan": "norm='layer'"}  # gradient penalties are incompatible with batch norm
HOME_LOSSES = ("non_saturating", "wasserstein")


def is_importable(point: EntryPoint) -> bool:
    try:
        point.load()
    except (ImportError, AttributeError):
        return False
    return True


# The installed entry points are those of the head. Variants that the base cannot import are left out.
ganbench.gan.variants.entry_points = lambda group: filter(is_importable, entry_points(group=group))  # type: ignore[assignment,attr-defined]

VARIANT_NAMES = sorted(all_variants())
TRICK_NAMES = sorted(TRICKS)


def small_variant(name: str, *settings: str) -> str:
    """Returns the variant's spec with the small settings that its network or task has."""
    recipe = resolve_variant(name)
    parts = ((NETWORKS, recipe.network), (TASKS, recipe.task))
    setting_names = {
        key for index, text in parts for key in settings_of(index.load(parse_spec(text).name))
    }
    given = [(key, value) for key, value in SMALL.items() if key in setting_names]
    given += [pair for text in settings for pair in parse_spec(f"_({text})").settings]
    return str(Spec(name, tuple(sorted(given))))


SMALL_VARIANTS = {name: small_variant(name) for name in VARIANT_NAMES}


@cache
def load_split(data: str) -> Split:
    return DATA.make(data).load()


def build_trainer(text: str, data: str, tricks: tuple[str, ...] = (), loss: str = "") -> Trainer:
    """Builds a trainer of a variant and tricks on a data set; raises Incompatible."""
    recipe, streams = resolve_variant(text), RngStreams(0, BENCH_DEVICE)
    turns = min(recipe.hyperparameters.discriminator_turns, MAX_DISCRIMINATOR_STEPS)
    plan = replace(recipe.hyperparameters, batch=BATCH, latent=LATENT, discriminator_turns=turns)
    chosen = (*(() if tricks else recipe.tricks), *tricks)
    recipe = replace(recipe, hyperparameters=plan, tricks=chosen, loss=loss or recipe.loss)
    setup = build_training(recipe, DATA.make(data), streams)
    loader = BatchLoader(load_split(data).train, setup.hyperparameters.batch, streams)
    return Trainer(setup, loader, streams, Budget("generator_turns", BUDGET_GENERATOR_STEPS))


@cache
def trainer_of_variant(name: str) -> tuple[Trainer, str]:
    """Returns a trainer of the variant on the first compatible data set, and its name."""
    objections = []
    for data in DATA_SETS:
        try:
            return build_trainer(SMALL_VARIANTS[name], data), data
        except Incompatible as why:
            objections.append(str(why))
    return pytest.skip(objections[0])


@cache
def trainer_of_trick(name: str) -> tuple[Trainer, str]:
    """Returns a trainer of the first compatible variant with the trick, and its description."""
    trick, objections = CHEAP_TRICK_SPECS.get(name, name), []
    homes = [small_variant(home) for home in TRICK_HOMES if home in SMALL_VARIANTS]
    homes[1:1] = [
        small_variant(home, HOME_SETTINGS[home]) for home in HOME_SETTINGS if home in SMALL_VARIANTS
    ]
    for loss, text in product(HOME_LOSSES, homes):
        try:
            return build_trainer(text, "digits", (trick,), loss), f"{text} + {trick}, {loss}"
        except Incompatible as why:
            objections.append(str(why))
    return pytest.skip(objections[0])


def make_window(trainer: Trainer, count: int = STEPS_PER_WINDOW) -> Callable[[], None]:
    """Returns a function that trains the same few steps at every call.

    It resets the step count, so that parts that act every 16th step act in each window.
    """

    def steps() -> None:
        trainer.step, trainer.spent = 0, NEARLY_SPENT
        for _ in range(count):
            trainer.train_step()
        trainer.logs.clear()

    return steps
