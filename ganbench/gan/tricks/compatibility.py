"""What tricks ask of a game's structure: a head that learns to score more, fakes that are all asked for alike."""

from ganbench.gan.build_config import Blueprint
from ganbench.gan.tasks import GAMES
from ganbench.registry import parse


def objection_to_energy(trick: str, blueprint: Blueprint) -> str | None:
    if not blueprint.network.energy:
        return None
    return (
        f"{trick} adds features to a head, and this discriminator scores by reconstruction errors"
    )


def asks_of_each(blueprint: Blueprint) -> bool:
    """Does the game ask something of each image by itself: a label, or codes?"""
    return bool(GAMES.load(parse(blueprint.game).name).asks_of_each)
