"""Fractions of two-level designs (Box & Hunter, 1961): many tricks in few chains, and each told.

With resolution IV a trick's main effect stands apart from every effect of two tricks, while some of
these stand for each other; `aliases` tells which.
"""

import itertools
from collections.abc import Iterable
from functools import cache

MIN_FRACTION_TRICKS = 4  # tricks of which a fraction is worth its aliases
MEAN_TERM = "the mean"


def fractional_chains(of: list[str]) -> list[tuple[str, ...]]:
    """The chains of the smallest regular fraction of resolution IV or higher, the empty one first.

    Each trick is in half of the chains, each two in a quarter: 4 tricks take 8 chains, 5 to 8 take
    16, 9 to 16 take 32. Where tricks exclude each other, or a variant, the chains that have no
    meaning are not trained: then the fraction loses its balance, and effects are read from what is
    left of it.
    Raises ValueError for fewer than 4 tricks.
    """
    if len(of) < MIN_FRACTION_TRICKS:
        raise ValueError(
            f"a fraction needs at least {MIN_FRACTION_TRICKS} tricks; "
            f"full_factorial has only {2 ** len(of)} chains"
        )
    return [tuple(itertools.compress(sorted(of), run)) for run in fraction_runs(len(of))]


@cache
def fraction_runs(count: int) -> tuple[tuple[bool, ...], ...]:
    """Which of so many tricks are in each chain; of equal sizes the highest resolution."""
    from pydoe import fracfact_by_res  # of SciPy's weight: lists and help must not wait for it

    design = min((fracfact_by_res(count, resolution) for resolution in (5, 4)), key=len)
    principal = design * -design[0]  # with these signs the first run has no trick
    return tuple(tuple(bool(level > 0) for level in run) for run in principal)


def aliased_terms(chains: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Groups of effects that these chains cannot tell from each other: `("a × b", "c × d")`.

    Effects are of single tricks (`a`) and of two (`a × b`), and `the mean` of all chains is one
    more; those of a group have the same levels in all chains, or the opposite ones. Any chains will
    do, but effects that are mixed in part, as where a chain is missing, are not told.
    """
    arms = [frozenset(chain) for chain in chains]
    groups: dict[tuple[int, ...], list[str]] = {}
    for term in low_order_terms(sorted(frozenset().union(*arms))):
        groups.setdefault(term_levels(arms, term), []).append(" × ".join(term) or MEAN_TERM)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def low_order_terms(tricks: list[str]) -> Iterable[tuple[str, ...]]:
    """The mean, each trick, each two of them."""
    sizes = (itertools.combinations(tricks, size) for size in range(3))
    return itertools.chain.from_iterable(sizes)


def term_levels(arms: list[frozenset[str]], term: tuple[str, ...]) -> tuple[int, ...]:
    """A term's level in each chain, 1 or -1, with the sign at which the first is 1."""
    signs = [(-1) ** len(set(term) - arm) for arm in arms]
    return tuple(level * signs[0] for level in signs)
