"""Why tricks are not applicable: energies, batch norm, fakes that are not all asked for alike."""

from ganbench.gan.build_config import BuildConfig
from ganbench.gan.tasks import TASKS
from ganbench.registry import parse_spec


def refuse_energy(trick: str, config: BuildConfig) -> str | None:
    if not config.network.energy:
        return None
    return (
        f"{trick} adds features to a head, and this discriminator scores by reconstruction errors"
    )


def refuse_batch_norm(penalty: str, config: BuildConfig) -> str | None:
    if config.network.norm != "batch":
        return None
    return (
        f"{penalty} needs scores of one image each, and batch norm makes them depend on the batch"
    )


def has_conditions_per_sample(config: BuildConfig) -> bool:
    """Does the task ask something of each image by itself: a label, or codes?"""
    return bool(TASKS.load(parse_spec(config.task).name).conditions_each_sample)
