"""What every gradient penalty asks of a discriminator: scores that depend on one image each."""

from ..blueprint import Blueprint


def objection_to_batch_norm(penalty: str, blueprint: Blueprint) -> str | None:
    if blueprint.network.norm != "batch":
        return None
    return f"{penalty} needs scores that depend on one image each, and the discriminator has batch norm"
