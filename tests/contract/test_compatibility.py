"""The committed matrix of variants, losses and tricks is the one that the code gives."""

import csv

import pytest
from compatibility import COLUMNS, TABLE, compatibility_rows
from trick_cases import TRICK_SPECS

from ganbench.gan.losses import LOSSES
from ganbench.gan.variants import VARIANTS, resolve_variant
from ganbench.registry import parse_spec

HEADER, *ROWS = csv.reader(TABLE.open(encoding="utf-8"))


def test_matrix_has_every_variant_and_trick():
    assert tuple(HEADER) == COLUMNS
    assert [tuple(row[:2]) for row in ROWS] == [(v, t) for v in VARIANTS for t in TRICK_SPECS]


@pytest.mark.parametrize("variant", VARIANTS)
def test_matrix_is_that_of_the_code(variant):
    assert [tuple(row) for row in ROWS if row[0] == variant] == list(compatibility_rows(variant))


def test_incompatible_losses_have_a_reason():
    for _, _, losses, reasons in ROWS:
        assert bool(reasons) is (len(losses.split()) < len(LOSSES.entries))
        assert all(len(reason.split()) > 3 for reason in filter(None, reasons.split(" | ")))


def test_every_trick_and_loss_is_compatible_somewhere():
    own = {parse_spec(t).name for v in VARIANTS for t in resolve_variant(v).tricks}
    assert {trick for _, trick, losses, _ in ROWS if losses} | own == set(TRICK_SPECS)
    assert {loss for _, _, losses, _ in ROWS for loss in losses.split()} == set(LOSSES.entries)
