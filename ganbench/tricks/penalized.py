"""What every gradient penalty asks of a discriminator: scores that depend on one image each."""

from ..blueprint import Blueprint


def objection_to_batch_norm(penalty: str, blueprint: Blueprint) -> str | None:
    if blueprint.network.norm != "batch":
        return None
    return (
        f"{penalty} needs scores of one image each, and batch norm makes them depend on the batch"
    )
