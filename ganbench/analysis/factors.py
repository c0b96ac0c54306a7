"""Factors: effects of tricks and of pairs of tricks within a cell (Fisher, 1935).

A list of tricks is a run of a two-level design: each trick is present or absent. Least squares gives
the weights of the arms' means for the main effect of a trick: its mean over the backgrounds that were
tried. With one trick at a time, the main effect is the arm minus the arm without tricks. A trick that
was only tried jointly has no main effect.
"""

import itertools
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

NO_TRICK = "none"
OWN_HYPERPARAMETERS = "own hyperparameters"  # the shown name of a plan with an empty label
TRICK_SEPARATOR = " + "
WEIGHT_DIGITS = (
    12  # the last digits of a pseudoinverse differ by machine; weights are simple fractions
)
Weights = dict[str, float]
Term = tuple[str, ...]


def tricks_of_arm(arm: str) -> frozenset[str]:
    """Returns the set of tricks in the name of an arm."""
    return frozenset() if arm == NO_TRICK else frozenset(arm.split(TRICK_SEPARATOR))


def tricks_in(arms: Sequence[str]) -> list[str]:
    """Returns the single tricks of all arms, in order of appearance."""
    with_tricks = [arm for arm in arms if arm != NO_TRICK]
    return list(dict.fromkeys(trick for arm in with_tricks for trick in arm.split(TRICK_SEPARATOR)))


def main_effect_weights(
    arms: Sequence[str], trick: str, measured: Sequence[str] | None = None
) -> Weights | None:
    """Returns weights of the arms' means that estimate a trick's main effect, or None.

    If some arms were not measured, the weights of the measured arms must give the same sum for any
    interaction of two tricks. Otherwise an interaction could pass for a main effect.
    """
    full_weights = average_over_backgrounds(tuple(arms), trick)
    if full_weights is None or measured is None or set(full_weights) <= set(measured):
        return full_weights
    return carry_to_measured(tuple(full_weights.items()), tuple(measured))


def interaction_weights(arms: Sequence[str], pair: tuple[str, str]) -> Weights | None:
    """Returns weights for the joint effect of two tricks, minus the effect of each alone.

    Returns None if the arms cannot estimate it, for example if another pair has the same runs.
    """
    return term_weights(tuple(arms), pair, 2)


@lru_cache(maxsize=4096)
def average_over_backgrounds(arms: tuple[str, ...], trick: str) -> Weights | None:
    """Returns the weights of a trick's effect, averaged over its backgrounds.

    The backgrounds have or lack each other trick that has an estimable interaction with this trick. If the
    arms do not suffice, as in a fractional design, the weights are those of a model without interactions.
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
    """Returns the weight of a term in a trick's mean over backgrounds.

    Half of the backgrounds contain the other trick of a pair, so an interaction has weight 0.5.
    """
    if term == {trick}:
        return 1.0
    return 0.5 if term in pairs else 0.0


@lru_cache(maxsize=4096)
def carry_to_measured(
    full_weights: tuple[tuple[str, float], ...], measured: tuple[str, ...]
) -> Weights | None:
    """Returns weights of the measured arms that give the same sum as `full_weights`.

    The sums are equal for any effects of pairs. Returns None if no such weights exist.
    """
    arms, factors = zip(*full_weights, strict=True)
    terms, tricks = estimable_terms(arms, 2), set(tricks_in(arms))
    comparable = [arm for arm in measured if tricks_of_arm(arm) <= tricks]
    if not comparable:
        return None
    wanted = np.array(factors) @ design_matrix(arms, terms)
    return solve_weights(comparable, terms, wanted)


@lru_cache(maxsize=4096)
def term_weights(arms: tuple[str, ...], wanted: tuple[str, ...], order: int) -> Weights | None:
    """Returns the weights of a term in the model of all terms up to an order.

    Returns None if that model cannot estimate the term.
    """
    terms = estimable_terms(arms, order)
    is_wanted = [set(term) == set(wanted) for term in terms]
    if not any(is_wanted):
        return None
    return solve_weights(arms, terms, np.array(is_wanted, dtype=float))


def estimable_terms(arms: Sequence[str], order: int) -> list[Term]:
    """Returns the model's terms, up to an interaction order, that occur in some arm."""
    tricks, arm_tricks = tricks_in(arms), [tricks_of_arm(arm) for arm in arms]
    sizes = range(order + 1)
    terms = [term for size in sizes for term in itertools.combinations(tricks, size)]
    return [term for term in terms if any(set(term) <= arm for arm in arm_tricks)]


def design_matrix(arms: Sequence[str], terms: Sequence[Term]) -> np.ndarray:
    return np.array(
        [[set(term) <= tricks_of_arm(arm) for term in terms] for arm in arms], dtype=float
    )


def solve_weights(arms: Sequence[str], terms: Sequence[Term], wanted: np.ndarray) -> Weights | None:
    """Returns the minimum-norm weights of arms that give this sum of terms.

    Returns None if no weights do.
    """
    model = design_matrix(arms, terms)
    solution = (wanted @ np.linalg.pinv(model)).round(WEIGHT_DIGITS)
    if not np.allclose(solution @ model, wanted, atol=1e-9):
        return None
    return {arm: float(weight) for arm, weight in zip(arms, solution, strict=True) if weight}
