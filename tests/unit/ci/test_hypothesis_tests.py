"""Tests of hypotheses of the quality gate, against SciPy and statsmodels."""

import itertools
import math

import numpy as np
import pytest
from gate_runs import ALARMS
from scipy import stats
from statsmodels.stats.multitest import multipletests

from ganbench.analysis.metric_scale import MetricScale
from ganbench.ci.quality.hypothesis_tests import (
    FAILURES_METRIC,
    CellTrainings,
    failures_by_seed,
    p_of_more_failures,
    run_tests,
)
from ganbench.ci.quality.power import detectable_powers, detection_probability

pytestmark = pytest.mark.heavy

LOG, LOGIT = MetricScale("lower", "log"), MetricScale("higher", "logit")
COUNTS = MetricScale("higher", "none", "modes")


def log_normal_values(seed, count, mean=3.0, spread=0.1):
    return np.exp(np.random.default_rng(seed).normal(mean, spread, count)).tolist()


def cell_trainings(values, failed=0):
    return CellTrainings(len(values) + failed, failed, {"fid": values})


def run_cell_tests(before, after, margin=0.1, scale=LOG):
    return run_tests({"c": before}, {"c": after}, {"fid": scale}, {"fid": margin}, ALARMS)


def test_inferiority_equals_shifted_welch_test():
    before, after = log_normal_values(0, 24), log_normal_values(1, 8, 3.3, 0.3)
    (result, failures) = run_cell_tests(cell_trainings(before), cell_trainings(after))
    shifted = np.log(after) - math.log(1.1)
    expected = stats.ttest_ind(shifted, np.log(before), equal_var=False, alternative="greater")
    corrected = multipletests([expected.pvalue, failures.p], method="holm")[1]
    assert result.p == pytest.approx(corrected[0])
    assert failures.p == 1
    expected_bound = stats.ttest_ind(np.log(after), np.log(before), equal_var=False)
    assert result.bound == pytest.approx(expected_bound.confidence_interval(0.9).high)


def test_lower_value_of_higher_metric_is_worse():
    before, after = [0.8, 0.82, 0.81, 0.79], [0.4, 0.42, 0.41]
    sides = [CellTrainings(len(v), 0, {"fid": v}) for v in (before, after)]
    (result, _) = run_cell_tests(*sides, margin=0.2, scale=LOGIT)
    assert result.verdict == "worse"
    (result, _) = run_cell_tests(*reversed(sides), margin=0.2, scale=LOGIT)
    assert result.verdict == "not worse"


def test_failures_of_one_cell_equal_fisher_exact_test():
    before, after = cell_trainings([3.0] * 20, 1), cell_trainings([3.0] * 3, 5)
    *_, result = run_tests({"c": before}, {"c": after}, {"fid": LOG}, {}, ALARMS)
    expected = stats.fisher_exact([[5, 3], [1, 20]], alternative="greater")
    assert (result.metric, result.verdict) == (FAILURES_METRIC, "worse")
    assert result.p == pytest.approx(expected.pvalue)


def side_of_seeds(failed, seeds, cells=4):
    """Returns a side on which the same seeds fail in all cells."""
    values = [None if seed in failed else 3.0 for seed in range(seeds)]
    trainings = CellTrainings(seeds, len(failed), {"fid": values})
    return {f"cell {number}": trainings for number in range(cells)}


def test_cells_of_a_seed_fail_together():
    """Two of six seeds that fail in all cells prove no more than in one cell."""
    before, after = side_of_seeds({0}, 12), side_of_seeds({1, 4}, 6)
    *_, result = run_tests(before, after, {"fid": LOG}, {}, ALARMS)
    expected = stats.fisher_exact([[2, 4], [1, 11]], alternative="greater").pvalue
    assert result.p == pytest.approx(expected)
    assert result.counts == (48, 24)
    of_cells = stats.fisher_exact([[8, 16], [4, 44]], alternative="greater").pvalue
    assert of_cells < 0.02 < result.p


def test_permutation_of_seeds_equals_all_draws():
    before, after = [0, 1, 0, 0, 3], [2, 0, 3]
    sums = [sum(drawn) for drawn in itertools.combinations([*before, *after], len(after))]
    assert p_of_more_failures(before, after) == pytest.approx(np.mean(np.array(sums) >= sum(after)))


def test_failures_without_known_seeds_are_those_of_the_same_seeds():
    unknown = CellTrainings(4, 2, {"fid": [1.0, 2.0]})
    known = CellTrainings(4, 1, {"fid": [1.0, None, 2.0, 3.0]})
    assert failures_by_seed([unknown, unknown]) == [2, 2, 0, 0]
    assert failures_by_seed([unknown, known]) == [1, 2, 0, 0]


def test_too_few_values_are_not_tested():
    before, after = log_normal_values(0, 24), log_normal_values(1, 2)
    results = run_cell_tests(cell_trainings(before), cell_trainings(after))
    assert [result.metric for result in results] == [FAILURES_METRIC]


@pytest.mark.parametrize("value", [3.0, 4.0])
def test_values_without_variance_prove_nothing(value):
    (result, _) = run_cell_tests(cell_trainings([3.0] * 8), cell_trainings([value] * 4))
    assert result.verdict == "undecided"
    assert (result.p, math.isnan(result.bound)) == (1.0, True)


def mode_cells(rng, lost, cells=10, seeds=3):
    """Makes cells whose trainings lose one of eight modes with a probability."""
    values = 8.0 - (rng.random((cells, seeds)) < lost)
    return {f"c{n}": CellTrainings(seeds, 0, {"fid": v}) for n, v in enumerate(values.tolist())}


def test_equal_counts_raise_no_false_alarm():
    """Without the error of rounding, 15 % of these gates raised an alarm."""
    rng, gates, alarms = np.random.default_rng(0), 100, 0
    for _ in range(gates):
        sides = mode_cells(rng, 0.5), mode_cells(rng, 0.5)
        results = run_tests(*sides, {"fid": COUNTS}, {"fid": 0.5}, ALARMS)
        alarms += any(result.verdict == "worse" for result in results)
    assert alarms / gates <= 0.01


@pytest.mark.parametrize("cells", [1, 10])
def test_lost_modes_of_all_seeds_are_an_alarm(cells):
    before, after = (
        {f"c{n}": cell_trainings([value] * 3) for n in range(cells)} for value in (10.0, 3.0)
    )
    *results, _ = run_tests(before, after, {"fid": COUNTS}, {"fid": 0.5}, ALARMS)
    assert {result.verdict for result in results} == {"worse"}
    assert all(result.p > 0 for result in results)


def test_counts_that_stay_equal_are_not_worse():
    sides = (cell_trainings([8.0] * count) for count in (24, 8))
    (result, _) = run_cell_tests(*sides, margin=0.5, scale=COUNTS)
    assert (result.verdict, 0 < result.bound < 0.5) == ("not worse", True)


@pytest.mark.parametrize(("shift", "low", "high"), [(math.log(1.1), 0.003, 0.018), (0, 0, 0.001)])
def test_false_alarm_rate_is_nominal(shift, low, high):
    rng, gates = np.random.default_rng(0), 1500
    assert low <= sum(raises_alarm(rng, shift) for _ in range(gates)) / gates <= high


def raises_alarm(rng, shift):
    """Runs a gate of two cells that are both worse by `shift`."""
    cells = "ab"
    before = {c: cell_trainings(np.exp(rng.normal(0, 0.1, 24)).tolist()) for c in cells}
    after = {c: cell_trainings(np.exp(rng.normal(shift, 0.1, 8)).tolist()) for c in cells}
    results = run_tests(before, after, {"fid": LOG}, {"fid": 0.1}, ALARMS)
    return any(result.verdict == "worse" for result in results)


@pytest.mark.parametrize("worse", [0.25, 0.4])
def test_power_equals_simulated_rejection_rate(worse):
    rng, level, before, after = np.random.default_rng(1), 0.002, 24, 8
    baseline_values, new_values = (
        rng.normal(0, 0.15, (before, 4000)),
        rng.normal(worse - 0.1, 0.15, (after, 4000)),
    )
    results = stats.ttest_ind(new_values, baseline_values, equal_var=False, alternative="greater")
    share = np.mean(results.pvalue < level)
    assert detection_probability(worse, 0.15, before, after, 0.1, level) == pytest.approx(
        share, abs=0.04
    )


def test_detectable_changes_have_stated_power():
    (power,) = detectable_powers(
        {"c": cell_trainings(log_normal_values(0, 24))}, 8, {"fid": LOG}, {"fid": 0.1}, ALARMS
    )
    probabilities = [
        detection_probability(w, power.spread, 24, 8, power.margin, ALARMS / 2)
        for w in power.caught
    ]
    assert probabilities == pytest.approx([0.5, 0.8, 0.95])


def test_joint_test_uses_means_per_seed():
    """Noise that all cells share within a seed counts once."""
    rng = np.random.default_rng(3)
    cells = "abcd"
    shared = {count: rng.normal(0, 0.1, count) for count in (24, 8)}

    def side(count, shift):
        by_cell = {c: np.exp(rng.normal(shift, 0.02, count) + shared[count]) for c in cells}
        return {c: cell_trainings(values.tolist()) for c, values in by_cell.items()}

    before, after = side(24, 0.0), side(8, 0.5)
    *_, result, _ = run_tests(before, after, {"fid": LOG}, {"fid": 0.1}, ALARMS)
    means = [
        np.mean([np.log(t.values["fid"]) for t in each.values()], axis=0)
        for each in (before, after)
    ]
    expected = stats.ttest_ind(means[1], means[0], equal_var=False)
    assert result.cell == ""
    assert result.bound == pytest.approx(expected.confidence_interval(0.9).high)


def test_failed_seed_is_left_out_of_means():
    complete = cell_trainings(log_normal_values(0, 6))
    incomplete = CellTrainings(6, 1, {"fid": [None, *log_normal_values(1, 5)]})
    before, after = {"a": complete, "b": incomplete}, {"a": complete, "b": complete}
    *_, result, _ = run_tests(before, after, {"fid": LOG}, {"fid": 0.1}, ALARMS)
    assert (result.cell, result.counts) == ("", (5, 6))


def test_gate_of_one_seed_detects_nothing():
    (power,) = detectable_powers(
        {"c": cell_trainings(log_normal_values(0, 24))}, 1, {"fid": LOG}, {"fid": 0.1}, ALARMS
    )
    assert power.caught == (math.inf,) * 3
    (power,) = detectable_powers(
        {"c": cell_trainings(log_normal_values(0, 4))}, 2, {"fid": LOG}, {"fid": 0.1}, 1e-4
    )
    assert all(map(math.isfinite, power.caught))
