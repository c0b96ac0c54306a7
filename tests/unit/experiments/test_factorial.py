"""Fractional factorial designs: size, balance, resolution and aliases of their chains."""

import itertools
import math
import subprocess
import sys

import pytest

from ganbench.experiments.cells import expand_cells
from ganbench.experiments.factorial import aliased_terms, fractional_chains
from ganbench.experiments.suite_errors import SuiteError
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


def trick_levels(chains, tricks):
    """The levels of each trick over the chains: 1 in chains that contain it, else -1."""
    return {trick: [1 if trick in chain else -1 for chain in chains] for trick in tricks}


def defining_words(chains, tricks, length: int):
    """Yields sets of `length` tricks with a constant product of levels over the chains."""
    levels = trick_levels(chains, tricks)
    for word in itertools.combinations(tricks, length):
        runs = zip(*(levels[trick] for trick in word), strict=True)
        if len({math.prod(run) for run in runs}) == 1:
            yield word


# Fractions


@pytest.fixture(scope="module", params=SIZES, ids=lambda count: f"{count} tricks")
def fraction(request):
    of = TRICKS[: request.param]
    return of, fractional_chains(of)


def test_fraction_has_fewest_chains(fraction):
    of, chains = fraction
    assert len(set(chains)) == len(chains) == SIZES[len(of)]


def test_empty_chain_comes_first(fraction):
    assert fraction[1][0] == ()


def test_tricks_and_pairs_are_balanced(fraction):
    of, chains = fraction
    shares = {1: 2, 2: 4}
    for size, share in shares.items():
        for subset in itertools.combinations(of, size):
            assert sum(set(subset) <= set(chain) for chain in chains) == len(chains) / share


def test_no_defining_word_is_shorter_than_four(fraction):
    of, chains = fraction
    assert not [word for length in (1, 2, 3) for word in defining_words(chains, of, length)]


def test_main_effects_have_no_pairwise_alias(fraction):
    groups = aliased_terms(fraction[1])
    assert not [group for group in groups if any(" × " not in term for term in group)]


def test_aliases_equal_those_of_four_letter_words(fraction):
    of, chains = fraction
    pairs = {
        frozenset(pair) for g in aliased_terms(chains) for pair in itertools.combinations(g, 2)
    }
    expected = {
        frozenset((" × ".join(half), " × ".join(t for t in word if t not in half)))
        for word in defining_words(chains, of, 4)
        for half in itertools.combinations(word, 2)
    }
    assert pairs == expected


def test_fraction_of_five_tricks_has_no_aliases():
    assert (
        aliased_terms(fractional_chains(TRICKS[:5])) == []
    )  # resolution V, with no more chains than resolution IV


def test_fraction_of_four_tricks_equals_the_textbook():
    a, b, c, d = TRICKS[:4]
    pairs = [(c, d), (b, d), (b, c), (a, d), (a, c), (a, b)]
    assert fractional_chains([d, b, a, c]) == [(), *pairs, (a, b, c, d)]


def test_chains_do_not_depend_on_trick_order(fraction):
    of, chains = fraction
    assert fractional_chains(of[::-1]) == chains


@pytest.mark.parametrize("count", [0, 2, 3])
def test_fewer_than_four_tricks_are_refused(count):
    message = f"a fraction needs at least 4 tricks; full_factorial has only {2**count} chains"
    with pytest.raises(ValueError, match=message):
        fractional_chains(TRICKS[:count])


# Aliases


def test_half_fraction_of_four_tricks_aliases_pairs():
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
def test_aliases_of_given_chains(chains, expected):
    assert aliased_terms(chains) == expected


# In suites


@pytest.fixture
def path(tmp_path):
    (tmp_path / "tiny.toml").write_text(SUITE)
    return tmp_path / "tiny.toml"


def test_suite_trains_the_chains_of_its_fraction(path):
    kept, excluded = expand_cells(load_suite(path))
    of = ["ema", "instance_noise", "r1(weight=3)", "ttur(ratio=2)"]
    assert [cell.tricks for cell in kept] == fractional_chains(of)
    assert len(kept) == 8
    assert not excluded


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("grid.0.tricks.design=fractional_factoral", "'full_factorial' or 'fractional_factorial'"),
        ('grid.0.tricks.of=["ema", "r1"]', "at least 4 tricks; full_factorial has only 4 chains"),
        ('grid.0.tricks.of=["ema", "r1", "r2", "r1(weight=3)"]', "r1 is twice in one chain"),
        ("grid.0.tricks.of=[]", "the design fractional_factorial needs `of`, a list of tricks"),
    ],
)
def test_invalid_fraction_names_key_and_reason(path, override, message):
    with pytest.raises(SuiteError) as error:
        load_suite(path, [override])
    (line,) = str(error.value).splitlines()
    assert "grid[0].tricks" in line
    assert message in line


def test_factorial_does_not_import_numpy():
    code = "import sys, ganbench.experiments.factorial; print({'numpy', 'scipy', 'pydoe'} & set(sys.modules))"
    completed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert completed.stdout.strip() == "set()"
