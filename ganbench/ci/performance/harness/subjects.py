"""What is measured: a side's own variants and tricks in small forms, read from its indexes."""

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

# On a CPU overhead and operators are what can be told apart from noise; a GPU is filled with published widths.
SMALL: dict[str, Any] = (
    {}
    if ON_GPU
    else {"width": 4, "blocks": 1, "downs": 1, "strided": 1, "factor": 2, "depth": 1, "code": 8}
)
BATCH, LATENT = (64, 128) if ON_GPU else (8, 8)
STEPS_PER_WINDOW = (
    20 if ON_GPU else 1
)  # of a window: the first has every term that is not in each step
MAX_DISCRIMINATOR_STEPS = 2  # of the discriminators in a step
BUDGET_GENERATOR_STEPS = (
    1000  # the budget; nine tenths of it are spent, so that networks have grown
)
NEARLY_SPENT = Spent(generator_turns=900)
DATA_SETS = ("digits", "restyled_digits", "ring")

# Settings by which a trick acts within a few steps, and does not take longest in what is no work of its own.
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
)  # the first in which a trick has a meaning
HOME_SETTINGS = {"dcgan": "norm='layer'"}  # penalties of slopes object to batch norm
HOME_LOSSES = ("non_saturating", "wasserstein")


def is_importable(point: EntryPoint) -> bool:
    try:
        point.load()
    except (ImportError, AttributeError):
        return False
    return True


# What is installed is the head's list of plugins: a variant that the base lacks is no variant there.
ganbench.gan.variants.entry_points = lambda group: filter(is_importable, entry_points(group=group))  # type: ignore[assignment,attr-defined]

VARIANT_NAMES = sorted(all_variants())
TRICK_NAMES = sorted(TRICKS)


def small_variant(name: str, *settings: str) -> str:
    """The variant with those small settings that its network or its game has."""
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
    """Raises Incompatible."""
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
    """The variant on the first data that it has a meaning for, and what that is."""
    objections = []
    for data in DATA_SETS:
        try:
            return build_trainer(SMALL_VARIANTS[name], data), data
        except Incompatible as why:
            objections.append(str(why))
    return pytest.skip(objections[0])


@cache
def trainer_of_trick(name: str) -> tuple[Trainer, str]:
    """A home of the trick, and its description."""
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


def make_window(made: Trainer, count: int = STEPS_PER_WINDOW) -> Callable[[], None]:
    """The same few steps at every call: what acts every sixteenth step acts in each window."""

    def steps() -> None:
        made.step, made.spent = 0, NEARLY_SPENT
        for _ in range(count):
            made.train_step()
        made.logs.clear()

    return steps
