"""Decides whether a recipe can be trained by several processes on slices of each batch.

A part declares `works_on_slices` if it computes the same on slices: its terms are means over
examples, or it looks across the batch by `ganbench.gan.batch_slices`. A part without an own
declaration is refused, so that no recipe silently trains several independent models.
"""

from ganbench.data import DATA
from ganbench.gan.build import META_DEVICE, TrainingSetup, build_training
from ganbench.gan.recipe import Recipe
from ganbench.rng import RngStreams


def recipe_slicing_incompatibility(recipe: Recipe, data: str, processes: int) -> str | None:
    """Returns the reason why a recipe cannot be trained by several processes, or None.

    It computes only shapes. Raises Incompatible if the recipe cannot be trained at all.
    """
    setup = build_training(recipe, DATA.make(data), RngStreams(0, META_DEVICE))
    return slicing_obstacle(setup, processes)


def slicing_obstacle(setup: TrainingSetup, processes: int) -> str | None:
    """Returns the reason why processes cannot train on slices of the batch, or None."""
    batch = setup.hyperparameters.batch
    if batch % processes:
        return f"a batch of {batch} cannot be divided among {processes} processes"
    named = {
        f"task {name_of(setup.task)}": setup.task,
        f"network {name_of(setup.network)}": setup.network,
        f"loss {name_of(setup.loss)}": setup.loss,
        **{f"trick {name}": trick for name, trick in setup.trick.items()},
    }
    for name, part in named.items():
        if not declares_slices(part):
            return f"{name} does not declare works_on_slices, so it may need the whole batch"
    return setup.trick.slicing_incompatibility(batch // processes)


def declares_slices(part: object) -> bool:
    """Returns whether a part's own class declares that it works on slices.

    A declaration of a base class does not count: the subclass may look across the batch.
    """
    return bool(vars(type(part)).get("works_on_slices", False))


def name_of(part: object) -> str:
    return type(part).__name__
