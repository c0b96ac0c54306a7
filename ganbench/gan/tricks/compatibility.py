"""What tricks ask of a game's structure: a head that learns to score more, fakes that are all asked for alike."""

from ganbench.gan.build_config import BuildConfig
from ganbench.gan.tasks import TASKS
from ganbench.registry import parse_spec


def refuse_energy(trick: str, config: BuildConfig) -> str | None:
    if not config.network.energy:
        return None
    return (
        f"{trick} adds features to a head, and this discriminator scores by reconstruction errors"
    )


def has_conditions_per_sample(config: BuildConfig) -> bool:
    """Does the game ask something of each image by itself: a label, or codes?"""
    return bool(TASKS.load(parse_spec(config.task).name).conditions_each_sample)
