"""Chooses the cases of a test that `make test` runs; `make test-all` runs all of them."""

from collections.abc import Iterable

import pytest


def first_cases(count: int, cases: Iterable) -> list:
    """Marks the cases after the first ones as slow."""
    return [
        case if number < count else pytest.param(case, marks=pytest.mark.slow)
        for number, case in enumerate(cases)
    ]
