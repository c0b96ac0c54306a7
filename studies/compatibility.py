"""Which trick works with which loss, variant and other trick: writes tables to tests/contract.

    PYTHONPATH=tests:tests/contract .venv/bin/python studies/compatibility.py

A row of `compatibility.csv` has a variant, a trick, the losses that are compatible with both, and the reasons
for the other losses. A row of `trick_pairs.csv` has a variant, one or two tricks, and the reason why they are
incompatible; pairs are left out that follow from their single tricks. A row of `single_tricks.csv` has a tiny
network, its data, a trick, and the losses that are compatible with all of them.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from helpers import BATCH, training_setup
from trick_cases import PAIR_SETUPS, SINGLE_SETUPS, SINGLE_TABLE, TRICK_SPECS
from variant_cases import home_data, variant_spec

from ganbench.data import DATA
from ganbench.gan.build import Incompatible, make_build_config, make_trick_list
from ganbench.gan.losses import LOSSES
from ganbench.gan.recipe import Recipe
from ganbench.gan.variants import VARIANTS, resolve_variant

TABLE = Path(__file__).parents[1] / "tests" / "contract" / "compatibility.csv"
COLUMNS = ("variant", "trick", "compatible losses", "reasons for the others")
PAIR_TABLE = TABLE.with_name("trick_pairs.csv")
PAIR_COLUMNS = ("variant", "trick", "other", "reason")
SINGLE_COLUMNS = ("variant", "data", "trick", "compatible losses")

Row = tuple[str, str, str, str]


def compatibility_rows(variant: str) -> Iterator[Row]:
    """Yields one row per trick."""
    data = DATA.make(home_data(variant))
    recipe = resolve_variant(variant_spec(variant))
    recipe = replace(recipe, hyperparameters=replace(recipe.hyperparameters, batch=BATCH))
    for name, trick in TRICK_SPECS.items():
        tricks = (*recipe.tricks, trick)
        reasons = {
            loss: reason_of(replace(recipe, loss=loss, tricks=tricks), data)
            for loss in LOSSES.entries
        }
        compatible = " ".join(loss for loss, reason in reasons.items() if not reason)
        yield variant, name, compatible, " | ".join(dict.fromkeys(filter(None, reasons.values())))


def pair_rows(variant: str, data: str, loss: str) -> Iterator[Row]:
    """Yields the tricks that are incompatible alone, and the pairs that do not follow from them.

    Such a pair is incompatible although each of both is not, or compatible although one is not: spectral norm
    replaces the batch norm that a penalty refuses.
    """

    def reason_against(*names: str) -> str:
        return reason_in_setup(variant, data, loss, *names)

    alone = {name: reason_against(name) for name in sorted(TRICK_SPECS)}
    yield from ((variant, name, "", reason) for name, reason in alone.items() if reason)
    for name, other in combinations(alone, 2):
        reason = reason_against(other, name)
        if bool(reason) is not bool(alone[name] or alone[other]):
            yield variant, name, other, reason


def single_rows(variant: str, data: str, losses: Iterable[str]) -> Iterator[Row]:
    """Yields the losses that are compatible with each trick in a tiny network."""
    for name in TRICK_SPECS:
        compatible = [loss for loss in losses if not reason_in_setup(variant, data, loss, name)]
        yield variant, data, name, " ".join(compatible)


def reason_in_setup(variant: str, data: str, loss: str, *tricks: str) -> str:
    """Returns the reason why a tiny network cannot be trained with tricks, or an empty string."""
    try:
        training_setup(variant, data, [TRICK_SPECS[name] for name in tricks], loss)
    except Incompatible as error:
        return str(error)
    return ""


def reason_of(recipe: Recipe, data: object) -> str:
    """Returns the reason of an incompatible recipe, or an empty string."""
    try:
        make_build_config(recipe, data, make_trick_list(recipe))
    except Incompatible as error:
        return str(error)
    return ""


def write_table(path: Path, rows: Iterable[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def main() -> None:
    write_table(TABLE, [COLUMNS, *(row for v in VARIANTS for row in compatibility_rows(v))])
    singles = [row for setup in SINGLE_SETUPS for row in single_rows(*setup)]
    write_table(SINGLE_TABLE, [SINGLE_COLUMNS, *singles])
    write_table(PAIR_TABLE, [PAIR_COLUMNS, *(row for s in PAIR_SETUPS for row in pair_rows(*s))])


if __name__ == "__main__":
    main()
