"""Factors: what chains of tricks tell of each trick, and of each pair, in one cell (Fisher, 1935).

A chain is a run of a two-level design: each trick is in it or not. Least squares says with which
weights the arms' means add up to a trick's main effect, which is its mean over the backgrounds that
were tried. With tricks one at a time that is the arm less none; what was only tried jointly has none.
"""

import itertools
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

NONE = "none"
JOINED = " + "
Weights = dict[str, float]


def parts(arm: str) -> frozenset[str]:
    """The tricks of an arm by its name."""
    return frozenset() if arm == NONE else frozenset(arm.split(JOINED))


def tricks_in(arms: Sequence[str]) -> list[str]:
    """Single tricks, in the order in which they appear."""
    return list(dict.fromkeys(t for arm in arms if arm != NONE for t in arm.split(JOINED)))


def main_effect(arms: Sequence[str], trick: str) -> Weights | None:
    """Weights of the arms' means that add up to what a trick changes; None if they cannot tell."""
    return weights(tuple(arms), (trick,), 1)


def interaction(arms: Sequence[str], pair: tuple[str, str]) -> Weights | None:
    """Weights of what two tricks change together beyond what each changes by itself.

    None if the arms cannot tell, as where another pair has the same runs.
    """
    return weights(tuple(arms), pair, 2)


@lru_cache(maxsize=4096)
def weights(arms: tuple[str, ...], wanted: tuple[str, ...], order: int) -> Weights | None:
    """Those of a term in the model of all terms up to an order, if it can be estimated in it."""
    known = tricks_in(arms)
    if not set(wanted) <= set(known):
        return None
    terms = [t for size in range(order + 1) for t in itertools.combinations(known, size)]
    design = np.array([[set(term) <= parts(arm) for term in terms] for arm in arms], dtype=float)
    place = terms.index(tuple(t for t in known if t in wanted))
    found = np.linalg.pinv(design)[place]
    if not np.allclose(found @ design, np.eye(len(terms))[place], atol=1e-9):
        return None
    return {arm: float(w) for arm, w in zip(arms, found, strict=True) if abs(w) > 1e-12}
