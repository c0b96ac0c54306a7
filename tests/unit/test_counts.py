"""Counts in sentences have the right number of their noun."""

import re
from pathlib import Path

import pytest

import ganbench
from ganbench.cli.plan import plan_sentence
from ganbench.counts import count_of, format_age, format_signed


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 cells"), (1, "1 cell"), (2, "2 cells"), (2000, "2,000 cells")]
)
def test_noun_agrees_with_count(count, text):
    assert count_of(count, "cell") == text


def test_irregular_plural_is_given():
    assert count_of(2, "person", "people") == "2 people"
    assert count_of(1, "person", "people") == "1 person"


def test_plan_of_one_cell_is_singular():
    content = {
        "cells": ["a"],
        "seeds": [0],
        "trials": 2,
        "finished": 0,
        "device": "cpu",
        "profile": "cpu",
    }
    sentence = plan_sentence({**content, "workers": 1}, 60.0)
    assert sentence == (
        "1 cell and 1 seed, with untrained references 2 trials; estimated time about 1:00 "
        "with 1 worker on cpu, profile cpu."
    )


def test_no_plural_in_parentheses():
    root = Path(ganbench.__file__).parent
    found = [
        p
        for p in root.rglob("*.py")
        if re.search(r"(worker|cell|trial|seed|image)\(s\)", p.read_text("utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 seconds"), (59, "59 seconds"), (60, "1 minute"), (7300, "2 hours"), (9e4, "1 day")],
)
def test_age_has_one_unit(seconds, text):
    assert format_age(seconds) == text


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (-0.0711, ".3g", "−0.0711"),
        (-3e-7, ".2g", "−3e−07"),
        (-1234, ",.0f", "−1,234"),
        (2, "+g", "+2"),
    ],
)
def test_signed_numbers_have_a_minus(value, form, text):
    assert format_signed(value, form) == text
