"""Designs: what a fraction of a two-level design promises, checked from its chains alone."""

import itertools
import math
import subprocess
import sys

import pytest

from ganbench.experiments.factorial import aliased_terms, fractional_chains
from ganbench.experiments.suite import SuiteError, expand_cells
from ganbench.experiments.suite_loader import load_suite

TRICKS = [f"trick{letter}" for letter in "abcdefghijklmnopq"]
SIZES = {4: 8, 5: 16, 6: 16, 7: 16, 8: 16, 9: 32, 16: 32, 17: 64}
SUITE = """\
schema = 1
name = "tiny"
data = ["ring"]
metrics = ["fid"]
[[grid]]
variants = ["gan"]
losses = ["hinge"]
[grid.tricks]
design = "fractional_factorial"
of = ["ema", "ttur(ratio=2)", "instance_noise", "r1(weight=3)"]
[budget.cpu]
images = 640
"""


def columns(chains, tricks):
    """Each trick's levels over the chains, 1 where it is in."""
    return {trick: [1 if trick in chain else -1 for chain in chains] for trick in tricks}


def words(chains, tricks, length: int):
    """Sets of so many tricks whose levels multiply to the same in all chains."""
    levels = columns(chains, tricks)
    for word in itertools.combinations(tricks, length):
        runs = zip(*(levels[trick] for trick in word), strict=True)
        if len({math.prod(run) for run in runs}) == 1:
            yield word


# Fractions


@pytest.fixture(scope="module", params=SIZES, ids=lambda count: f"{count} tricks")
def found(request):
    of = TRICKS[: request.param]
    return of, fractional_chains(of)


def test_a_fraction_is_the_smallest_of_resolution_four(found):
    of, chains = found
    assert len(set(chains)) == len(chains) == SIZES[len(of)]


def test_none_comes_first(found):
    assert found[1][0] == ()


def test_each_trick_is_in_half_of_the_chains_and_each_two_in_a_quarter(found):
    of, chains = found
    shares = {1: 2, 2: 4}
    for size, share in shares.items():
        for some in itertools.combinations(of, size):
            assert sum(set(some) <= set(chain) for chain in chains) == len(chains) / share


def test_no_word_is_shorter_than_four(found):
    of, chains = found
    assert not [word for length in (1, 2, 3) for word in words(chains, of, length)]


def test_no_main_effect_stands_for_an_effect_of_two(found):
    groups = aliased_terms(found[1])
    assert not [group for group in groups if any(" × " not in term for term in group)]


def test_aliases_are_those_that_words_of_four_make(found):
    of, chains = found
    told = {frozenset(pair) for g in aliased_terms(chains) for pair in itertools.combinations(g, 2)}
    expected = {
        frozenset((" × ".join(half), " × ".join(t for t in word if t not in half)))
        for word in words(chains, of, 4)
        for half in itertools.combinations(word, 2)
    }
    assert told == expected


def test_five_tricks_take_the_fraction_without_aliases():
    assert (
        aliased_terms(fractional_chains(TRICKS[:5])) == []
    )  # of resolution V, and as small as any of IV


def test_the_chains_of_four_tricks_are_those_of_the_textbook():
    a, b, c, d = TRICKS[:4]
    pairs = [(c, d), (b, d), (b, c), (a, d), (a, c), (a, b)]
    assert fractional_chains([d, b, a, c]) == [(), *pairs, (a, b, c, d)]


def test_the_order_of_tricks_makes_no_other_chains(found):
    of, chains = found
    assert fractional_chains(of[::-1]) == chains


@pytest.mark.parametrize("count", [0, 2, 3])
def test_fewer_than_four_tricks_are_better_crossed(count):
    told = f"a fraction needs at least 4 tricks; full_factorial has only {2**count} chains"
    with pytest.raises(ValueError, match=told):
        fractional_chains(TRICKS[:count])


# Aliases


def test_half_of_four_tricks_cannot_tell_the_halves_of_pairs():
    assert aliased_terms(fractional_chains(list("abcd"))) == [
        ("a × b", "c × d"),
        ("a × c", "b × d"),
        ("a × d", "b × c"),
    ]


@pytest.mark.parametrize(
    ("chains", "expected"),
    [
        ([], []),
        ([()], []),
        ([(), ("a",), ("b",), ("a", "b")], []),
        ([(), ("a", "b")], [("the mean", "a × b"), ("a", "b")]),
        ([("a",), ("a", "b")], [("the mean", "a"), ("b", "a × b")]),
        (
            [(), ("a", "b"), ("a", "c"), ("b", "c")],
            [("a", "b × c"), ("b", "a × c"), ("c", "a × b")],
        ),
    ],
    ids=["nothing", "none", "full", "always together", "always there", "resolution three"],
)
def test_aliases_of_any_chains(chains, expected):
    assert aliased_terms(chains) == expected


# In suites


@pytest.fixture
def path(tmp_path):
    (tmp_path / "tiny.toml").write_text(SUITE)
    return tmp_path / "tiny.toml"


def test_a_suite_trains_the_chains_of_its_fraction(path):
    kept, excluded = expand_cells(load_suite(path))
    of = ["ema", "instance_noise", "r1(weight=3)", "ttur(ratio=2)"]
    assert [cell.tricks for cell in kept] == fractional_chains(of)
    assert len(kept) == 8
    assert not excluded


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("grid.0.tricks.design=fractional_factoral", "'full_factorial' or 'fractional_factorial'"),
        ('grid.0.tricks.of=["ema", "r1"]', "at least 4 tricks; full_factorial has only 4 chains"),
        ('grid.0.tricks.of=["ema", "r1", "r2", "r1(weight=3)"]', "r1 is twice in one chain"),
        ("grid.0.tricks.of=[]", "the design fractional_factorial needs `of`, a list of tricks"),
    ],
)
def test_a_wrong_fraction_is_told_in_its_place(path, override, told):
    with pytest.raises(SuiteError) as error:
        load_suite(path, [override])
    (line,) = str(error.value).splitlines()
    assert "grid[0].tricks" in line
    assert told in line


def test_designs_are_known_without_numpy():
    code = "import sys, ganbench.experiments.factorial; print({'numpy', 'scipy', 'pydoe'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"
