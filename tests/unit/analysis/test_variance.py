"""Variance over seeds, sensitivity to settings, and selection of checkpoints."""

import math
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from synthetic_rows import FACTS, arms, floor, frame, row

from ganbench.analysis.contrasts import arm_difference, estimate_contrast
from ganbench.analysis.fewer_seeds import tables_of_fewer_seeds
from ganbench.analysis.intervals import SCALES, t_interval
from ganbench.analysis.selection import checkpoint_selection
from ganbench.analysis.sensitivity import (
    axis_effects,
    own_setting,
    parse_settings_label,
    settings_sensitivity,
    sort_key_of_setting,
)
from ganbench.analysis.variance import (
    DETECTABLE_RATIOS,
    deviation_interval,
    power_of_test,
    scale_derivative,
    seeds_needed,
    seeds_table,
    variance_between_frames,
    variance_components,
)
from ganbench.experiments.cells import expand_cells
from ganbench.experiments.suite_loader import load_suite

SETTINGS = Path(__file__).parents[3] / "suites" / "settings.toml"
ARM = ["data", "tricks"]
TABLES = (
    variance_components,
    seeds_table,
    settings_sensitivity,
    axis_effects,
    checkpoint_selection,
    tables_of_fewer_seeds,
)


def single_row(table: pd.DataFrame) -> pd.Series:
    (entry,) = [series for _, series in table.iterrows()]
    return entry


# Frames without values


@pytest.mark.parametrize("table", TABLES)
def test_empty_frame_gives_empty_table(table):
    empty, full = table(frame()), table(frame(*arms({"r1": 0.5})))
    assert empty.empty
    assert list(empty.columns) == list(full.columns)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("outcome", ["diverged", "failed", "not_applicable", None])
def test_tables_without_values(table, outcome):
    rows = [row(seed=s, plan=f"lr={lr}", outcome=outcome or "x") for s in (0, 1) for lr in (1, 2)]
    row_frame = frame(*rows)
    row_frame["outcome"] = row_frame["outcome"].replace("x", None)
    if table is settings_sensitivity and outcome in ("diverged", "failed"):
        entry = single_row(table(row_frame))
        assert (entry["settings"], entry["broken"], entry["failures"]) == (2, 2, 4)
        assert entry["best"] is None
        assert entry[["best_mean", "worst_mean", "ratio", "near_best"]].isna().all()
    elif table is checkpoint_selection and outcome in ("diverged", "failed", None):
        assert table(row_frame)["trainings"].tolist() == [0, 0]
        assert (
            table(row_frame)[["last", "best", "ratio", "best_seed_illusion"]].isna().all(axis=None)
        )
    else:
        assert table(row_frame).empty


def test_only_last_values_of_trials_count():
    rows = arms({"r1": 0.5}, standard_error=0.1)
    others = [{**r, **new} for r in rows for new in (
        {"checkpoint": "best", "value": 99.0}, {"role": "untrained", "value": 99.0},
        {"kind": "curve", "checkpoint": None, "value": 99.0})]  # fmt: skip
    row_frame = frame(*rows, *others, floor(1.0))
    for table in (variance_components, seeds_table, tables_of_fewer_seeds):
        pd.testing.assert_frame_equal(table(row_frame), table(frame(*rows)))


# Variance


def test_variance_components_by_hand():
    values = {"none": [1.0, math.e**2], "r1": [math.e, math.e**2, math.e**3]}  # logs 0 2, 1 2 3
    rows = [
        row(t, s, v, standard_error=v / 2) for t, vs in values.items() for s, v in enumerate(vs)
    ]
    entry = single_row(variance_components(frame(*rows)))
    assert (entry["cells"], entry["trainings"]) == (2, 5)
    assert entry["total_sd"] == pytest.approx(math.sqrt((2 + 2) / 3))
    assert entry["sampling_sd"] == pytest.approx(0.5)  # error of the logarithm: error / value
    assert entry["training_sd"] == pytest.approx(math.sqrt(4 / 3 - 1 / 4))
    assert entry["sampling_share"] == pytest.approx(3 / 16)
    assert entry["median_sd"] == pytest.approx((math.sqrt(2) + 1) / 2)


@pytest.mark.parametrize("transform", SCALES)
def test_scale_derivative_equals_numeric_derivative(transform):
    scale = SCALES[transform].to
    for value in (0.01, 0.3, 0.9):
        numeric = (scale(value + 1e-6) - scale(value - 1e-6)) / 2e-6
        assert scale_derivative(transform, value) == pytest.approx(numeric, rel=1e-5)


@pytest.mark.parametrize(("transform", "value"), [("log", 0.0), ("logit", 0.0), ("logit", 1.0)])
def test_clipped_scale_has_zero_derivative(transform, value):
    assert scale_derivative(transform, value) == 0


@pytest.mark.parametrize("metric", FACTS)
def test_planted_variance_components_are_recovered(metric):
    rng, scale = np.random.default_rng(0), SCALES[FACTS[metric]["transform"]]
    training, sampling, rows = 0.3, 0.15, []
    for cell in range(300):
        for seed in range(5):
            transformed = 0.01 * cell - 1.5 + rng.normal(0, training)
            value = scale.back(transformed + rng.normal(0, sampling))
            error = sampling / scale_derivative(FACTS[metric]["transform"], value)
            rows.append(row(seed=seed, value=value, standard_error=error, metric=metric,
                             plan=f"cell={cell}"))  # fmt: skip
    entry = single_row(variance_components(frame(*rows)))
    total = math.hypot(training, sampling)
    assert entry["total_sd"] == pytest.approx(total, rel=0.06)
    assert entry["training_sd"] == pytest.approx(training, rel=0.08)
    assert entry["sampling_sd"] == pytest.approx(sampling)
    assert entry["sampling_share"] == pytest.approx(sampling**2 / total**2, rel=0.12)
    assert entry["low"] < total < entry["high"]


def test_deviation_interval_equals_chi_square():
    values = [1.0, 1.2, 0.9, 1.5]
    entry = single_row(
        variance_components(frame(*(row(seed=s, value=v) for s, v in enumerate(values))))
    )
    squares = np.var(np.log(values), ddof=1) * 3
    low, high = np.sqrt(squares / stats.chi2.ppf([0.975, 0.025], 3))
    assert (entry["low"], entry["high"]) == pytest.approx((low, high))


def test_deviation_interval_coverage():
    spreads = np.random.default_rng(0).normal(size=(2000, 5)).std(axis=1, ddof=1)
    intervals = [deviation_interval(sd, 4) for sd in spreads]
    assert np.mean([low < 1 < high for low, high in intervals]) == pytest.approx(0.95, abs=0.015)


def test_sampling_above_total_leaves_zero_training():
    rows = [row(seed=s, value=v, standard_error=1.0) for s, v in enumerate((1.0, 1.01))]
    entry = single_row(variance_components(frame(*rows)))
    assert (entry["training_sd"], entry["sampling_share"]) == (0, 1)


def test_missing_errors_leave_only_total():
    entry = single_row(variance_components(frame(*arms({}))))
    assert entry["total_sd"] > 0
    assert entry[["sampling_sd", "training_sd", "sampling_share"]].isna().all()


def test_single_seed_has_only_sampling_error():
    entry = single_row(variance_components(frame(*arms({"r1": 2.0}, seeds=1, standard_error=0.1))))
    assert (entry["cells"], entry["trainings"]) == (2, 2)
    assert entry["sampling_sd"] > 0
    assert entry[["total_sd", "low", "high", "training_sd", "sampling_share"]].isna().all()


def test_variance_has_row_per_data_and_metric():
    rows = [row(seed=s, value=1.0 + s, data=d, metric=m)
             for d in ("digits", "ring") for m in ("fid", "kid") for s in range(2)]  # fmt: skip
    names = variance_components(frame(*rows))[["data", "metric"]]
    assert set(names.itertuples(index=False, name=None)) == {
        (d, m) for d in ("digits", "ring") for m in ("fid", "kid")
    }


def test_equal_seeds_have_no_sampling_share():
    entry = single_row(variance_components(frame(*(row(seed=s, value=1.0) for s in range(3)))))
    assert entry["total_sd"] == 0
    assert math.isnan(entry["sampling_share"])


# Between frames


def remeasured_frame(rng, trials=200, sampling=0.1, shift=0.0):
    """Measures the same trials again, with new sampling errors."""
    rows = [row(seed=s, value=math.exp(s / trials + shift + rng.normal(0, sampling)))
            for s in range(trials)]  # fmt: skip
    return frame(*({**r, "standard_error": sampling * r["value"]} for r in rows))


def test_resampled_fakes_differ_by_standard_error():
    rng = np.random.default_rng(0)
    entry = single_row(variance_between_frames([remeasured_frame(rng) for _ in range(4)]))
    assert (entry["trials"], entry["frames"]) == (200, 4)
    assert entry["sd"] == pytest.approx(entry["standard_error"], rel=0.1)
    assert entry["own_sd"] == pytest.approx(entry["sd"], rel=0.05)
    assert entry["standard_error"] == pytest.approx(0.1)


def test_common_shift_is_not_own_sd():
    rng = np.random.default_rng(0)
    entry = single_row(
        variance_between_frames([remeasured_frame(rng, shift=shift) for shift in (0.0, 0.5, 1.0)])
    )
    assert entry["sd"] == pytest.approx(math.hypot(0.5, 0.1), rel=0.05)
    assert entry["own_sd"] == pytest.approx(0.1, rel=0.1)


def test_frames_compare_common_trials():
    first = frame(*(row(seed=s, value=v) for s, v in enumerate((1.0, 2.0, 4.0))))
    second = frame(row(seed=0, value=math.e), row(seed=1), row(seed=2, value=4.0))
    entry = single_row(variance_between_frames([first, second]))
    assert entry["trials"] == 2
    assert entry["sd"] == pytest.approx(
        0.5
    )  # root of half the mean of the squared differences 1 and 0
    assert entry["own_sd"] == pytest.approx(0.5)
    assert math.isnan(entry["standard_error"])


def test_metric_of_one_frame_is_not_compared():
    entry = single_row(variance_between_frames([frame(row(value=1.0)), frame()]))
    assert (entry["trials"], entry["frames"]) == (1, 1)
    assert math.isnan(entry["sd"])


def test_single_frame_raises():
    with pytest.raises(ValueError, match="at least two frames"):
        variance_between_frames([frame(row(value=1.0))])


# Seeds


DETECTABLE = {  # rise of the mean in percent, detectable with 3, 5, 10 and 20 seeds, by sd
    0.03: (10, 6, 4, 3),
    0.05: (17, 11, 7, 5),
    0.10: (36, 22, 14, 10),
    0.20: (84, 49, 30, 20),
}


@pytest.mark.parametrize("spread", DETECTABLE)
@pytest.mark.parametrize(("place", "seeds"), [*enumerate((3, 5, 10, 20))])
def test_seeds_needed_equal_published_table(spread, place, seeds):
    percent = DETECTABLE[spread][place]
    assert seeds_needed(spread, 1 + (percent + 1) / 100) <= seeds
    assert seeds_needed(spread, 1 + (percent - 1) / 100) > seeds


def test_unpaired_power_equals_simulation():
    rng, sd, change, seeds, draws = np.random.default_rng(0), 0.2, 0.7, 5, 4000
    none, trick = rng.normal(0, sd, (2, seeds, draws))
    p = stats.ttest_ind(trick + math.log(change), none).pvalue
    assert np.mean(p < 0.05) == pytest.approx(power_of_test(sd, change, seeds), abs=0.025)


def test_paired_power_equals_simulation():
    rng, sd, change, seeds, draws, shared = np.random.default_rng(0), 0.2, 0.8, 6, 4000, 0.7
    covariance = sd**2 * np.array([[1, shared], [shared, 1]])
    none, trick = rng.multivariate_normal([0, math.log(change)], covariance, (seeds, draws)).T
    p = stats.ttest_rel(trick, none, axis=1).pvalue
    expected = power_of_test(sd, change, seeds, correlation=shared)
    assert np.mean(p < 0.05) == pytest.approx(expected, abs=0.025)


@pytest.mark.parametrize("correlation", [None, -0.3, 0.0, 0.9])
@pytest.mark.parametrize(("sd", "change", "power", "level"), [
    (0.1, 0.95, 0.8, 0.05), (0.5, 1.3, 0.9, 0.01), (0.05, 0.9, 0.8, 0.05), (0.2, 0.99, 0.5, 0.1),
])  # fmt: skip
def test_seeds_needed_is_minimal(sd, change, power, level, correlation):
    seeds = seeds_needed(sd, change, power, level, correlation)
    assert power_of_test(sd, change, seeds, level, correlation) >= power
    assert seeds == 2 or power_of_test(sd, change, seeds - 1, level, correlation) < power


@pytest.mark.parametrize("seeds", [2, 3, 5, 20])
@pytest.mark.parametrize("size", [0.2, 1.0, 1.5])
def test_power_equals_statsmodels(seeds, size):
    power = pytest.importorskip("statsmodels.stats.power")
    change = math.exp(size)
    unpaired = power.TTestIndPower().power(size, seeds, 0.05)
    paired = power.TTestPower().power(size, seeds, 0.05)
    assert power_of_test(1.0, change, seeds) == pytest.approx(unpaired, abs=1e-6)
    assert power_of_test(1.0, change, seeds, correlation=0.5) == pytest.approx(paired, abs=1e-6)


def test_inverse_change_needs_equal_seeds():
    assert seeds_needed(0.2, 0.8) == seeds_needed(0.2, 1 / 0.8)


@pytest.mark.parametrize("correlation", [None, 1.0])
def test_zero_spread_needs_two_seeds(correlation):
    assert seeds_needed(0.0, 0.999, correlation=correlation) == 2
    assert seeds_needed(1e-9, 0.5, correlation=correlation) == 2


def test_small_changes_follow_normal_approximation():
    z = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    expected = 2 * (z * 0.5 / math.log(1.002)) ** 2
    assert seeds_needed(0.5, 1.002) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("sd", "change"), [(0.1, 1.0), (0.1, 0.0), (0.1, -1), (math.nan, 0.9), (math.inf, 0.9)]
)
def test_undetectable_change_raises(sd, change):
    with pytest.raises(ValueError, match="no number of seeds shows"):
        seeds_needed(sd, change)


def test_undefined_correlation_raises():
    with pytest.raises(ValueError, match="no number of seeds shows"):
        seeds_needed(0.1, 0.9, correlation=math.nan)


def test_seeds_table_uses_own_spread():
    values = {"none": [0.0, 0.2, 0.5, 0.1], "r1": [0.1, 0.4, 0.5, 0.0]}
    rows = [row(t, s, math.exp(v)) for t, vs in values.items() for s, v in enumerate(vs)]
    table = seeds_table(frame(*rows)).set_index("change")
    none, trick = values.values()
    covariance = np.cov(none, trick)
    sd = math.sqrt(np.trace(covariance) / 2)
    correlation = covariance[0, 1] / sd**2
    assert list(table.index) == list(DETECTABLE_RATIOS)
    for change, entry in table.iterrows():
        assert entry["unpaired"] == seeds_needed(sd, change)
        assert entry["paired"] == seeds_needed(sd, change, correlation=correlation)


@pytest.mark.parametrize("seeds", [1, 4])
def test_unknown_seeds_are_missing(seeds):
    table = seeds_table(frame(*arms({}, seeds=seeds)))
    assert len(table) == len(DETECTABLE_RATIOS)
    assert table["paired"].isna().all()
    assert table["unpaired"].isna().all() == (seeds == 1)


def test_arms_with_equal_values_have_a_correlation_of_one():
    """Rounding gave 1.0000000000000002, for which no number of seeds exists."""
    for start in range(30):
        values = np.exp(np.random.default_rng(start).normal(size=3))
        rows = [row(arm, s, v) for arm in ("none", "r1", "ema") for s, v in enumerate(values)]
        assert (seeds_table(frame(*rows))["paired"] == 2).all()


@pytest.mark.parametrize("outcome", ["kid", "modes"])
def test_seeds_table_needs_logarithmic_outcome(outcome):
    assert seeds_table(frame(*arms({"r1": 0.5}, metric=outcome), outcome=outcome)).empty


# Sensitivity


def family_rows(values: dict[str, list[float | None]], **names):
    """Makes rows of a family from its outcomes by settings label."""
    return [
        row(seed=s, value=v, plan=plan, **names)
        for plan, vs in values.items()
        for s, v in enumerate(vs)
    ]


def test_best_and_worst_settings_by_hand():
    entry = single_row(settings_sensitivity(frame(*family_rows({
        "lr=0.001": [4.0, 9.0], "lr=0.01": [40.0, 90.0], "": [6.5, 6.5], "lr=0.1": [7.0, 8.5],
    }))))  # fmt: skip
    assert (entry["settings"], entry["broken"], entry["trainings"], entry["failures"]) == (
        4,
        0,
        8,
        0,
    )
    assert (entry["best"], entry["worst"]) == ("lr=0.001", "lr=0.01")
    assert (entry["best_mean"], entry["worst_mean"]) == pytest.approx((6.0, 60.0))  # geometric
    assert entry["ratio"] == pytest.approx(10)
    assert entry["near_best"] == 0.5  # 6 and 6.5 are within 7.5; 7.71 and 60 are not


def test_best_setting_with_higher_is_better():
    rows = frame(*family_rows({"lr=1": [2.0], "": [8.0], "lr=2": [7.0]}, metric="is"), outcome="is")
    entry = single_row(settings_sensitivity(rows))
    assert (entry["best"], entry["worst"]) == ("own", "lr=1")
    assert entry["ratio"] == pytest.approx(1 / 4)
    assert entry["near_best"] == pytest.approx(2 / 3)


def test_failing_settings_are_not_near_best():
    values = {"lr=1": [1.0, None], "lr=2": [None, None], "lr=3": [1.1, 1.1]}
    entry = single_row(settings_sensitivity(frame(*family_rows(values))))
    assert (entry["settings"], entry["broken"], entry["trainings"], entry["failures"]) == (
        3,
        1,
        6,
        3,
    )
    assert entry["near_best"] == pytest.approx(2 / 3)
    assert entry["worst"] == "lr=3"


def test_settings_without_results_are_left_out():
    without = [row(plan="lr=3", outcome="not_applicable"), row(plan="lr=4", outcome="failed")]
    rows = frame(*family_rows({"lr=1": [1.0], "lr=2": [2.0]}), *without)
    rows.loc[rows["plan"] == "lr=4", "outcome"] = None
    assert single_row(settings_sensitivity(rows))["settings"] == 2


def test_sensitivity_is_per_family():
    rows = [*family_rows({"lr=1": [1.0], "lr=2": [2.0]}), *family_rows({"lr=1": [3.0]}, tricks="r1"),
             *family_rows({"lr=1": [1.0], "lr=2": [9.0]}, loss="minimax")]  # fmt: skip
    table = settings_sensitivity(frame(*rows)).set_index("loss")
    assert table["ratio"].to_dict() == pytest.approx({"hinge": 2.0, "minimax": 9.0})


def test_ratio_needs_positive_best():
    rows = frame(*family_rows({"lr=1": [-0.1], "lr=2": [0.2]}, metric="kid"), outcome="kid")
    entry = single_row(settings_sensitivity(rows))
    assert entry["best_mean"] == pytest.approx(-0.1)
    assert entry[["ratio", "near_best"]].isna().all()


@pytest.mark.parametrize(("label", "expected"), [
    ("", {}),
    ("lr=0.001", {"lr": "0.001"}),
    ("batch=64, generator_lr=0.0002", {"batch": "64", "generator_lr": "0.0002"}),
    ("betas=(0.5, 0.9), lr=1e-05, optimizer=rmsprop",
     {"betas": "(0.5, 0.9)", "lr": "1e-05", "optimizer": "rmsprop"}),
])  # fmt: skip
def test_settings_labels_are_parsed(label, expected):
    assert parse_settings_label(label) == expected


@pytest.mark.parametrize(("name", "axis", "expected"), [
    ("dcgan(width=16)", "lr", "0.0002"), ("wgan_gp", "betas", "(0.5, 0.9)"), ("gan", "batch", "64"),
    ("unrolled", "lr", "own"), ("unrolled", "generator_lr", "0.001"), ("gone", "lr", "own"),
    ("gan", "cell", "own"),
])  # fmt: skip
def test_omitted_settings_come_from_variant(name, axis, expected):
    assert own_setting(name, axis) == expected


def test_setting_values_sort_by_size():
    assert sorted(["0.001", "1e-05", "own", "0.2"], key=sort_key_of_setting) == [
        "1e-05",
        "0.001",
        "0.2",
        "own",
    ]
    pairs = ["(0.9, 0.999)", "(0.5, 0.999)", "(0.5, 0.9)"]
    assert sorted(pairs, key=sort_key_of_setting) == pairs[::-1]


def test_axis_effect_by_hand():
    values = {"lr=0.001": [4.0, 8.0, 8.0], "": [2.0, 2.0, 4.0], "batch=128": [1.0, 1.0, 1.0]}
    table = axis_effects(frame(*family_rows(values))).set_index("axis")
    assert list(table.index) == ["batch", "lr"]
    assert table.loc["lr", ["before", "after", "families", "pairs"]].tolist() == [
        "0.0002",
        "0.001",
        1,
        3,
    ]
    change = t_interval(np.log([2.0, 4.0, 2.0]).tolist())
    expected = np.exp([change.mean, change.low, change.high])
    assert table.loc["lr", ["change", "low", "high"]].tolist() == pytest.approx(expected)
    assert table.loc["batch", ["before", "after"]].tolist() == ["64", "128"]


def test_axis_effects_match_other_settings():
    rows = [*family_rows({"batch=8, lr=1": [1.0, 1.0], "batch=8, lr=2": [2.0, 2.0]}),
             *family_rows({"batch=8, lr=1": [5.0, 5.0], "batch=9, lr=2": [99.0, 99.0]}, loss="minimax"),
             *family_rows({"batch=8, lr=1": [9.0, 9.0], "batch=8, lr=2": [36.0, 36.0]}, tricks="r1"),
    ]  # fmt: skip
    entry = single_row(axis_effects(frame(*rows)))
    assert (entry["axis"], entry["families"], entry["pairs"]) == ("lr", 2, 4)
    assert entry["change"] == pytest.approx(math.sqrt(2 * 4))


def test_failed_setting_separates_neighbours():
    table = axis_effects(frame(*family_rows({"lr=1": [1.0], "lr=2": [None], "lr=3": [3.0]})))
    assert table.empty
    table = axis_effects(frame(*family_rows({"lr=1": [1.0], "lr=2": [2.0], "lr=10": [3.0]})))
    assert table[["before", "after"]].to_numpy().tolist() == [["1", "2"], ["2", "10"]]


@pytest.mark.parametrize(("outcome", "changes"), [("kid", (0.1, 0.3)), ("fid", (2.0, 2.0))])
def test_axis_change_uses_scale_of_outcome(outcome, changes):
    values = {"lr=1": [0.1, 0.2], "lr=2": [0.2, 0.4]}
    entry = single_row(axis_effects(frame(*family_rows(values, metric=outcome), outcome=outcome)))
    expected = math.sqrt(math.prod(changes)) if outcome == "fid" else 0.15
    assert entry["change"] == pytest.approx(expected)


WELCH = partial(stats.ttest_ind, equal_var=False)


@pytest.mark.parametrize(("paired", "test"), [(True, stats.ttest_rel), (False, WELCH)])
def test_single_family_equals_scipy_t_test(paired, test):
    rng = np.random.default_rng(0)
    logs = rng.normal(size=(2, 6))
    values = {f"lr={n + 1}": np.exp(side).tolist() for n, side in enumerate(logs)}
    entry = single_row(axis_effects(frame(*family_rows(values), paired=paired)))
    interval = test(logs[1], logs[0]).confidence_interval()
    assert (entry["low"], entry["high"]) == pytest.approx(tuple(np.exp(interval)))


def test_axis_effect_is_the_contrast_of_families():
    """Another data set is another family; contrasts have tests of their own."""
    rng = np.random.default_rng(0)
    logs = rng.normal(size=(2, 2, 4))  # [families, settings, seeds]
    rows = [
        row
        for data, sides in zip(("digits", "ring"), logs, strict=True)
        for row in family_rows(
            {f"lr={n + 1}": np.exp(side).tolist() for n, side in enumerate(sides)}, data=data
        )
    ]
    entry = single_row(axis_effects(frame(*rows, paired=True)))
    estimate = estimate_contrast([arm_difference(after, before, True) for before, after in logs])
    expected = np.exp([estimate.mean, *estimate.interval()])
    assert tuple(entry[["change", "low", "high"]]) == pytest.approx(tuple(expected))
    assert (entry["families"], entry["pairs"]) == (2, 8)


def test_planted_axis_effects_are_recovered():
    rng, rows = np.random.default_rng(0), []
    for trick in ("none", "r1"):
        for batch, lr in ((b, r) for b in (32, 128) for r in (0.001, 0.01, 0.1)):
            level = (
                {"none": 1, "r1": 9}[trick]
                * (2 if batch == 128 else 1)
                * {0.001: 1, 0.01: 0.5, 0.1: 4}[lr]
            )
            noise = np.exp(rng.normal(0, 0.05, 5))
            rows += family_rows({f"batch={batch}, lr={lr}": (level * noise).tolist()}, tricks=trick)
    table = axis_effects(frame(*rows))
    expected = [
        ("batch", "32", "128", 6, 2.0),
        ("lr", "0.001", "0.01", 4, 0.5),
        ("lr", "0.01", "0.1", 4, 8.0),
    ]
    for entry, (*names, families, change) in zip(table.itertuples(), expected, strict=True):
        assert [entry.axis, entry.before, entry.after] == names
        assert (entry.families, entry.pairs) == (families, 5 * families)
        assert entry.change == pytest.approx(change, rel=0.1)
        assert entry.low < change < entry.high


# The suite settings.toml


@pytest.fixture(scope="module")
def settings_suite():
    return expand_cells(load_suite(SETTINGS))[0]


PUBLISHED = {  # SNGAN, table 1: learning rate, betas, discriminator steps
    "A": (1e-4, (0.5, 0.9), 5),
    "B": (1e-4, (0.5, 0.999), 1),
    "C": (2e-4, (0.5, 0.999), 1),
    "D": (1e-3, (0.5, 0.9), 5),
    "E": (1e-3, (0.5, 0.999), 5),
    "F": (1e-3, (0.9, 0.999), 5),
}


def published_settings(plan):
    assert plan.generator_lr == plan.discriminator_lr
    assert plan.generator_betas == plan.discriminator_betas
    return plan.generator_lr, plan.generator_betas, plan.discriminator_turns


def test_suite_has_settings_of_the_paper(settings_suite):
    methods = {}
    for cell in settings_suite:
        methods.setdefault((cell.variant, cell.tricks), []).append(
            published_settings(cell.recipe.hyperparameters)
        )
    assert len(methods) == 3
    for settings in methods.values():
        assert sorted(settings) == sorted(PUBLISHED.values())


def test_labels_of_suite_are_parsed(settings_suite):
    rows = [
        row(" + ".join(c.tricks) or "none", seed, made_up_outcome(c.recipe.hyperparameters),
            variant=c.variant, loss=c.loss, plan=c.plan)
        for c in settings_suite
        for seed in range(2)
    ]  # fmt: skip
    row_frame = frame(*rows)
    assert settings_sensitivity(row_frame)["settings"].tolist() == [6, 6, 6]
    assert settings_sensitivity(row_frame)["ratio"].tolist() == pytest.approx([160] * 3)
    moves = [
        ("betas", "(0.5, 0.9)", "(0.5, 0.999)", 2.0),  # D to E
        ("betas", "(0.5, 0.999)", "(0.9, 0.999)", 4.0),  # E to F
        ("lr", "0.0001", "0.0002", 3.0),  # B to C
        ("lr", "0.0001", "0.001", 10.0),  # A to D
    ]
    table = axis_effects(row_frame)
    assert (table["families"] == 3).all()
    rows = table[["axis", "before", "after", "change"]].itertuples(index=False, name=None)
    for entry, expected in zip(rows, moves, strict=True):
        assert entry[:3] == expected[:3]
        assert entry[3] == pytest.approx(expected[3])


def made_up_outcome(plan):
    """Returns a made-up outcome for a setting."""
    letter = next(k for k, v in PUBLISHED.items() if v == published_settings(plan))
    return {"A": 2.0, "B": 1.0, "C": 3.0, "D": 20.0, "E": 40.0, "F": 160.0}[letter]


# Selection


def checkpoint_rows(last: list[float | None], best: list[float | None], **names):
    checkpoints = {"last": last, "best": best}
    return [row(seed=s, value=v, checkpoint=c, **names) for c, values in checkpoints.items()
            for s, v in enumerate(values)]  # fmt: skip


def test_checkpoint_selection_by_hand():
    last, best = [4.0, 9.0, 6.0], [2.0, 9.0, 6.0]
    entry = single_row(checkpoint_selection(frame(*checkpoint_rows(last, best))))
    assert (entry["trainings"], entry["cells"]) == (3, 1)
    assert (entry["last"], entry["best"]) == pytest.approx((6.0, 108 ** (1 / 3)))
    change = t_interval(np.log([0.5, 1.0, 1.0]).tolist())
    expected = [math.exp(x) for x in (change.mean, change.low, change.high)]
    assert entry[["ratio", "low", "high"]].tolist() == pytest.approx(expected)
    assert entry["best_seed_illusion"] == pytest.approx(4 / 6)


def test_selection_ratio_equals_scipy():
    rng = np.random.default_rng(0)
    logs = rng.normal(size=(2, 7))
    entry = single_row(checkpoint_selection(frame(*checkpoint_rows(*np.exp(logs).tolist()))))
    interval = stats.ttest_rel(logs[1], logs[0]).confidence_interval()
    assert (entry["low"], entry["high"]) == pytest.approx(tuple(np.exp(interval)))


def test_best_seed_with_higher_is_better():
    rows = frame(*checkpoint_rows([2.0, 8.0], [4.0, 8.0], metric="is"), outcome="is")
    assert single_row(checkpoint_selection(rows))["best_seed_illusion"] == pytest.approx(2.0)


def test_selection_on_other_scales_is_difference():
    rows = frame(*checkpoint_rows([-0.1, 0.3], [-0.2, 0.3], metric="kid"), outcome="kid")
    entry = single_row(checkpoint_selection(rows))
    actual = entry[["last", "best", "ratio", "best_seed_illusion"]].tolist()
    assert actual == pytest.approx([0.1, 0.05, -0.05, -0.2])


def test_ratio_needs_both_checkpoints():
    entry = single_row(
        checkpoint_selection(frame(*checkpoint_rows([1.0, 2.0, None], [0.5, None, None])))
    )
    assert (entry["trainings"], entry["last"], entry["ratio"]) == pytest.approx((1, 1.0, 0.5))
    assert math.isnan(entry["low"])


def test_single_seed_has_no_illusion():
    assert math.isnan(
        single_row(checkpoint_selection(frame(*checkpoint_rows([1.0], [1.0]))))[
            "best_seed_illusion"
        ]
    )


def test_selection_averages_over_cells():
    rows = [*checkpoint_rows([1.0, 1.0], [0.5, 0.5], plan="lr=1"),
             *checkpoint_rows([100.0, 100.0], [12.5, 12.5], plan="lr=2"), *checkpoint_rows([1.0], [1.0], tricks="r1"),
    ]  # fmt: skip
    table = checkpoint_selection(frame(*rows), ARM).set_index("tricks")
    assert table["cells"].to_dict() == {"none": 2, "r1": 1}
    assert table.loc["none", ["last", "best", "ratio"]].tolist() == pytest.approx([10, 2.5, 0.25])


@pytest.mark.parametrize(("seeds", "expected"), [(3, -0.85), (5, -1.16), (10, -1.54)])
def test_best_seed_illusion_equals_expected_minimum(seeds, expected):
    rows = arms({}, seeds, cells=(1.0,) * 600, noise=0.1)
    entry = single_row(checkpoint_selection(frame(*rows), ARM))
    assert math.log(entry["best_seed_illusion"]) / 0.1 == pytest.approx(expected, abs=0.07)


def test_learning_curves_are_not_checkpoints():
    curve = [row(value=99.0, kind="curve", checkpoint=None, step=n) for n in range(2)]
    assert (
        single_row(checkpoint_selection(frame(*checkpoint_rows([1.0], [1.0]), *curve)))["last"]
        == 1.0
    )
