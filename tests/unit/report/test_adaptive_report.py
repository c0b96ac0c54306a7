"""Reports of runs with adaptive seeds: seeds of arms, reasons, levels of intervals, commands."""

import pytest
from synthetic_rows import arms, frame

from ganbench.analysis.interactions import all_interactions
from ganbench.analysis.intervals import t_interval
from ganbench.analysis.leaderboard import leaderboard
from ganbench.analysis.rank_interval import separable_pairs
from ganbench.analysis.rates import failure_rates
from ganbench.experiments.suite import AdaptiveSeeds
from ganbench.report.effects import effect_sections, render_effects
from ganbench.report.findings import SuiteChanges, run_findings
from ganbench.report.markdown import render_leaderboard
from ganbench.report.page import render_page
from ganbench.report.page.provenance import rerun_command
from ganbench.report.report import SuiteReport

SEEDS = {"a": (3, "helps"), "b": (5, "little chance")}


def record(**changes):
    effects = [
        {"tricks": name, "seeds": seeds, "state": state} for name, (seeds, state) in SEEDS.items()
    ]
    settings = AdaptiveSeeds(trainings=40, **changes).model_dump()
    return {**settings, "taken": 2, "over": True, "effects": effects}


@pytest.fixture(scope="module")
def rows():
    drawn = arms({"a": 0.3, "b": 0.97}, seeds=5, cells=(1.0, 2.0, 3.0), loss="hinge")
    drawn += arms(
        {"a": 0.3, "b": 0.97}, seeds=5, cells=(1.0, 2.0, 3.0), loss="wasserstein", random=1
    )
    kept = [r for r in drawn if r["tricks"] == "none" or r["seed"] < SEEDS[r["tricks"]][0]]
    return frame(*kept, adaptive=record())


@pytest.fixture(scope="module")
def fixed(rows):
    table = rows.copy()
    table.attrs = {"plan": {k: v for k, v in rows.attrs["plan"].items() if k != "adaptive"}}
    return table


def test_effects_have_seeds_and_the_reason_for_their_end(rows):
    text = render_effects(rows, effect_sections(rows, SuiteChanges.of(rows)))
    pooled = [line for line in text.splitlines() if line.startswith("| all       | all ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in pooled]
    assert [(c[2], c[14], c[15], c[16]) for c in cells] == [
        ("a", "3", "helps", "decided"),
        ("b", "5", "undecided", "undecided, with little chance of a decision"),
    ]
    assert "Budget: 40 trainings" in text
    assert "Holm" not in text.partition("## Interactions")[0]


def test_fixed_seeds_have_no_such_columns(fixed):
    sections = effect_sections(fixed, SuiteChanges.of(fixed))
    text = render_effects(fixed, sections)
    assert "p (Holm)" in text
    assert "| ended" not in text
    assert "seeds" not in sections["effects"]


def test_intervals_of_arms_share_the_error_between_looks(rows):
    board = leaderboard(rows)
    trained = board[board["role"].eq("trial")]
    for entry in trained.to_dict("records"):
        own = rows[rows["tricks"].eq(entry["tricks"]) & rows["plan"].eq(entry["plan"])]
        values = own.loc[own["loss"].eq(entry["loss"]), "value"].tolist()
        expected = t_interval(values, "log", 1 - 0.05 / 4)
        assert (entry["fid low"], entry["fid high"]) == pytest.approx((expected.low, expected.high))


def test_ranks_are_corrected_for_pairs_of_looks():
    values = [[0.0, 0.1, 0.2], [0.3, 0.4, 0.5]]  # p = 0.021
    assert separable_pairs(values)[0, 1]
    assert not separable_pairs(values, looks=4)[0, 1]
    assert separable_pairs([[0.0, 0.1, 0.2], [10.3, 10.4, 10.5]], looks=4)[0, 1]


def test_interactions_are_corrected_for_looks_and_use_common_seeds(rows, fixed):
    with_looks = {(i.kind, i.tricks): i for i in all_interactions(rows)}
    without = {(i.kind, i.tricks): i for i in all_interactions(fixed)}
    assert with_looks.keys() == without.keys()
    for key, interaction in with_looks.items():
        assert interaction.ratio == pytest.approx(without[key].ratio)
        assert interaction.p >= min(1, 4 * without[key].p) * (1 - 1e-9)
        assert interaction.low < without[key].low


def test_failure_rates_are_corrected_for_looks(rows, fixed):
    for one, other in zip(failure_rates(rows), failure_rates(fixed), strict=True):
        assert (one.rate, one.low, one.high) == (other.rate, other.low, other.high)


def test_leaderboard_and_findings_name_rule_and_correction(rows):
    text = render_leaderboard(rows, leaderboard(rows), [])
    assert "Seeds: 3 to 5 (adaptive)" in text
    assert "2 of 4 looks were taken" in text
    assert any("corrected for effects and looks" in line for line in run_findings(rows))


def test_page_has_the_rule_and_the_same_command(rows, tmp_path):
    page = render_page(SuiteReport.of(rows), tmp_path)
    assert "a: 3 seeds, decided" in page.replace("<wbr>", "")
    assert "level of Holm's test" not in page
    assert "--seeds" not in rerun_command(rows.attrs["plan"])
