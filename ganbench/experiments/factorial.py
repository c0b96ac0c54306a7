"""Designs of tricks; fractional two-level ones (Box & Hunter, 1961) have few chains.

In a design of resolution IV, no main effect of a trick is aliased with an effect of two tricks. Some
effects of two tricks are aliased with each other; `aliased_terms` lists them.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

MIN_FRACTION_TRICKS = 4  # tricks; with fewer, a full factorial is cheap enough
MEAN_TERM = "the mean"


def cross_axes(axes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns all combinations of axes; an axis is a list, or the single value of a key."""
    values = [value if isinstance(value, list) else [value] for value in axes.values()]
    return [dict(zip(axes, chosen, strict=True)) for chosen in itertools.product(*values)]


def list_chains(
    design: str | None, of: Sequence[str], chains: Iterable[Sequence[str]]
) -> list[tuple[str, ...]]:
    """Returns the chains of a design or, without one, the given chains, each sorted."""
    if design == "one_at_a_time":
        return [(), *((trick,) for trick in of)]
    if design == "full_factorial":
        sizes = range(len(of) + 1)
        return [chain for size in sizes for chain in itertools.combinations(sorted(of), size)]
    if design == "fractional_factorial":
        return fractional_chains(of)
    return [tuple(sorted(chain)) for chain in chains]


def fractional_chains(of: Sequence[str]) -> list[tuple[str, ...]]:
    """Returns the chains of the smallest regular fraction of resolution IV or higher.

    The empty chain comes first. Each trick is in half of the chains, and each pair of tricks in a
    quarter of them. 4 tricks take 8 chains, 5 to 8 take 16, and 9 to 16 take 32. Incompatible chains
    are not trained. The fraction is then unbalanced, and effects are estimated from the other chains.
    Raises ValueError for fewer than 4 tricks.
    """
    count_fractional_chains(of)
    return [tuple(itertools.compress(sorted(of), run)) for run in fraction_runs(len(of))]


def count_fractional_chains(of: Sequence[str]) -> int:
    """Returns the number of chains of a fraction; raises ValueError for fewer than 4 tricks."""
    if len(of) < MIN_FRACTION_TRICKS:
        raise ValueError(
            f"a fraction needs at least {MIN_FRACTION_TRICKS} tricks; "
            f"full_factorial has only {2 ** len(of)} chains"
        )
    return len(fraction_runs(len(of)))


@cache
def fraction_runs(count: int) -> tuple[tuple[bool, ...], ...]:
    """Returns a flag per trick for each chain; prefers resolution V if equally large."""
    from pydoe import fracfact_by_res  # imports SciPy: too slow for commands that only list or help

    design = min((fracfact_by_res(count, resolution) for resolution in (5, 4)), key=len)
    principal = design * -design[0]  # these signs make the first run the one without tricks
    return tuple(tuple(bool(level > 0) for level in run) for run in principal)


def aliased_terms(chains: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Returns groups of effects that these chains cannot separate: `("a × b", "c × d")`.

    The effects are those of single tricks (`a`), those of two tricks (`a × b`), and `the mean` of all
    chains. The effects of a group have the same levels in all chains, or opposite ones. The chains may
    be any set of chains. Effects that are only partly confounded, as after the loss of a chain, are
    not listed.
    """
    arms = [frozenset(chain) for chain in chains]
    groups: dict[tuple[int, ...], list[str]] = {}
    for term in low_order_terms(sorted(frozenset().union(*arms))):
        groups.setdefault(term_levels(arms, term), []).append(" × ".join(term) or MEAN_TERM)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def low_order_terms(tricks: list[str]) -> Iterable[tuple[str, ...]]:
    """Yields the mean (no trick), each single trick and each pair of tricks."""
    sizes = (itertools.combinations(tricks, size) for size in range(3))
    return itertools.chain.from_iterable(sizes)


def term_levels(arms: list[frozenset[str]], term: tuple[str, ...]) -> tuple[int, ...]:
    """Returns a term's level in each chain, 1 or -1, signed so that the first level is 1."""
    signs = [(-1) ** len(set(term) - arm) for arm in arms]
    return tuple(level * signs[0] for level in signs)
