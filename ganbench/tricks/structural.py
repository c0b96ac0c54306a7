"""What every trick that adds features for the head asks: a head that learns to score them."""

from ..blueprint import Blueprint


def objection_to_energy(trick: str, blueprint: Blueprint) -> str | None:
    if not blueprint.network.energy:
        return None
    return (
        f"{trick} adds features to a head, and this discriminator scores by reconstruction errors"
    )
