"""Which trick works with which loss in which variant: writes tests/contract/compatibility.csv.

    PYTHONPATH=tests:tests/contract .venv/bin/python studies/compatibility.py

A row has a variant, a trick, the losses that are compatible with both, and the reasons for the other losses.
"""

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from helpers import BATCH
from trick_cases import TRICK_SPECS
from variant_cases import home_data

from ganbench.data import DATA
from ganbench.gan.build import Incompatible, make_build_config, make_trick_list
from ganbench.gan.losses import LOSSES
from ganbench.gan.recipe import Recipe
from ganbench.gan.variants import VARIANTS, resolve_variant

TABLE = Path(__file__).parents[1] / "tests" / "contract" / "compatibility.csv"
COLUMNS = ("variant", "trick", "compatible losses", "reasons for the others")

Row = tuple[str, str, str, str]


def compatibility_rows(variant: str) -> Iterator[Row]:
    """Yields one row per trick."""
    data = DATA.make(home_data(variant))
    recipe = resolve_variant(f"{variant}(width=4)")
    recipe = replace(recipe, hyperparameters=replace(recipe.hyperparameters, batch=BATCH))
    for name, trick in TRICK_SPECS.items():
        tricks = (*recipe.tricks, trick)
        reasons = {
            loss: reason_of(replace(recipe, loss=loss, tricks=tricks), data)
            for loss in LOSSES.entries
        }
        compatible = " ".join(loss for loss, reason in reasons.items() if not reason)
        yield variant, name, compatible, " | ".join(dict.fromkeys(filter(None, reasons.values())))


def reason_of(recipe: Recipe, data: object) -> str:
    """Returns the reason of an incompatible recipe, or an empty string."""
    try:
        make_build_config(recipe, data, make_trick_list(recipe))
    except Incompatible as error:
        return str(error)
    return ""


def main() -> None:
    rows = [row for variant in VARIANTS for row in compatibility_rows(variant)]
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])


if __name__ == "__main__":
    main()
