"""Reasons of incompatibility that tricks share: energies, batch norm, conditions."""

from ganbench.gan.build_config import BuildConfig
from ganbench.gan.networks.discriminator import Shape
from ganbench.gan.tasks import TASKS
from ganbench.registry import parse_spec

BATCH_COMPARING_TRICKS = ("minibatch_discrimination", "minibatch_std")


def refuse_energy(trick: str, config: BuildConfig) -> str | None:
    """Returns a reason if scores are reconstruction errors, or None."""
    if not config.network.energy:
        return None
    return (
        f"{trick} adds features to a head, and this discriminator scores by reconstruction errors"
    )


def refuse_single_images(trick: str, config: BuildConfig, pack: int = 1) -> str | None:
    """Returns a reason if the discriminator gets one example at a time, or None.

    The discriminator scores `pack` images as one example.
    """
    batch = config.hyperparameters.batch
    if batch // pack > 1:
        return None
    packed = f" in packs of {pack}" if pack > 1 else ""
    return f"{trick} compares the examples of a batch, and a batch of {batch}{packed} has only one"


def refuse_batch_norm(penalty: str, config: BuildConfig) -> str | None:
    """Returns a reason if the discriminator has batch norm, or None."""
    if config.network.norm != "batch":
        return None
    return (
        f"{penalty} needs scores of one image each, and batch norm makes them depend on the batch"
    )


def refuse_unscored_labels(trick: str, config: BuildConfig) -> str | None:
    """Returns a reason if the discriminator does not score images with their labels, or None."""
    if TASKS.load(parse_spec(config.task).name).scores_labels:
        return None
    return f"{trick} needs a discriminator that scores images with labels, as in a conditional task"


def scored_shapes(config: BuildConfig) -> list[Shape]:
    """Returns the shapes that discriminators score, for each domain of the data."""
    task = TASKS.make(config.task)
    return [task.scored_examples(name, config)[1] for name in config.shapes]


def has_conditions_per_sample(config: BuildConfig) -> bool:
    """Returns whether each image of the task has its own label or code."""
    return bool(TASKS.load(parse_spec(config.task).name).conditions_each_sample)
