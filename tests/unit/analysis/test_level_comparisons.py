"""Comparisons of variants and of losses equal tests of SciPy, and keep their error."""

import math

import numpy as np
import pytest
from scipy import stats
from synthetic_rows import frame, row

from ganbench.analysis.intervals import CONFIDENCE_LEVEL
from ganbench.analysis.level_comparisons import level_comparisons

SEEDS = 5
RANDOM = np.random.default_rng(0)
LOGS = RANDOM.normal(3, 0.4, (4, SEEDS))  # of outcomes, for up to four cells


def rows_of(logs, **names):
    """Makes the rows of a cell from the logarithms of its outcomes; NaN is a lost training."""
    return [
        row(seed=seed, value=None if math.isnan(x) else math.exp(x), **names)
        for seed, x in enumerate(logs)
    ]


def compare(*cells, **options):
    """Compares cells, which are pairs of outcomes and names."""
    return level_comparisons(
        frame(*[r for logs, names in cells for r in rows_of(logs, **names)], **options)
    )


def log_interval(entry):
    return np.log([entry["change"], entry["low"], entry["high"]]).tolist()


def expected_interval(test, mean):
    interval = test.confidence_interval(CONFIDENCE_LEVEL)
    return pytest.approx([mean, interval.low, interval.high])


def test_two_variants_are_compared_by_welchs_test():
    (entry,) = compare((LOGS[0], {"variant": "a"}), (LOGS[1], {"variant": "b"})).to_dict("records")
    test = stats.ttest_ind(LOGS[0], LOGS[1], equal_var=False)
    assert log_interval(entry) == expected_interval(test, LOGS[0].mean() - LOGS[1].mean())
    assert entry["p"] == pytest.approx(test.pvalue)
    assert (entry["factor"], entry["one"], entry["other"]) == ("variant", "a", "b")
    assert (entry["cells"], entry["trainings_of_one"], entry["lost_of_one"]) == (1, SEEDS, 0)


@pytest.mark.parametrize("paired", [True, False])
def test_two_losses_are_paired_as_the_suite_declares(paired):
    (entry,) = compare((LOGS[0], {"loss": "a"}), (LOGS[1], {"loss": "b"}), paired=paired).to_dict(
        "records"
    )
    test = (
        stats.ttest_rel(LOGS[0], LOGS[1])
        if paired
        else stats.ttest_ind(LOGS[0], LOGS[1], equal_var=False)
    )
    assert log_interval(entry) == expected_interval(test, LOGS[0].mean() - LOGS[1].mean())
    assert entry["p"] == pytest.approx(test.pvalue)


def test_cells_of_a_network_count_each_seed_once():
    """Trainings of one seed share initial weights, so that their means are the samples."""
    cells = [
        (logs, {"variant": variant, "tricks": tricks})
        for logs, (variant, tricks) in zip(
            LOGS, [("a", "none"), ("b", "none"), ("a", "r1"), ("b", "r1")], strict=True
        )
    ]
    (entry,) = compare(*cells).to_dict("records")
    of_a, of_b = (LOGS[0] + LOGS[2]) / 2, (LOGS[1] + LOGS[3]) / 2
    test = stats.ttest_ind(of_a, of_b, equal_var=False)
    assert log_interval(entry) == expected_interval(test, of_a.mean() - of_b.mean())
    assert entry["cells"] == 2


def test_losses_of_two_networks_are_independent():
    cells = [
        (logs, {"variant": variant, "loss": loss})
        for logs, (variant, loss) in zip(
            LOGS, [("m", "a"), ("m", "b"), ("n", "a"), ("n", "b")], strict=True
        )
    ]
    found = compare(*cells).set_index("factor")
    changes = LOGS[0] - LOGS[1], LOGS[2] - LOGS[3]
    variances = np.array([c.var(ddof=1) / SEEDS for c in changes]) / 4
    freedom = variances.sum() ** 2 / (variances**2 / (SEEDS - 1)).sum()
    mean, error = np.mean(changes), math.sqrt(variances.sum())
    expected = stats.t.interval(CONFIDENCE_LEVEL, freedom, mean, error)
    assert log_interval(found.loc["loss"]) == pytest.approx([mean, *expected])


def test_three_levels_have_holms_correction():
    names = [{"loss": name} for name in "abc"]
    found = compare(*zip(LOGS, names, strict=False))
    single = [stats.ttest_rel(LOGS[i], LOGS[j]).pvalue for i, j in ((0, 1), (0, 2), (1, 2))]
    order, least = np.argsort(single), 0.0
    for rank, place in enumerate(order):
        least = max(least, min(1.0, (3 - rank) * single[place]))
        assert found["p"][place] == pytest.approx(least)


def test_other_settings_are_in_no_common_block():
    own = [{"variant": "a", "loss": "x", "plan": "lr=1"}, {"variant": "b", "loss": "y"}]
    (entry,) = compare(*zip(LOGS, own, strict=False)).to_dict("records")
    assert (entry["factor"], entry["cells"]) == ("variant", 1)
    two_losses = [*own, {"variant": "a", "loss": "z", "plan": "lr=1"}]
    found = compare(*zip(LOGS, two_losses, strict=False))
    assert found["factor"].tolist() == ["loss"]  # the variants have no loss in common


def test_lost_trainings_are_counted():
    logs = [math.nan, *LOGS[0][1:]]
    (entry,) = compare((logs, {"loss": "a"}), (LOGS[1], {"loss": "b"})).to_dict("records")
    assert (entry["trainings_of_one"], entry["lost_of_one"]) == (SEEDS - 1, 1)
    assert (entry["trainings_of_other"], entry["lost_of_other"]) == (SEEDS, 0)
    always_lost = ([math.nan] * SEEDS, {"loss": "a"})
    assert compare(always_lost, (LOGS[1], {"loss": "b"})).empty


@pytest.mark.parametrize(("shift", "verdict"), [(-3, "better"), (3, "worse"), (0, "undecided")])
def test_verdict_is_that_of_the_first_level(shift, verdict):
    spread = np.linspace(-0.1, 0.1, SEEDS)
    cells = (spread + shift, {"variant": "a"}), (spread[::-1], {"variant": "b"})
    (entry,) = compare(*cells).to_dict("records")
    assert entry["verdict"] == verdict
    assert (entry["adjusted_low"] > 1 or entry["adjusted_high"] < 1) == (verdict != "undecided")


def test_adaptive_seeds_are_not_compared():
    cells = (LOGS[0], {"variant": "a"}), (LOGS[1], {"variant": "b"})
    record = {"rounds": [2, 5], "error": 0.05, "taken": 1, "effects": []}
    assert compare(*cells, adaptive=record).empty


@pytest.mark.slow
def test_equal_levels_are_rarely_told_apart():
    """Over 400 grids of three equal variants, with noise that both cells of a seed share."""
    rng, wrong = np.random.default_rng(1), 0
    for _ in range(400):
        cells = []
        for variant in "abc":
            common = rng.normal(0, 0.5, SEEDS)
            cells += [
                (common + rng.normal(0, 0.2, SEEDS), {"variant": variant, "tricks": tricks})
                for tricks in ("none", "r1")
            ]
        wrong += compare(*cells)["verdict"].ne("undecided").any()
    assert stats.binomtest(int(wrong), 400, 0.05, alternative="greater").pvalue > 0.001
    assert wrong > 0  # the tests are not empty
