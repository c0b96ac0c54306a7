"""Factors: the effect of each trick, and of each pair, from lists of tricks in a cell (Fisher, 1935).

A list of tricks is a run of a two-level design: each trick is in it or not. Least squares gives the
weights with which the arms' means add up to a trick's main effect, which is its mean over the
backgrounds that were tried. With tricks one at a time that is the arm less none; a trick that was only
tried jointly has no main effect.
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
    with_tricks = [arm for arm in arms if arm != NO_TRICK]
    return list(dict.fromkeys(trick for arm in with_tricks for trick in arm.split(TRICK_SEPARATOR)))


def main_effect_weights(
    arms: Sequence[str], trick: str, measured: Sequence[str] | None = None
) -> Weights | None:
    """Weights of the arms' means that add up to what a trick changes; None if no weights do.

    Where not all arms were measured, those that were must add up to the same whichever two tricks
    interact: or else an interaction would pass for a change of the trick where an arm is missing.
    """
    full_weights = average_over_backgrounds(tuple(arms), trick)
    if full_weights is None or measured is None or set(full_weights) <= set(measured):
        return full_weights
    return carry_to_measured(tuple(full_weights.items()), tuple(measured))


def interaction_weights(arms: Sequence[str], pair: tuple[str, str]) -> Weights | None:
    """Weights of what two tricks change together beyond what each changes by itself.

    None if the arms cannot estimate it, as where another pair has the same runs.
    """
    return term_weights(tuple(arms), pair, 2)


@lru_cache(maxsize=4096)
def average_over_backgrounds(arms: tuple[str, ...], trick: str) -> Weights | None:
    """What a trick changes, over having and not having each trick whose interaction can be estimated.

    Where the arms do not suffice for that, as in a fraction of a design, the weights are those of a
    model without interactions.
    """
    terms, tricks = estimable_terms(arms, 2), tricks_in(arms)
    if trick in tricks:
        others = [other for other in tricks if other != trick]
        pairs = [{trick, other} for other in others if interaction_weights(arms, (trick, other))]
        wanted = np.array([share_in_main_effect(set(term), trick, pairs) for term in terms])
        weights = solve_weights(arms, terms, wanted)
        if weights:
            return weights
    return term_weights(arms, (trick,), 1)


def share_in_main_effect(term: set[str], trick: str, pairs: Sequence[set[str]]) -> float:
    """A term's part in a trick's mean over backgrounds, half of which have the pair's other trick."""
    if term == {trick}:
        return 1.0
    return 0.5 if term in pairs else 0.0


@lru_cache(maxsize=4096)
def carry_to_measured(
    full_weights: tuple[tuple[str, float], ...], measured: tuple[str, ...]
) -> Weights | None:
    """Weights of the measured arms that come to what these weights do, for any effects of pairs."""
    arms, factors = zip(*full_weights, strict=True)
    terms, tricks = estimable_terms(arms, 2), set(tricks_in(arms))
    comparable = [arm for arm in measured if tricks_of_arm(arm) <= tricks]
    if not comparable:
        return None
    wanted = np.array(factors) @ design_matrix(arms, terms)
    return solve_weights(comparable, terms, wanted)


@lru_cache(maxsize=4096)
def term_weights(arms: tuple[str, ...], wanted: tuple[str, ...], order: int) -> Weights | None:
    """Those of a term in the model of all terms up to an order, if it can be estimated in it."""
    terms = estimable_terms(arms, order)
    is_wanted = [set(term) == set(wanted) for term in terms]
    if not any(is_wanted):
        return None
    return solve_weights(arms, terms, np.array(is_wanted, dtype=float))


def estimable_terms(arms: Sequence[str], order: int) -> list[Term]:
    """The terms of a model with all interactions up to an order that some arm has."""
    tricks, arm_tricks = tricks_in(arms), [tricks_of_arm(arm) for arm in arms]
    sizes = range(order + 1)
    terms = [term for size in sizes for term in itertools.combinations(tricks, size)]
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
    return {arm: float(weight) for arm, weight in zip(arms, solution, strict=True) if weight}
