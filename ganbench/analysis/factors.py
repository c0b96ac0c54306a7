"""Factors: what chains of tricks tell of each trick, and of each pair, in one cell (Fisher, 1935).

A chain is a run of a two-level design: each trick is in it or not. Least squares says with which
weights the arms' means add up to a trick's main effect, which is its mean over the backgrounds that
were tried. With tricks one at a time that is the arm less none; what was only tried jointly has none.
"""

import itertools
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

NO_TRICK = "none"
TRICK_SEPARATOR = " + "
WEIGHT_DIGITS = (
    12  # of a weight: a pseudoinverse's last ones are the machine's, and weights are simple shares
)
Weights = dict[str, float]
Term = tuple[str, ...]


def tricks_of_arm(arm: str) -> frozenset[str]:
    """The tricks of an arm by its name."""
    return frozenset() if arm == NO_TRICK else frozenset(arm.split(TRICK_SEPARATOR))


def tricks_in(arms: Sequence[str]) -> list[str]:
    """Single tricks, in the order in which they appear."""
    return list(
        dict.fromkeys(t for arm in arms if arm != NO_TRICK for t in arm.split(TRICK_SEPARATOR))
    )


def main_effect_weights(
    arms: Sequence[str], trick: str, measured: Sequence[str] | None = None
) -> Weights | None:
    """Weights of the arms' means that add up to what a trick changes; None if they cannot tell.

    Where not all arms were measured, those that were must add up to the same whichever two tricks
    interact: or else an interaction would pass for a change of the trick where an arm is missing.
    """
    full_weights = average_over_backgrounds(tuple(arms), trick)
    if full_weights is None or measured is None or set(full_weights) <= set(measured):
        return full_weights
    return carry_to_measured(tuple(full_weights.items()), tuple(measured))


def interaction_weights(arms: Sequence[str], pair: tuple[str, str]) -> Weights | None:
    """Weights of what two tricks change together beyond what each changes by itself.

    None if the arms cannot tell, as where another pair has the same runs.
    """
    return term_weights(tuple(arms), pair, 2)


@lru_cache(maxsize=4096)
def average_over_backgrounds(arms: tuple[str, ...], trick: str) -> Weights | None:
    """What a trick changes, over having and not having each trick whose interaction the arms tell.

    Where that cannot be told, as in a fraction of a design, of a model without interactions.
    """
    terms, tricks = estimable_terms(arms, 2), tricks_in(arms)
    pairs = [{trick, t} for t in tricks if t != trick and interaction_weights(arms, (trick, t))]
    wanted = [1.0 if set(t) == {trick} else 0.5 if set(t) in pairs else 0.0 for t in terms]
    weights = solve_weights(arms, terms, np.array(wanted)) if trick in tricks else None
    return weights or term_weights(arms, (trick,), 1)


@lru_cache(maxsize=4096)
def carry_to_measured(
    whole: tuple[tuple[str, float], ...], measured: tuple[str, ...]
) -> Weights | None:
    """Weights of the measured arms that come to what these weights do, for any effects of pairs."""
    arms, factors = zip(*whole, strict=True)
    terms, tricks = estimable_terms(arms, 2), set(tricks_in(arms))
    like = [arm for arm in measured if tricks_of_arm(arm) <= tricks]
    return (
        solve_weights(like, terms, np.array(factors) @ design_matrix(arms, terms)) if like else None
    )


@lru_cache(maxsize=4096)
def term_weights(arms: tuple[str, ...], wanted: tuple[str, ...], order: int) -> Weights | None:
    """Those of a term in the model of all terms up to an order, if it can be estimated in it."""
    terms = estimable_terms(arms, order)
    places = [set(term) == set(wanted) for term in terms]
    return solve_weights(arms, terms, np.array(places, dtype=float)) if any(places) else None


def estimable_terms(arms: Sequence[str], order: int) -> list[Term]:
    """Of a model with all interactions up to an order that some arm has."""
    tricks, arm_tricks = tricks_in(arms), [tricks_of_arm(arm) for arm in arms]
    terms = [t for size in range(order + 1) for t in itertools.combinations(tricks, size)]
    return [term for term in terms if any(set(term) <= arm for arm in arm_tricks)]


def design_matrix(arms: Sequence[str], terms: Sequence[Term]) -> np.ndarray:
    return np.array(
        [[set(term) <= tricks_of_arm(arm) for term in terms] for arm in arms], dtype=float
    )


def solve_weights(arms: Sequence[str], terms: Sequence[Term], wanted: np.ndarray) -> Weights | None:
    """The least weights of arms that add up to this sum of terms; None if no weights do."""
    model = design_matrix(arms, terms)
    solution = (wanted @ np.linalg.pinv(model)).round(WEIGHT_DIGITS)
    if not np.allclose(solution @ model, wanted, atol=1e-9):
        return None
    return {arm: float(w) for arm, w in zip(arms, solution, strict=True) if w}
