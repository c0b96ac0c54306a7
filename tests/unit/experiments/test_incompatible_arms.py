"""Sentences on sets of tricks that a plan does not train."""

import pytest

from ganbench.experiments.incompatible_arms import describe_incompatible_arms


def make_plan(*arms: tuple[str, str, str]) -> dict:
    """Returns a plan of two seeds with these arms: loss, tricks and the reason against them."""
    facts = {"role": "trial", "data": "digits", "variant": "gan", "plan": ""}
    return {
        "trials": [
            facts | {"loss": loss, "tricks": tricks, "objection": reason, "seed": seed}
            for loss, tricks, reason in arms
            for seed in range(2)
        ]
    }


@pytest.mark.parametrize(
    ("arms", "sentences"),
    [
        ([("hinge", "none", ""), ("hinge", "r1", "")], []),
        (
            [("hinge", "r1", "batch norm"), ("minimax", "r1", "")],
            ["not applicable: r1, in 1 of 2 cells: batch norm"],
        ),
        (
            [("hinge", "r1", "batch norm"), ("minimax", "r1", "batch norm"), ("hinge", "ema", "")],
            ["not applicable: r1, in 2 of 2 cells: batch norm"],
        ),
        (
            [("hinge", "a", "x"), ("minimax", "a", "y"), ("hinge", "b", "z")],
            [
                "not applicable: a, in 1 of 2 cells: x",
                "not applicable: a, in 1 of 2 cells: y",
                "not applicable: b, in 1 of 1 cell: z",
            ],
        ),
    ],
)
def test_sentences_count_cells(arms, sentences):
    assert describe_incompatible_arms(make_plan(*arms)) == sentences


def test_references_are_no_arms():
    plan = make_plan(("hinge", "none", "batch norm"))
    reference = {**plan["trials"][0], "role": "untrained", "objection": ""}
    plan["trials"].append(reference)
    assert describe_incompatible_arms(plan) == ["not applicable: none, in 1 of 1 cell: batch norm"]
