"""Reasons of incompatibility that tricks share: energies, batch norm, conditions."""

from ganbench.gan.build_config import BuildConfig
from ganbench.gan.tasks import TASKS
from ganbench.registry import parse_spec


def refuse_energy(trick: str, config: BuildConfig) -> str | None:
    """Returns a reason if scores are reconstruction errors, or None."""
    if not config.network.energy:
        return None
    return (
        f"{trick} adds features to a head, and this discriminator scores by reconstruction errors"
    )


def refuse_batch_norm(penalty: str, config: BuildConfig) -> str | None:
    """Returns a reason if the discriminator has batch norm, or None."""
    if config.network.norm != "batch":
        return None
    return (
        f"{penalty} needs scores of one image each, and batch norm makes them depend on the batch"
    )


def has_conditions_per_sample(config: BuildConfig) -> bool:
    """Returns whether each image of the task has its own label or code."""
    return bool(TASKS.load(parse_spec(config.task).name).conditions_each_sample)
