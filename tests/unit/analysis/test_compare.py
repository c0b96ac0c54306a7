"""Comparisons of two tables: what was planted is found, and nothing else more often than stated."""

import itertools
import math
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from synthetic_rows import FACTS, arms, floor, frame, row

from ganbench.analysis.compare import (
    COMPARISON_VERDICTS,
    CellComparison,
    compare_overall,
    compare_runs,
    comparisons_to_frame,
    fisher_test,
    format_comparison,
    list_condition_differences,
    summarize_comparisons,
)
from ganbench.analysis.contrasts import arm_difference as change_of
from ganbench.analysis.contrasts import combine_changes
from ganbench.analysis.rows import load, save_rows
from ganbench.registry import SpecError


def grid(factors: dict[str, float], random=0, **names):
    """Arms of a cell a factor; the first table of a pair has 1 everywhere."""
    return [r for r in arms(factors, random=random, **names) if r["tricks"] != "none"]


def table(factors: dict[str, float], random=0, plan=None, **names) -> pd.DataFrame:
    return frame(*grid(factors, random, **names), **(plan or {}))


def verdicts(found) -> dict[str, str]:
    return {c.tricks: c.verdict for c in found}


def fid(a, b, **options) -> list[CellComparison]:
    return compare_runs(a, b, metrics=["fid"], **options)


def only(a, b, **options) -> CellComparison:
    (found,) = fid(a, b, **options)
    return found


def mean(a, b, **options) -> CellComparison:
    (found,) = compare_overall(a, b, metrics=["fid"], **options)
    return found


def cell(values, tricks="none", **names):
    """A cell's rows, a seed a value; None diverged."""
    return [row(tricks, seed, value, **names) for seed, value in enumerate(values)]


NOTHING = {"a": 1.0, "b": 1.0, "c": 1.0}


# What was planted


@pytest.mark.parametrize(
    ("metric", "factor", "verdict"),
    [("fid", 0.5, "better"), ("fid", 2, "worse"), ("is", 0.5, "worse"), ("is", 2, "better")],
)
def test_what_was_planted_is_found_with_its_sign_inside_its_interval(metric, factor, verdict):
    a = table(NOTHING, metric=metric)
    b = table({**NOTHING, "b": factor}, random=3, metric=metric)
    found = compare_runs(a, b, metrics=[metric])
    assert verdicts(found) == {"a": "undecided", "b": verdict, "c": "undecided"}
    planted = found[1]
    assert planted.low < factor < planted.high
    assert (planted.unit, planted.cells, planted.seeds, planted.paired) == ("ratio", 1, 5, True)
    assert planted.change == pytest.approx(planted.after / planted.before)


@pytest.mark.parametrize(("metric", "unit"), [("kid", "difference"), ("modes", "log odds")])
def test_on_other_scales_the_change_is_a_difference(metric, unit):
    before, after = [0.50, 0.52, 0.49, 0.51], [0.31, 0.30, 0.29, 0.33]
    a, b = (frame(*cell(values, metric=metric)) for values in (before, after))
    (found,) = compare_runs(a, b, metrics=[metric])
    there = np.array([before, after])
    if unit == "log odds":
        there = np.log(there / (1 - there))
    expected = stats.ttest_rel(there[1], there[0])
    low, high = expected.confidence_interval()
    assert (found.low, found.high, found.p) == pytest.approx((low, high, expected.pvalue))
    assert (found.unit, found.verdict) == (unit, "better" if metric == "kid" else "worse")


@pytest.mark.parametrize(
    ("seeds", "declared", "paired"),
    [((5, 5), (True, True), True), ((5, 5), (True, False), False), ((5, 7), (True, True), False)],
    ids=["as declared", "not declared", "other seeds"],
)
def test_the_test_is_students_of_pairs_or_else_welchs(seeds, declared, paired):
    a, b = (
        table({"a": 1.0}, random=n, seeds=seeds[n], plan=dict(paired=declared[n])) for n in (0, 1)
    )
    found = only(a, b)
    logs = [np.log(made["value"]) for made in (b, a)]
    expected = stats.ttest_rel(*logs) if paired else stats.ttest_ind(*logs, equal_var=False)
    told = (found.low, found.high, found.p)
    low, high = np.exp(expected.confidence_interval())
    assert told == pytest.approx((low, high, expected.pvalue))
    assert (found.paired, found.seeds) == (paired, 5)


def test_pairs_are_of_the_same_seed_whatever_the_order_of_rows():
    made = grid({"a": 1.0}), grid({"a": 1.5}, random=1)
    straight = only(*(frame(*rows) for rows in made))
    turned = only(frame(*made[0]), frame(*reversed(made[1])))
    assert replace(turned, before=0, after=0) == replace(straight, before=0, after=0)


def test_pairs_are_those_of_which_neither_failed():
    before, after = [None, 2.0, 1.5, 0.7, 0.9], [1.1, 1.7, 1.6, None, 0.6]
    found = only(frame(*cell(before)), frame(*cell(after)))
    expected = stats.ttest_rel(np.log([1.7, 1.6, 0.6]), np.log([2.0, 1.5, 0.9]))
    assert (found.seeds, found.p) == (3, pytest.approx(expected.pvalue))
    assert found.failure_p == pytest.approx(1)


@pytest.mark.parametrize(
    ("factor", "margin", "verdict"),
    [(1.0, None, "equivalent"), (1.01, None, "equivalent"), (1.05, None, "worse"),
     (1.05, 0.1, "equivalent"), (1.01, 0.0, "worse")],
)  # fmt: skip
def test_within_the_margin_is_equivalent(factor, margin, verdict):
    a, b = table({"a": 1.0}, noise=1e-3), table({"a": factor}, random=1, noise=1e-3)
    found = only(a, b, margin=margin)
    assert (found.verdict, mean(a, b, margin=margin).verdict) == (verdict, verdict)
    assert found.margin == (0.02 if margin is None else margin)


@pytest.mark.parametrize("odd", [0.93, 1 / 0.93])
def test_an_interval_that_leaves_the_margin_on_one_side_is_not_equivalent(odd):
    found = only(frame(*cell([1.0] * 8)), frame(*cell([1.0] * 7 + [odd])))
    inside = {found.low > 0.98, found.high < 1 / 0.98}
    assert inside == {True, False}
    assert 0.98 < found.change < 1 / 0.98
    assert found.verdict == "undecided"


def test_the_margin_is_that_of_the_second_suite():
    a = table({"a": 1.0}, plan=dict(equivalence=0.5))
    b = table({"a": 1.0}, random=1, plan=dict(equivalence=0.3))
    assert only(a, b).margin == 0.3


@pytest.mark.parametrize("seeds", [(1, 1), (1, 5)])
def test_a_single_seed_has_no_interval_and_decides_nothing(seeds):
    a, b = table({"a": 1.0}, seeds=seeds[0]), table({"a": 9.0}, random=1, seeds=seeds[1])
    found = only(a, b)
    assert (found.cells, found.verdict) == (1, "undecided")
    assert found.change > 5
    assert all(map(math.isnan, (found.low, found.high, found.p)))
    assert "without an interval" in format_comparison(found)


def test_a_change_without_any_spread_decides_nothing_either():
    a, b = (frame(*cell([level] * 4)) for level in (1.0, 2.0))
    assert only(a, b).verdict == "undecided"


# What is compared


def test_cells_of_one_side_are_new_or_missing_and_say_why():
    refused = cell([None] * 2, "c", outcome="not_applicable", reason="no targets", plan="cell=0")
    waiting = [{**r, "outcome": None} for r in cell([None] * 2, "d", plan="cell=0")]
    both = grid({"c": 1.0, "d": 1.0})
    a = frame(*grid({"a": 1.0}), *both)
    b = frame(*grid({"b": 1.0}), *refused, *waiting)
    found = fid(a, b)
    assert {c.tricks: (c.verdict, c.reason) for c in found} == {
        "b": ("new", "not planned"),
        "c": ("missing", "not applicable: no targets"),
        "d": ("missing", "not trained"),
        "a": ("missing", "not planned"),
    }
    assert all(math.isnan(c.p) and math.isnan(c.failure_p) and not c.cells for c in found)
    assert verdicts(fid(b, a))["c"] == "new"


def test_what_was_trained_on_neither_side_is_left_out():
    waiting = [{**r, "outcome": None} for r in cell([None] * 2, "b")]
    refused = cell([None] * 2, "c", outcome="not_applicable")
    made = frame(*grid({"a": 1.0}), *waiting, *refused)
    assert verdicts(fid(made, made)) == {"a": "identical"}


@pytest.mark.parametrize("name", ["data", "variant", "loss", "tricks", "plan"])
def test_cells_match_only_by_all_of_their_names(name):
    a = frame(*cell([1.0, 2.0]))
    b = frame(*(r | {name: "other"} for r in cell([1.0, 2.0])))
    assert {c.verdict for c in fid(a, b)} == {"new", "missing"}


def test_only_trials_at_the_last_checkpoint_count():
    made = grid(NOTHING)
    others = [
        {**r, **odd, "value": 99.0}
        for r in made
        for odd in ({"checkpoint": "best"}, {"role": "untrained"}, {"metric": "train_seconds"})
    ]
    a, b = frame(*made), table(NOTHING, random=1)
    assert fid(frame(*made, *others, floor(0.1)), b) == fid(a, b)


def test_every_metric_of_both_suites_is_compared_unless_some_are_chosen():
    rows = [r for metric in ("fid", "is") for r in grid({"a": 1.0}, metric=metric)]
    few = {metric: FACTS[metric] for metric in ("is", "fid", "modes")}
    made, other = frame(*rows), frame(*rows, metrics=few)
    assert [c.metric for c in compare_runs(made, made)] == ["fid", "is"]
    assert [c.metric for c in compare_runs(made, other)] == ["is", "fid"]
    assert [c.metric for c in compare_runs(made, made, metrics=["is"])] == ["is"]
    assert [c.metric for c in compare_overall(made, other)] == ["is", "fid", "modes"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (dict(metrics=["fidd"]), "unknown metric 'fidd'; did you mean 'fid'"),
        (dict(metrics=["fid", "kid"]), "kid was measured only before"),
        (dict(metrics=["recall"]), "recall was measured only after"),
        (dict(margin=1.0), "the margin must be a share from 0 to below 1, such as 0.02, not 1.0"),
        (dict(margin=-0.1), "the margin must be a share"),
    ],
)
@pytest.mark.parametrize("function", [compare_runs, compare_overall])
def test_a_metric_or_margin_that_cannot_be_is_told(function, options, told):
    a = table({"a": 1.0})
    b = frame(*grid({"a": 1.0}), metrics={"fid": FACTS["fid"], "recall": FACTS["modes"]})
    with pytest.raises(SpecError, match=told):
        function(a, b, **options)


def test_suites_without_a_common_metric_are_told():
    a = table({"a": 1.0}, plan=dict(metrics={"kid": FACTS["kid"]}))
    b = table({"a": 1.0}, plan=dict(metrics={"fid": FACTS["fid"]}))
    with pytest.raises(SpecError, match="on both sides: kid before, fid after"):
        compare_runs(a, b)


# What is never compared


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (dict(protocol="q"), "protocol p (version <NA>) before, and by protocol q"),
        (dict(metric_version=2), "protocol p (version <NA>) before, and by protocol p (version 2)"),
    ],
)
def test_numbers_of_other_protocols_and_versions_are_refused(other, told):
    a, b = table(NOTHING), table(NOTHING, random=1, **other)
    found = fid(a, b)
    assert {c.verdict for c in found} == {"not comparable"}
    assert all(told in c.reason and math.isnan(c.change) for c in found)
    (counted, refused) = summarize_comparisons(found)
    assert counted == "fid of 3 cells: 3 not comparable."
    assert refused.startswith("Not comparable: fid of digits was measured by protocol p")
    assert mean(a, b).verdict == "not comparable"
    assert told in format_comparison(mean(a, b))


def test_numbers_of_other_scales_are_refused():
    facts = {**FACTS, "fid": {**FACTS["fid"], "direction": "higher"}}
    a, b = table(NOTHING), table(NOTHING, plan=dict(metrics=facts))
    assert {c.verdict for c in fid(a, b)} == {"not comparable"}
    assert "better if lower, on the scale log before; better if higher" in fid(a, b)[0].reason


def test_one_side_that_mixes_protocols_is_refused():
    mixed = frame(*grid({"a": 1.0}), *grid({"b": 1.0}, protocol="q"))
    assert {c.verdict for c in fid(mixed, mixed)} == {"not comparable"}


def test_other_data_sets_and_metrics_are_compared_all_the_same():
    rows = [r for data in ("digits", "ring") for r in grid({"a": 1.0}, data=data)]
    others = [r | {"protocol": "q"} if r["data"] == "ring" else r for r in rows]
    a, b = frame(*rows), frame(*others)
    assert {c.data: c.verdict for c in fid(a, b)} == {
        "digits": "identical",
        "ring": "not comparable",
    }
    found = mean(a, b)
    assert (found.cells, found.verdict) == (1, "identical")
    assert "ring" in found.reason


def test_cells_that_are_new_or_missing_are_no_matter_of_protocols():
    a, b = table({"a": 1.0}), table({"b": 1.0}, protocol="q")
    assert verdicts(fid(a, b)) == {"a": "missing", "b": "new"}


# The same numbers


def test_the_same_table_twice_has_the_same_numbers(tmp_path):
    made = frame(*grid(NOTHING), *cell([1.0, None, 3.0], "d"), *cell([None, None], "e"))
    save_rows(made, tmp_path)
    for other in (made, load(tmp_path)):
        found = verdicts(fid(made, other))
        assert found == {**dict.fromkeys("abcd", "identical"), "e": "undecided"}
        assert mean(made, other).verdict == "identical"
        assert list_condition_differences(made, other) == []


def test_one_bit_makes_other_numbers_that_may_still_be_alike():
    rows = grid(NOTHING, noise=1e-3)
    others = [r | {"value": np.nextafter(r["value"], 9.0)} for r in rows[:1]] + rows[1:]
    a, b = frame(*rows), frame(*others)
    assert verdicts(fid(a, b)) == {"a": "equivalent", "b": "identical", "c": "identical"}
    assert mean(a, b).verdict == "equivalent"


def test_the_same_values_with_another_outcome_are_not_the_same():
    a = frame(*cell([1.0, 2.0, None]))
    b = frame(*cell([1.0, 2.0]), row(seed=2, outcome="failed"))
    assert only(a, b).verdict == "undecided"


def test_more_seeds_of_the_same_numbers_are_the_same_numbers():
    a, b = frame(*cell([1.0, 2.0])), frame(*cell([1.0, 2.0, 5.0]))
    assert only(a, b).verdict == "identical"
    assert "in all trainings that both sides have" in format_comparison(only(a, b))


def test_no_seed_in_common_is_never_identical():
    a = frame(*cell([1.0, 2.0]))
    b = frame(*(r | {"seed": r["seed"] + 5} for r in cell([1.0, 2.0])))
    assert only(a, b).verdict == "undecided"


# Failures


def broken(count: int, total: int, tricks="a"):
    return cell([None] * count + [1.0 + n / 10 for n in range(total - count)], tricks)


@pytest.mark.parametrize(
    "counts", [(0, 8, 8, 8), (1, 5, 4, 6), (3, 3, 0, 4), (2, 9, 3, 4), (1, 4, 1, 4)]
)
def test_failures_of_one_cell_agree_with_fishers_exact_test(counts):
    one, total, other, totals = counts
    excess, p = fisher_test([counts])
    contingency = [[one, total - one], [other, totals - other]]
    assert p == pytest.approx(stats.fisher_exact(contingency).pvalue)
    assert excess == pytest.approx(other - totals * (one + other) / (total + totals))


@pytest.mark.parametrize(
    "table", [[], [(0, 5, 0, 5)], [(5, 5, 5, 5)], [(0, 3, 0, 3), (3, 3, 3, 3)]]
)
def test_failures_that_could_not_have_fallen_otherwise_have_no_p(table):
    assert fisher_test(table) == (0, pytest.approx(math.nan, nan_ok=True))


def test_failures_of_several_cells_are_counted_within_each():
    cells = [(0, 2, 2, 2), (0, 2, 1, 2), (1, 3, 2, 3)]
    null: dict[int, float] = {0: 1.0}
    for before, total, after, totals in cells:
        lost = before + after
        own = {n: stats.hypergeom.pmf(n, total + totals, lost, totals) for n in range(lost + 1)}
        pairs = [(k + n, p * q) for k, p in null.items() for n, q in own.items()]
        null = {k: sum(p for n, p in pairs if n == k) for k, _ in pairs}
    expected = sum(p for p in null.values() if p <= null[5] * 1.000001)
    assert fisher_test(cells)[1] == pytest.approx(expected)
    assert fisher_test(cells)[0] > 0


@pytest.mark.parametrize(("lost", "verdict"), [((0, 8), "fails more"), ((8, 0), "fails less")])
def test_a_cell_that_fails_more_or_less_is_called_so(lost, verdict):
    a, b = (frame(*broken(count, 8)) for count in lost)
    found = only(a, b)
    assert found.verdict == verdict
    assert (found.failed_before, found.failed_after) == lost
    assert (found.ended_before, found.ended_after) == (8, 8)
    assert mean(a, b).verdict == verdict
    assert found.excess == (lost[1] - lost[0]) / 2


def test_survivors_that_score_better_do_not_hide_failures():
    a = frame(*cell([1.0 + n / 50 for n in range(12)]))
    b = frame(*cell([None] * 9 + [0.1, 0.11, 0.12]))
    found = only(a, b)
    assert found.p < 0.05
    assert found.verdict == "fails more"


def test_three_of_three_that_failed_are_told_but_decide_nothing():
    found = only(frame(*cell([1.0, 1.1, 1.2])), frame(*cell([None] * 3)))
    assert (found.verdict, found.cells) == ("undecided", 0)
    assert found.failure_p == pytest.approx(0.1)
    assert format_comparison(found) == (
        "digits / gan / hinge / none, fid: undecided, no values on both sides; failed 0 of 3 "
        "(0 % to 56 %) before, 3 of 3 (44 % to 100 %) after."
    )


def test_failures_of_many_cells_together_tell_what_none_tells_alone():
    a = frame(*(r for t in "abcd" for r in broken(0, 4, t)))
    b = frame(*(r for t in "abcd" for r in broken(3, 4, t)))
    assert set(verdicts(fid(a, b)).values()) == {"undecided"}
    found = mean(a, b)
    assert (found.verdict, found.failed_before, found.failed_after) == ("fails more", 0, 12)


# Many cells


def test_p_are_corrected_by_holm_over_the_cells_of_a_metric():
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    a, b = table(NOTHING), table({"a": 1.1, "b": 1.2, "c": 1.0}, random=1)
    raw = [only(*(f[f["tricks"] == t] for f in (a, b))).p for t in NOTHING]
    expected = multitest.multipletests(raw, method="holm")[1]
    assert [c.p for c in fid(a, b)] == pytest.approx(list(expected))


def test_p_are_corrected_by_holm_by_hand():
    a, b = table(NOTHING), table({"a": 1.1, "b": 1.2, "c": 1.0}, random=1)
    raw = {t: only(*(f[f["tricks"] == t] for f in (a, b))).p for t in NOTHING}
    expected, least = {}, 0.0
    for n, (trick, p) in enumerate(sorted(raw.items(), key=lambda pair: pair[1])):
        least = expected[trick] = max(least, min(1.0, (3 - n) * p))
    assert {c.tricks: c.p for c in fid(a, b)} == pytest.approx(expected)


def test_another_metric_costs_the_cells_of_one_nothing():
    rows = [[r for m in ("fid", "is") for r in grid(NOTHING, n, metric=m)] for n in (0, 1)]
    both = compare_runs(*(frame(*found) for found in rows))
    assert [c for c in both if c.metric == "fid"] == fid(*(frame(*found) for found in rows))


def test_the_mean_is_over_cells_with_the_error_of_their_seeds():
    a, b = table(NOTHING), table({"a": 0.8, "b": 0.9, "c": 0.7}, random=1)
    logs = [{t: np.log(f[f["tricks"] == t]["value"].to_numpy()) for t in NOTHING} for f in (a, b)]
    changes = [change_of(logs[1][t], logs[0][t], True) for t in NOTHING]
    middle, low, high, p = combine_changes(changes)
    found = mean(a, b)
    told = (found.change, found.low, found.high, found.p)
    assert told == pytest.approx((*np.exp((middle, low, high)), p))
    assert (found.cells, found.seeds, found.verdict, found.data) == (3, 15, "better", "")


def test_the_means_of_metrics_are_corrected_together():
    rows = [[r for m in ("fid", "is") for r in grid(NOTHING, n, metric=m)] for n in (0, 1)]
    a, b = (frame(*found) for found in rows)
    alone = [compare_overall(a, b, metrics=[m])[0].p for m in ("fid", "is")]
    assert min(c.p for c in compare_overall(a, b, metrics=["fid", "is"])) == pytest.approx(
        2 * min(alone)
    )


def nothing_planted(random: int, lost: float, paired: bool) -> pd.DataFrame:
    """Four cells of four seeds, of which each training may fail."""
    rng = np.random.default_rng(random)
    values = np.exp(0.1 * rng.normal(size=(4, 4)))
    kept = np.where(rng.uniform(size=values.shape) < lost, None, values)
    return frame(
        *(r for t, vs in zip("abcd", kept, strict=True) for r in cell(vs, t)), paired=paired
    )


@pytest.mark.parametrize(
    ("lost", "paired", "count"), [(0.0, True, 300), (0.0, False, 100), (0.3, True, 100)]
)
def test_where_nothing_was_planted_something_is_found_as_rarely_as_stated(lost, paired, count):
    made = [nothing_planted(n, lost, paired) for n in range(count + 1)]
    cells = means = 0
    for a, b in itertools.pairwise(made):
        cells += {c.verdict for c in fid(a, b, margin=0.0)} != {"undecided"}
        means += mean(a, b, margin=0.0).verdict != "undecided"
    most = count * 0.05 + 3 * math.sqrt(count * 0.05 * 0.95)
    assert (cells <= most, means <= most) == (True, True)


# In words


def test_a_sentence_says_no_more_than_the_interval():
    better = only(table({"a": 1.0}), table({"a": 0.5}, random=1))
    told = format_comparison(better)
    assert told.startswith("digits / gan / hinge / a / cell=0, fid: better, 0.")
    assert f"times as much [{better.low:.3g}, {better.high:.3g}], 5 pairs, p = 0.0" in told


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (dict(verdict="worse"), "worse, 2 times as much [1.5, 3], 4 seeds, p = 0.01."),
        (dict(verdict="undecided", low=0.9), "undecided, 2 times as much [0.9, 3], 4 seeds"),
        (dict(verdict="equivalent"), "equivalent within 2 %, 2 times as much"),
        (dict(verdict="better", unit="difference"), "better, +2 [+1.5, +3], 4 seeds"),
        (dict(verdict="better", unit="log odds"), "better, +2 in log odds [+1.5, +3]"),
        (dict(verdict="fails more", paired=True), "fails more, 2 times as much [1.5, 3], 4 pairs"),
        (dict(verdict="better", paired=True, seeds=1), "better, 2 times as much [1.5, 3], 1 pair,"),
        (dict(verdict="new", reason="x"), "new, measured only after (before: x)."),
        (dict(verdict="missing", reason="x"), "missing, measured only before (after: x)."),
        (dict(verdict="not comparable", reason="why"), "not comparable, why."),
        (dict(verdict="not comparable"), "not comparable, no cell was trained on both sides."),
        (dict(verdict="identical"), "the same numbers in all trainings that both sides have."),
    ],
)  # fmt: skip
def test_sentences(change, told):
    made = CellComparison("fid", "lower", seeds=4, change=2, low=1.5, high=3, p=0.01, margin=0.02)
    assert told in format_comparison(replace(made, **change))
    assert format_comparison(made).startswith("mean over all matched cells, fid: ")


def test_a_summary_counts_the_cells_of_each_metric():
    a = frame(*grid({**NOTHING, "d": 1.0, "e": 1.0}), *grid({"a": 1.0}, metric="is"))
    b = frame(
        *grid({"a": 0.3, "b": 3.0, "c": 1.0, "f": 1.0}, random=1), *grid({"a": 1.0}, metric="is")
    )
    assert summarize_comparisons(compare_runs(a, b)) == [
        "fid of 6 cells: 1 better, 1 worse, 1 undecided, 1 new, 2 missing.",
        "is of 1 cell: 1 identical.",
    ]
    assert summarize_comparisons([]) == []


def test_a_frame_has_a_row_a_comparison_and_its_columns_even_without_any():
    found = compare_runs(table(NOTHING), table(NOTHING, random=1))
    columns = [field.name for field in fields(CellComparison)]
    assert (
        comparisons_to_frame(found).columns.tolist()
        == comparisons_to_frame([]).columns.tolist()
        == columns
    )
    for name in ("tricks", "p", "ended_after", "verdict"):
        assert comparisons_to_frame(found)[name].tolist() == [getattr(c, name) for c in found]
    assert set(comparisons_to_frame(found)["verdict"]) <= set(COMPARISON_VERDICTS)


def test_what_else_differs_is_told():
    a = frame(*grid(NOTHING, code="1"), budget={"unit": "images", "amount": 64000})
    b = frame(
        *grid({"a": 1.0}, code="1", seeds=2),
        *grid({"b": 1.0}, code="2", seeds=2),
        budget={"unit": "generator_turns", "amount": 1000},
        device="cuda",
        provenance={"ganbench": "0", "code": "c", "torch": "u"},
    )
    assert list_condition_differences(a, b) == [
        "budget: 64,000 images before, 1,000 generator turns after",
        "device: cpu before, cuda after",
        "seeds: 0, 1, 2, 3, 4 before, 0, 1 after",
        "torch: t before, u after",
        "training code: changed in 1 of 2 cells",
    ]
