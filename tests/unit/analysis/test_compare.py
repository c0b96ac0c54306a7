"""Comparisons of two runs: planted changes are detected, and false alarms are rare."""

import itertools
import math
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from synthetic_rows import FACTS, arms, floor, frame, row

from ganbench.analysis.cell_comparison import (
    COMPARISON_VERDICTS,
    CellComparison,
    comparisons_to_frame,
)
from ganbench.analysis.changed_conditions import list_condition_differences
from ganbench.analysis.compare import compare_overall, compare_runs, failure_test
from ganbench.analysis.comparison_sentences import format_comparison, summarize_comparisons
from ganbench.analysis.rows import load, save_rows
from ganbench.analysis.verdicts import ComparisonVerdict
from ganbench.registry import SpecError


def grid(factors: dict[str, float], random=0, **names):
    """Makes one arm per factor; the first table of a pair has the factor 1 everywhere."""
    return [r for r in arms(factors, random=random, **names) if r["tricks"] != "none"]


def table(factors: dict[str, float], random=0, plan=None, **names) -> pd.DataFrame:
    return frame(*grid(factors, random, **names), **(plan or {}))


def verdicts(comparisons) -> dict[str, str]:
    return {c.tricks: c.verdict for c in comparisons}


def compare_fid(a, b, **options) -> list[CellComparison]:
    return compare_runs(a, b, metrics=["fid"], **options)


def single_comparison(a, b, **options) -> CellComparison:
    (comparison,) = compare_fid(a, b, **options)
    return comparison


def overall_comparison(a, b, **options) -> CellComparison:
    (comparison,) = compare_overall(a, b, metrics=["fid"], **options)
    return comparison


def cell(values, tricks="none", **names):
    """Makes the rows of a cell, one seed per value; None means diverged."""
    return [row(tricks, seed, value, **names) for seed, value in enumerate(values)]


NO_CHANGE = {"a": 1.0, "b": 1.0, "c": 1.0}


# Planted changes


@pytest.mark.parametrize(
    ("metric", "factor", "verdict"),
    [("fid", 0.5, "better"), ("fid", 2, "worse"), ("is", 0.5, "worse"), ("is", 2, "better")],
)
def test_interval_contains_planted_change(metric, factor, verdict):
    a = table(NO_CHANGE, metric=metric)
    b = table({**NO_CHANGE, "b": factor}, random=3, metric=metric)
    comparisons = compare_runs(a, b, metrics=[metric])
    assert verdicts(comparisons) == {"a": "undecided", "b": verdict, "c": "undecided"}
    planted = comparisons[1]
    assert planted.low < factor < planted.high
    assert (planted.unit, planted.cells, planted.seeds, planted.paired) == ("ratio", 1, 5, True)
    assert planted.change == pytest.approx(planted.after / planted.before)


@pytest.mark.parametrize(("metric", "unit"), [("kid", "difference"), ("modes", "log odds")])
def test_change_on_other_scales_is_a_difference(metric, unit):
    before, after = [0.50, 0.52, 0.49, 0.51], [0.31, 0.30, 0.29, 0.33]
    a, b = (frame(*cell(values, metric=metric)) for values in (before, after))
    (comparison,) = compare_runs(a, b, metrics=[metric])
    transformed = np.array([before, after])
    if unit == "log odds":
        transformed = np.log(transformed / (1 - transformed))
    expected = stats.ttest_rel(transformed[1], transformed[0])
    low, high = expected.confidence_interval()
    assert (comparison.low, comparison.high, comparison.p) == pytest.approx(
        (low, high, expected.pvalue)
    )
    assert (comparison.unit, comparison.verdict) == (unit, "better" if metric == "kid" else "worse")


@pytest.mark.parametrize(
    ("seeds", "declared", "paired"),
    [((5, 5), (True, True), True), ((5, 5), (True, False), False), ((5, 7), (True, True), False)],
    ids=["as declared", "not declared", "other seeds"],
)
def test_paired_students_or_welchs_test_is_used(seeds, declared, paired):
    a, b = (
        table({"a": 1.0}, random=n, seeds=seeds[n], plan=dict(paired=declared[n])) for n in (0, 1)
    )
    comparison = single_comparison(a, b)
    logs = [np.log(row_frame["value"]) for row_frame in (b, a)]
    expected = stats.ttest_rel(*logs) if paired else stats.ttest_ind(*logs, equal_var=False)
    actual = (comparison.low, comparison.high, comparison.p)
    low, high = np.exp(expected.confidence_interval())
    assert actual == pytest.approx((low, high, expected.pvalue))
    assert (comparison.paired, comparison.seeds) == (paired, 5)


def test_pairing_ignores_order_of_rows():
    sides = grid({"a": 1.0}), grid({"a": 1.5}, random=1)
    straight = single_comparison(*(frame(*rows) for rows in sides))
    turned = single_comparison(frame(*sides[0]), frame(*reversed(sides[1])))
    assert replace(turned, before=0, after=0) == replace(straight, before=0, after=0)


def test_pairs_exclude_failed_trainings():
    before, after = [None, 2.0, 1.5, 0.7, 0.9], [1.1, 1.7, 1.6, None, 0.6]
    comparison = single_comparison(frame(*cell(before)), frame(*cell(after)))
    expected = stats.ttest_rel(np.log([1.7, 1.6, 0.6]), np.log([2.0, 1.5, 0.9]))
    assert (comparison.seeds, comparison.p) == (3, pytest.approx(expected.pvalue))
    assert comparison.failure_p == pytest.approx(1)


@pytest.mark.parametrize(
    ("factor", "margin", "verdict"),
    [(1.0, None, "equivalent"), (1.01, None, "equivalent"), (1.05, None, "worse"),
     (1.05, 0.1, "equivalent"), (1.01, 0.0, "worse")],
)  # fmt: skip
def test_change_within_margin_is_equivalent(factor, margin, verdict):
    a, b = table({"a": 1.0}, noise=1e-3), table({"a": factor}, random=1, noise=1e-3)
    comparison = single_comparison(a, b, margin=margin)
    assert (comparison.verdict, overall_comparison(a, b, margin=margin).verdict) == (
        verdict,
        verdict,
    )
    assert comparison.margin == (0.02 if margin is None else margin)


def test_cells_at_the_margin_are_rarely_called_equivalent():
    """Twelve cells lie at the margin: with intervals of one cell, 27 % of grids had a false claim."""
    tricks = {f"t{n}": 0.98 for n in range(12)}
    false = 0
    for grid in range(150):
        before, after = (
            frame(*arms(factors, seeds=4, noise=0.004, random=2 * grid + n))
            for n, factors in enumerate((dict.fromkeys(tricks, 1.0), tricks))
        )
        found = [c for c in compare_fid(before, after) if c.tricks != "none"]
        false += any(c.verdict == "equivalent" for c in found)
    assert false / 150 < 0.025 + 3 * math.sqrt(0.025 * 0.975 / 150)


@pytest.mark.parametrize("odd", [0.93, 1 / 0.93])
def test_interval_beyond_margin_is_not_equivalent(odd):
    comparison = single_comparison(frame(*cell([1.0] * 8)), frame(*cell([1.0] * 7 + [odd])))
    inside = {comparison.low > 0.98, comparison.high < 1 / 0.98}
    assert inside == {True, False}
    assert 0.98 < comparison.change < 1 / 0.98
    assert comparison.verdict == "undecided"


def test_margin_comes_from_second_suite():
    a = table({"a": 1.0}, plan=dict(equivalence=0.5))
    b = table({"a": 1.0}, random=1, plan=dict(equivalence=0.3))
    assert single_comparison(a, b).margin == 0.3


@pytest.mark.parametrize("seeds", [(1, 1), (1, 5)])
def test_single_seed_is_undecided(seeds):
    a, b = table({"a": 1.0}, seeds=seeds[0]), table({"a": 9.0}, random=1, seeds=seeds[1])
    comparison = single_comparison(a, b)
    assert (comparison.cells, comparison.verdict) == (1, "undecided")
    assert comparison.change > 5
    assert all(map(math.isnan, (comparison.low, comparison.high, comparison.p)))
    assert "without an interval" in format_comparison(comparison)


def test_change_without_spread_is_undecided():
    a, b = (frame(*cell([level] * 4)) for level in (1.0, 2.0))
    assert single_comparison(a, b).verdict == "undecided"


# Matching of cells and metrics


def test_one_sided_cells_are_new_or_missing():
    refused = cell([None] * 2, "c", outcome="not_applicable", reason="no targets", plan="cell=0")
    waiting = [{**r, "outcome": None} for r in cell([None] * 2, "d", plan="cell=0")]
    both = grid({"c": 1.0, "d": 1.0})
    a = frame(*grid({"a": 1.0}), *both)
    b = frame(*grid({"b": 1.0}), *refused, *waiting)
    comparisons = compare_fid(a, b)
    assert {c.tricks: (c.verdict, c.reason) for c in comparisons} == {
        "b": ("new", "not planned"),
        "c": ("missing", "not applicable: no targets"),
        "d": ("missing", "not trained"),
        "a": ("missing", "not planned"),
    }
    assert all(math.isnan(c.p) and math.isnan(c.failure_p) and not c.cells for c in comparisons)
    assert verdicts(compare_fid(b, a))["c"] == "new"


def test_untrained_cells_are_left_out():
    waiting = [{**r, "outcome": None} for r in cell([None] * 2, "b")]
    refused = cell([None] * 2, "c", outcome="not_applicable")
    rows = frame(*grid({"a": 1.0}), *waiting, *refused)
    assert verdicts(compare_fid(rows, rows)) == {"a": "identical"}


@pytest.mark.parametrize("name", ["data", "variant", "loss", "tricks", "plan"])
def test_cells_match_by_all_names(name):
    a = frame(*cell([1.0, 2.0]))
    b = frame(*(r | {name: "other"} for r in cell([1.0, 2.0])))
    assert {c.verdict for c in compare_fid(a, b)} == {"new", "missing"}


def test_only_last_checkpoint_counts():
    rows = grid(NO_CHANGE)
    others = [
        {**r, **odd, "value": 99.0}
        for r in rows
        for odd in ({"checkpoint": "best"}, {"role": "untrained"}, {"metric": "train_seconds"})
    ]
    a, b = frame(*rows), table(NO_CHANGE, random=1)
    assert compare_fid(frame(*rows, *others, floor(0.1)), b) == compare_fid(a, b)


def test_common_metrics_are_compared_by_default():
    rows = [r for metric in ("fid", "is") for r in grid({"a": 1.0}, metric=metric)]
    few = {metric: FACTS[metric] for metric in ("is", "fid", "modes")}
    first, other = frame(*rows), frame(*rows, metrics=few)
    assert [c.metric for c in compare_runs(first, first)] == ["fid", "is"]
    assert [c.metric for c in compare_runs(first, other)] == ["is", "fid"]
    assert [c.metric for c in compare_runs(first, first, metrics=["is"])] == ["is"]
    assert [c.metric for c in compare_overall(first, other)] == ["is", "fid", "modes"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(metrics=["fidd"]), "unknown metric 'fidd'; did you mean 'fid'"),
        (dict(metrics=["fid", "kid"]), "kid was measured only before"),
        (dict(metrics=["recall"]), "recall was measured only after"),
        (dict(margin=1.0), "the margin must be a share from 0 to below 1, such as 0.02, not 1.0"),
        (dict(margin=-0.1), "the margin must be a share"),
    ],
)
@pytest.mark.parametrize("function", [compare_runs, compare_overall])
def test_invalid_metric_or_margin_raises(function, options, message):
    a = table({"a": 1.0})
    b = frame(*grid({"a": 1.0}), metrics={"fid": FACTS["fid"], "recall": FACTS["modes"]})
    with pytest.raises(SpecError, match=message):
        function(a, b, **options)


def test_no_common_metric_raises():
    a = table({"a": 1.0}, plan=dict(metrics={"kid": FACTS["kid"]}))
    b = table({"a": 1.0}, plan=dict(metrics={"fid": FACTS["fid"]}))
    with pytest.raises(SpecError, match="on both sides: kid before, fid after"):
        compare_runs(a, b)


# Incomparable values


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (dict(protocol="q"), "protocol p (version <NA>) before, and by protocol q"),
        (dict(metric_version=2), "protocol p (version <NA>) before, and by protocol p (version 2)"),
    ],
)
def test_other_protocols_are_not_comparable(other, message):
    a, b = table(NO_CHANGE), table(NO_CHANGE, random=1, **other)
    comparisons = compare_fid(a, b)
    assert {c.verdict for c in comparisons} == {"not comparable"}
    assert all(message in c.reason and math.isnan(c.change) for c in comparisons)
    (counted, refused) = summarize_comparisons(comparisons)
    assert counted == "FID of 3 cells: 3 not comparable."
    assert refused.startswith("Not comparable: fid of digits was measured by protocol p")
    assert overall_comparison(a, b).verdict == "not comparable"
    assert message in format_comparison(overall_comparison(a, b))


def test_other_scales_are_not_comparable():
    facts = {**FACTS, "fid": {**FACTS["fid"], "direction": "higher"}}
    a, b = table(NO_CHANGE), table(NO_CHANGE, plan=dict(metrics=facts))
    assert {c.verdict for c in compare_fid(a, b)} == {"not comparable"}
    assert (
        "better if lower, on the scale log before; better if higher" in compare_fid(a, b)[0].reason
    )


def test_mixed_protocols_are_not_comparable():
    mixed = frame(*grid({"a": 1.0}), *grid({"b": 1.0}, protocol="q"))
    assert {c.verdict for c in compare_fid(mixed, mixed)} == {"not comparable"}


def test_unaffected_data_sets_are_still_compared():
    rows = [r for data in ("digits", "ring") for r in grid({"a": 1.0}, data=data)]
    others = [r | {"protocol": "q"} if r["data"] == "ring" else r for r in rows]
    a, b = frame(*rows), frame(*others)
    assert {c.data: c.verdict for c in compare_fid(a, b)} == {
        "digits": "identical",
        "ring": "not comparable",
    }
    comparison = overall_comparison(a, b)
    assert (comparison.cells, comparison.verdict) == (1, "identical")
    assert "ring" in comparison.reason


def test_new_cells_ignore_protocols():
    a, b = table({"a": 1.0}), table({"b": 1.0}, protocol="q")
    assert verdicts(compare_fid(a, b)) == {"a": "missing", "b": "new"}


# Identical values


def test_same_table_is_identical(tmp_path):
    rows = frame(*grid(NO_CHANGE), *cell([1.0, None, 3.0], "d"), *cell([None, None], "e"))
    save_rows(rows, tmp_path)
    for other in (rows, load(tmp_path)):
        actual = verdicts(compare_fid(rows, other))
        assert actual == {**dict.fromkeys("abcd", "identical"), "e": "undecided"}
        assert overall_comparison(rows, other).verdict == "identical"
        assert list_condition_differences(rows, other) == []


def test_one_bit_difference_is_not_identical():
    rows = grid(NO_CHANGE, noise=1e-3)
    others = [r | {"value": np.nextafter(r["value"], 9.0)} for r in rows[:1]] + rows[1:]
    a, b = frame(*rows), frame(*others)
    assert verdicts(compare_fid(a, b)) == {"a": "equivalent", "b": "identical", "c": "identical"}
    assert overall_comparison(a, b).verdict == "equivalent"


def test_other_outcome_is_not_identical():
    a = frame(*cell([1.0, 2.0, None]))
    b = frame(*cell([1.0, 2.0]), row(seed=2, outcome="failed"))
    assert single_comparison(a, b).verdict == "undecided"


def test_additional_seeds_stay_identical():
    a, b = frame(*cell([1.0, 2.0])), frame(*cell([1.0, 2.0, 5.0]))
    assert single_comparison(a, b).verdict == "identical"
    assert "in all trainings that both sides have" in format_comparison(single_comparison(a, b))


def test_disjoint_seeds_are_not_identical():
    a = frame(*cell([1.0, 2.0]))
    b = frame(*(r | {"seed": r["seed"] + 5} for r in cell([1.0, 2.0])))
    assert single_comparison(a, b).verdict == "undecided"


# Failures


def seeds_of(counts):
    """Returns the failures of each seed before and after, from failed and ended trainings."""
    failed_before, ended_before, failed_after, ended_after = counts
    return (
        [int(seed < failed_before) for seed in range(ended_before)],
        [int(seed < failed_after) for seed in range(ended_after)],
    )


def failing_cell(count: int, total: int, tricks="a", **names):
    return cell([None] * count + [1.0 + n / 10 for n in range(total - count)], tricks, **names)


@pytest.mark.parametrize(
    "counts", [(0, 8, 8, 8), (1, 5, 4, 6), (3, 3, 0, 4), (2, 9, 3, 4), (1, 4, 1, 4)]
)
def test_failures_of_one_cell_equal_fishers_test(counts):
    one, total, other, totals = counts
    excess, p = failure_test([seeds_of(counts)])
    contingency = [[one, total - one], [other, totals - other]]
    assert p == pytest.approx(stats.fisher_exact(contingency).pvalue)
    assert excess == pytest.approx(other - totals * (one + other) / (total + totals))


@pytest.mark.parametrize(
    "table", [[], [(0, 5, 0, 5)], [(5, 5, 5, 5)], [(0, 3, 0, 3), (3, 3, 3, 3)]]
)
def test_forced_failure_counts_have_no_p(table):
    assert failure_test([seeds_of(row) for row in table]) == (
        0,
        pytest.approx(math.nan, nan_ok=True),
    )


def test_failures_are_stratified_by_network():
    cells = [(0, 2, 2, 2), (0, 2, 1, 2), (1, 3, 2, 3)]
    null: dict[int, float] = {0: 1.0}
    for before, total, after, totals in cells:
        lost = before + after
        own = {n: stats.hypergeom.pmf(n, total + totals, lost, totals) for n in range(lost + 1)}
        pairs = [(k + n, p * q) for k, p in null.items() for n, q in own.items()]
        null = {k: sum(p for n, p in pairs if n == k) for k, _ in pairs}
    expected = sum(p for p in null.values() if p <= null[5] * 1.000001)
    excess, p = failure_test([seeds_of(counts) for counts in cells])
    assert p == pytest.approx(expected)
    assert excess > 0


def test_cells_of_a_network_fail_together():
    """The same seeds fail under five losses, and so prove no more than under one."""
    sides = [
        frame(*(each for n in range(5) for each in cell(values, loss=f"loss {n}")))
        for values in ([1.0] * 8, [None] * 3 + [1.0] * 5)
    ]
    comparison = overall_comparison(*sides)
    assert (comparison.failed_after, comparison.ended_after) == (15, 40)
    assert comparison.failure_p == pytest.approx(stats.fisher_exact([[0, 8], [3, 5]]).pvalue)
    of_cells = stats.fisher_exact([[0, 40], [15, 25]]).pvalue
    assert of_cells < 0.001 < comparison.failure_p


@pytest.mark.parametrize(("lost", "verdict"), [((0, 8), "worse"), ((8, 0), "better")])
def test_more_or_fewer_failures_give_verdict(lost, verdict):
    a, b = (frame(*failing_cell(count, 8)) for count in lost)
    comparison = single_comparison(a, b)
    assert comparison.verdict == verdict
    assert (comparison.failed_before, comparison.failed_after) == lost
    assert (comparison.ended_before, comparison.ended_after) == (8, 8)
    assert overall_comparison(a, b).verdict == verdict
    assert comparison.excess == (lost[1] - lost[0]) / 2


def test_better_survivors_do_not_hide_failures():
    a = frame(*cell([1.0 + n / 50 for n in range(12)]))
    b = frame(*cell([None] * 9 + [0.1, 0.11, 0.12]))
    comparison = single_comparison(a, b)
    assert comparison.p < 0.05
    assert comparison.verdict == "worse"


def test_three_of_three_failures_are_undecided():
    comparison = single_comparison(frame(*cell([1.0, 1.1, 1.2])), frame(*cell([None] * 3)))
    assert (comparison.verdict, comparison.cells) == ("undecided", 0)
    assert comparison.failure_p == pytest.approx(0.1)
    assert format_comparison(comparison) == (
        "digits / gan / hinge / none, FID: undecided, no values on both sides; failed 0 of 3 "
        "(0 % to 56 %) before, 3 of 3 (44 % to 100 %) after."
    )


def test_pooled_failures_decide_over_networks():
    a, b = (
        frame(*(r for name in "abcd" for r in failing_cell(count, 4, variant=name)))
        for count in (0, 3)
    )
    assert set(verdicts(compare_fid(a, b)).values()) == {"undecided"}
    comparison = overall_comparison(a, b)
    assert (comparison.verdict, comparison.failed_before, comparison.failed_after) == (
        "worse",
        0,
        12,
    )


# Corrections over cells


def test_holm_correction_equals_statsmodels():
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    a, b = table(NO_CHANGE), table({"a": 1.1, "b": 1.2, "c": 1.0}, random=1)
    raw = [single_comparison(*(f[f["tricks"] == t] for f in (a, b))).p for t in NO_CHANGE]
    expected = multitest.multipletests(raw, method="holm")[1]
    assert [c.p for c in compare_fid(a, b)] == pytest.approx(list(expected))


def test_holm_correction_over_cells_by_hand():
    a, b = table(NO_CHANGE), table({"a": 1.1, "b": 1.2, "c": 1.0}, random=1)
    raw = {t: single_comparison(*(f[f["tricks"] == t] for f in (a, b))).p for t in NO_CHANGE}
    expected, least = {}, 0.0
    for n, (trick, p) in enumerate(sorted(raw.items(), key=lambda pair: pair[1])):
        least = expected[trick] = max(least, min(1.0, (3 - n) * p))
    assert {c.tricks: c.p for c in compare_fid(a, b)} == pytest.approx(expected)


def test_holm_families_are_separate_per_metric():
    rows = [[r for m in ("fid", "is") for r in grid(NO_CHANGE, n, metric=m)] for n in (0, 1)]
    both = compare_runs(*(frame(*side) for side in rows))
    assert [c for c in both if c.metric == "fid"] == compare_fid(*(frame(*side) for side in rows))


def test_overall_mean_uses_errors_over_seeds():
    a, b = table(NO_CHANGE), table({"a": 0.8, "b": 0.9, "c": 0.7}, random=1)
    before, after = (np.log(f["value"]).groupby(f["seed"]).mean() for f in (a, b))
    expected = stats.ttest_rel(after, before)  # all arms are of one network
    interval = expected.confidence_interval()
    comparison = overall_comparison(a, b)
    actual = (comparison.change, comparison.low, comparison.high, comparison.p)
    mean = np.exp((after - before).mean())
    assert actual == pytest.approx((mean, *np.exp(interval), expected.pvalue))
    assert (comparison.cells, comparison.seeds, comparison.verdict, comparison.data) == (
        3,
        15,
        "better",
        "",
    )


def test_overall_means_are_corrected_together():
    rows = [[r for m in ("fid", "is") for r in grid(NO_CHANGE, n, metric=m)] for n in (0, 1)]
    a, b = (frame(*side) for side in rows)
    alone = [compare_overall(a, b, metrics=[m])[0].p for m in ("fid", "is")]
    assert min(c.p for c in compare_overall(a, b, metrics=["fid", "is"])) == pytest.approx(
        2 * min(alone)
    )


def null_frame(random: int, lost: float, paired: bool) -> pd.DataFrame:
    """Makes four cells with four seeds; each training fails with the probability `lost`."""
    rng = np.random.default_rng(random)
    values = np.exp(0.1 * rng.normal(size=(4, 4)))
    kept = np.where(rng.uniform(size=values.shape) < lost, None, values)
    return frame(
        *(r for t, vs in zip("abcd", kept, strict=True) for r in cell(vs, t)), paired=paired
    )


@pytest.mark.parametrize(
    ("lost", "paired", "count"), [(0.0, True, 300), (0.0, False, 100), (0.3, True, 100)]
)
def test_false_positive_rate_is_at_most_level(lost, paired, count):
    frames = [null_frame(n, lost, paired) for n in range(count + 1)]
    cells = means = 0
    for a, b in itertools.pairwise(frames):
        cells += {c.verdict for c in compare_fid(a, b, margin=0.0)} != {"undecided"}
        means += overall_comparison(a, b, margin=0.0).verdict != "undecided"
    most = count * 0.05 + 3 * math.sqrt(count * 0.05 * 0.95)
    assert (cells <= most, means <= most) == (True, True)


# Sentences


def test_sentence_has_verdict_and_interval():
    better = single_comparison(table({"a": 1.0}), table({"a": 0.5}, random=1))
    text = format_comparison(better)
    assert text.startswith("digits / gan / hinge / a / cell=0, FID: better, 0.")
    assert f"times as much [{better.low:.3g}, {better.high:.3g}], 5 pairs, p = 0.0" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(verdict="worse"), "worse, 2 times as much [1.5, 3], 4 seeds, p = 0.01."),
        (dict(verdict="undecided", low=0.9), "undecided, 2 times as much [0.9, 3], 4 seeds"),
        (dict(verdict="equivalent"), "equivalent within 2 %, 2 times as much"),
        (dict(verdict="better", unit="difference"), "better, +2 [+1.5, +3], 4 seeds"),
        (dict(verdict="better", unit="log odds"), "better, +2 in log odds [+1.5, +3]"),
        (dict(verdict="worse", excess=2.0, failure_p=0.01),
         "worse, more trainings fail, 2 times as much [1.5, 3], 4 seeds"),
        (dict(verdict="better", excess=-2.0, failure_p=0.01, paired=True),
         "better, fewer trainings fail, 2 times as much [1.5, 3], 4 pairs"),
        (dict(verdict="better", paired=True, seeds=1), "better, 2 times as much [1.5, 3], 1 pair,"),
        (dict(verdict="new", reason="x"), "new, measured only after (before: x)."),
        (dict(verdict="missing", reason="x"), "missing, measured only before (after: x)."),
        (dict(verdict="not comparable", reason="why"), "not comparable, why."),
        (dict(verdict="not comparable"), "not comparable, no cell was trained on both sides."),
        (dict(verdict="identical"), "the same numbers in all trainings that both sides have."),
    ],
)  # fmt: skip
def test_sentences_of_verdicts(change, message):
    comparison = CellComparison(
        "fid", "lower", seeds=4, change=2, low=1.5, high=3, p=0.01, margin=0.02
    )
    verdict = ComparisonVerdict(change["verdict"])
    assert message in format_comparison(replace(comparison, **{**change, "verdict": verdict}))
    assert format_comparison(comparison).startswith("mean over all matched cells, FID: ")


def test_summary_counts_cells_per_metric():
    a = frame(*grid({**NO_CHANGE, "d": 1.0, "e": 1.0}), *grid({"a": 1.0}, metric="is"))
    b = frame(
        *grid({"a": 0.3, "b": 3.0, "c": 1.0, "f": 1.0}, random=1), *grid({"a": 1.0}, metric="is")
    )
    assert summarize_comparisons(compare_runs(a, b)) == [
        "FID of 6 cells: 1 better, 1 worse, 1 undecided, 1 new, 2 missing.",
        "IS of 1 cell: 1 identical.",
    ]
    assert summarize_comparisons([]) == []


def test_frame_has_one_row_per_comparison():
    comparisons = compare_runs(table(NO_CHANGE), table(NO_CHANGE, random=1))
    columns = [field.name for field in fields(CellComparison)]
    assert (
        comparisons_to_frame(comparisons).columns.tolist()
        == comparisons_to_frame([]).columns.tolist()
        == columns
    )
    for name in ("tricks", "p", "ended_after", "verdict"):
        assert comparisons_to_frame(comparisons)[name].tolist() == [
            getattr(c, name) for c in comparisons
        ]
    assert set(comparisons_to_frame(comparisons)["verdict"]) <= set(COMPARISON_VERDICTS)


def test_condition_differences_are_listed():
    a = frame(*grid(NO_CHANGE, code="1"), budget={"unit": "images", "amount": 64000})
    b = frame(
        *grid({"a": 1.0}, code="1", seeds=2),
        *grid({"b": 1.0}, code="2", seeds=2),
        budget={"unit": "generator_turns", "amount": 1000},
        device="cuda",
        provenance={"ganbench": "0", "code": "c", "torch": "u"},
    )
    a["processor"], b["processor"] = ["one CPU"] * (len(a) - 1) + ["a GPU"], "a GPU"
    assert list_condition_differences(a, b) == [
        "budget: 64,000 images before, 1,000 generator turns after",
        "device: cpu before, cuda after",
        "seeds: 0, 1, 2, 3, 4 before, 0, 1 after",
        "torch: t before, u after",
        "processor: one CPU, a GPU before, a GPU after",
        "training code: changed in 1 of 2 cells",
    ]


def modes_table(values, seeds=range(3), **names) -> pd.DataFrame:
    """Makes a table of counted modes: cells with one value each, the same in every seed."""
    counts = {"modes": {"direction": "higher", "transform": "none", "unit": "modes"}}
    rows = [
        row("none", seed, value, metric="modes", loss=loss, **names)
        for loss, value in values.items()
        for seed in seeds
    ]
    return frame(*rows, outcome="modes", metrics=counts)


def test_counts_that_all_fall_alike_got_worse():
    """Student's test has no error then, but counts have at least that of rounding."""
    a, b = (
        modes_table({"hinge": 10.0, "minimax": 10.0}),
        modes_table({"hinge": 2.0, "minimax": 2.0}),
    )
    assert {c.verdict for c in compare_runs(a, b)} == {"worse"}
    (mean,) = compare_overall(a, b)
    assert mean.verdict == "worse"
    assert mean.low < -8 < mean.high


def test_counts_that_all_fall_by_one_in_two_seeds_are_undecided():
    a, b = (modes_table({"hinge": value}, seeds=range(2)) for value in (10.0, 9.0))
    assert {c.verdict for c in compare_runs(a, b)} == {"undecided"}


def test_equal_factors_are_not_decided_by_rounding():
    a = table({"a": 1.0, "b": 2.0, "c": 3.0}, noise=0)
    b = table({"a": 1.3, "b": 2.6, "c": 3.9}, noise=0)
    assert {c.verdict for c in compare_fid(a, b)} == {"undecided"}
    assert overall_comparison(a, b).verdict == "undecided"


def test_missing_trainings_are_not_identical():
    a = frame(*cell([1.0, 2.0, 3.0]))
    b = frame(*cell([1.0])[:1], *[{**r, "outcome": None} for r in cell([None, None, None])[1:]])
    assert single_comparison(a, a).verdict == "identical"
    assert single_comparison(a, b).verdict != "identical"


def test_equal_metrics_in_another_order_are_no_difference():
    one, other = frame(row(value=1.0)), frame(row(value=1.0))
    other.attrs["plan"]["metrics"] = dict(reversed(other.attrs["plan"]["metrics"].items()))
    assert list_condition_differences(one, other) == []
