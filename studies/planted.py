"""Recovery of planted effects by the analysis: writes results/published/planted.

    PYTHONPATH=tests .venv/bin/python studies/planted.py     writes the table and its page, in minutes

No network is trained: the grids are simulated. Each claim of the analysis is compared with the planted
effect.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from planted_page import FAMILY, HC3_INTERVAL, HC3_SCENARIO, WELCH_INTERVAL, Row, render_page
from planted_scenarios import (
    EQUIVALENCE_MARGIN,
    OTHER_ARMS,
    SCENARIOS,
    Scenario,
    Values,
    draw_grids,
    draw_unequal_noise,
)
from scipy import stats

from ganbench.analysis.contrasts import Estimate, contrast_on_background, estimate_contrast
from ganbench.analysis.effects import (
    Effect,
    estimate_effects,
    names_of_effects,
    outcome_rows,
    trick_effects,
)
from ganbench.analysis.interactions import Interaction, all_interactions
from ganbench.analysis.intervals import CONFIDENCE_LEVEL
from ganbench.analysis.rates import FailureRate, failure_rates

PUBLISHED = Path(__file__).parents[1] / "results" / "published" / "planted"
POWER_GRIDS = 40  # grids with the errors that predict the power
HC3_GRIDS = 4000
SIGNIFICANT_DIGITS = 4
KEYS = ["scenario", "kind", "what"]
VERDICTS = ["helps", "harms", "equivalent", "undecided"]
NUMBERS = ["planted", "grids", "estimated", "low", "high", "coverage", "recovered", "wrong"]
COLUMNS = [*KEYS, *NUMBERS, *VERDICTS, "smallest", "predicted"]


# Claims


def collect_claims(scenario: Scenario, count: int | None = None) -> pd.DataFrame:
    """Analyses the grids of a scenario; returns one row per claim and grid."""
    rows = [
        {"scenario": scenario.name, "grid": number, **claim}
        for number, grid in enumerate(draw_grids(scenario, count))
        for claim in analyse_grid(scenario, grid)
    ]
    return pd.DataFrame(rows)


def analyse_grid(scenario: Scenario, grid: pd.DataFrame) -> Iterator[Row]:
    yield from (check_effect(scenario, effect) for effect in trick_effects(grid))
    if scenario.with_interactions:
        for interaction in all_interactions(grid):
            yield check_interaction(scenario, interaction)
    if scenario.failure_shares:
        yield from (check_failure_rate(scenario, rate) for rate in failure_rates(grid))


def check_effect(scenario: Scenario, effect: Effect) -> Row:
    planted = float(np.exp(scenario.compute_effect(effect.tricks)))
    return {
        "kind": "effect",
        "what": effect.tricks,
        "smallest": effect.smallest,
        **classify_estimate(planted, effect),
        "verdict": effect.verdict,
    }


def check_interaction(scenario: Scenario, interaction: Interaction) -> Row:
    of_tricks = interaction.kind == "trick × trick"
    planted_log = (
        scenario.compute_trick_interaction if of_tricks else scenario.compute_level_interaction
    )
    planted = math.exp(planted_log(interaction.tricks, interaction.where))
    name = f"{interaction.tricks} × {interaction.where}"
    what = "all others" if math.isclose(planted, 1) else name
    return {"kind": interaction.kind, "what": what, **classify_estimate(planted, interaction)}


def check_failure_rate(scenario: Scenario, rate: FailureRate) -> Row:
    """Compares a rate with the planted one; the claim is the randomization test against no trick."""
    usual = scenario.failure_shares[OTHER_ARMS]
    planted = scenario.get_failure_share(rate.tricks)
    sign = np.sign(rate.more - rate.fewer) if rate.p < 1 - CONFIDENCE_LEVEL else 0
    return {
        "kind": "failures",
        "what": rate.tricks if planted != usual else "all others",
        "planted": planted,
        "ratio": rate.rate,
        "low": rate.low,
        "high": rate.high,
        **classify_sign(sign, planted, usual),
    }


def classify_estimate(planted: float, estimate: Effect | Interaction) -> Row:
    """Classifies the verdict on a ratio; `equivalent` is right for a change within the margin."""
    is_claimed = estimate.verdict in ("helps", "harms", "differs")
    sign = np.sign(estimate.ratio - 1.0) if is_claimed else 0
    # The tolerance keeps a change of exactly the margin outside.
    within_margin = abs(math.log(planted)) < -math.log(1 - EQUIVALENCE_MARGIN) - 1e-9
    equivalent = estimate.verdict == "equivalent" and within_margin
    interval = {"ratio": estimate.ratio, "low": estimate.low, "high": estimate.high}
    return {"planted": planted, **interval, **classify_sign(sign, planted, 1.0, equivalent)}


def classify_sign(sign: float, planted: float, null: float, equivalent: bool = False) -> Row:
    """Returns whether a claim has the planted sign, and whether it has a wrong one.

    A sign of 0 claims no change.
    """
    planted_sign = 0 if math.isclose(planted, null) else np.sign(planted - null)
    return {
        "recovered": sign == planted_sign or equivalent,
        "wrong": sign not in (0, planted_sign),
    }


# Summaries


def summarize_scenario(scenario: Scenario, count: int | None = None) -> pd.DataFrame:
    """Returns one row per planted effect, and one per family of claims."""
    claims = collect_claims(scenario, count)
    rows = [
        dict(zip(KEYS, key, strict=True)) | summarize_claims(group)
        for key, group in claims.groupby(KEYS, sort=False)
    ]
    table = pd.concat([pd.DataFrame(rows), summarize_families(claims)], ignore_index=True)
    powers = table["what"].map(predict_powers(scenario))
    table["predicted"] = powers.where(table["kind"].eq("effect"))
    return table.reindex(columns=COLUMNS)


def summarize_claims(claims: pd.DataFrame) -> Row:
    """Returns means over grids, and the medians of the ends of the intervals."""
    with_interval = claims[claims["low"].notna()]
    covered = with_interval["planted"].between(with_interval["low"], with_interval["high"])
    verdicts = claims["verdict"].value_counts(normalize=True) if "verdict" in claims else {}
    return {
        "planted": claims["planted"].iloc[0],
        "grids": claims["grid"].nunique(),
        "estimated": average_ratios(claims),
        **with_interval[["low", "high"]].median(),
        "coverage": covered.mean(),
        **claims[["recovered", "wrong"]].mean(),
        **{name: verdicts.get(name, 0.0) for name in VERDICTS if len(verdicts)},
        "smallest": claims["smallest"].median(),
    }


def average_ratios(claims: pd.DataFrame) -> float:
    """Returns the mean of failure rates, or the geometric mean of ratios."""
    if claims["kind"].eq("failures").all():
        return claims["ratio"].mean()
    return np.exp(np.log(claims["ratio"]).mean())


def summarize_families(claims: pd.DataFrame) -> pd.DataFrame:
    """Returns the share of grids with some wrong claim, for each kind of claims."""
    by_grid = claims.groupby(["scenario", "kind", "grid"], sort=False)["wrong"].any()
    by_kind = by_grid.groupby(["scenario", "kind"], sort=False).agg(["mean", "count"])
    columns = {"mean": "wrong", "count": "grids"}
    return by_kind.reset_index().rename(columns=columns).assign(what=FAMILY)


def predict_powers(scenario: Scenario) -> dict[str, float]:
    """Predicts how often each effect is detected, from the errors of some grids."""
    if not np.any(scenario.planted_logs):
        return {}
    estimates = collect_estimates(scenario, POWER_GRIDS)
    return {
        trick: predict_power(by_grid, abs(scenario.compute_effect(trick)), len(estimates))
        for trick, by_grid in estimates.items()
    }


def collect_estimates(scenario: Scenario, count: int) -> dict[str, list[Estimate]]:
    estimates: dict[str, list[Estimate]] = {}
    for grid in draw_grids(scenario, count):
        values = outcome_rows(grid)
        names = names_of_effects(values)
        for effect, estimate in estimate_effects(values, names, "log", scenario.paired):
            estimates.setdefault(effect.tricks, []).append(estimate)
    return estimates


def predict_power(estimates: list[Estimate], size: float, family: int) -> float:
    """Computes the power of a two-sided t test with Bonferroni's correction for the family.

    Returns NaN if there is no effect.
    """
    if math.isclose(size, 0, abs_tol=1e-9):
        return math.nan
    error = math.sqrt(np.nanmean([estimate.error**2 for estimate in estimates]))
    freedom = float(np.nanmean([estimate.freedom for estimate in estimates]))
    bound = stats.t.ppf(1 - (1 - CONFIDENCE_LEVEL) / (2 * family), freedom)
    return float(stats.nct.sf(bound, freedom, size / error))


# Comparison with HC3


def compare_with_hc3(cells: int, seeds: int, count: int = HC3_GRIDS) -> pd.DataFrame:
    """Returns the coverage of both kinds of intervals if cells and arms differ in noise."""
    grids = draw_unequal_noise(cells, seeds, count)
    methods = {WELCH_INTERVAL: compute_welch_interval, HC3_INTERVAL: compute_hc3_interval}
    intervals = {kind: np.array(list(map(method, grids))) for kind, method in methods.items()}
    rows = [{"kind": kind, **summarize_intervals(each)} for kind, each in intervals.items()]
    named = pd.DataFrame(rows).assign(scenario=HC3_SCENARIO, what=f"{cells} × {seeds}")
    return named.reindex(columns=COLUMNS)


def summarize_intervals(intervals: Values) -> Row:
    """Returns coverage of no effect, mean estimate and median ends of intervals: [grids, 2]."""
    low, high = intervals.T
    median_low, median_high = np.exp(np.median(intervals, axis=0))
    return {
        "planted": 1.0,
        "grids": len(intervals),
        "estimated": np.exp(np.mean(low + high) / 2),
        "low": median_low,
        "high": median_high,
        "coverage": np.mean((low <= 0) & (high >= 0)),
    }


def compute_welch_interval(grid: Values) -> tuple[float, float]:
    """Computes ganbench's interval of a grid: [cells, 2 arms, seeds]."""
    tables = [pd.DataFrame(cell.T, columns=["none", "trick"]) for cell in grid]
    weights = {"trick": 1.0, "none": -1.0}
    changes = [contrast_on_background(table, weights, False) for table in tables]
    return estimate_contrast([change for change in changes if change]).interval()


def compute_hc3_interval(grid: Values) -> tuple[float, float]:
    """Computes the interval of least squares with one mean per cell and arm.

    Its error is the third one of MacKinnon and White (1985).
    """
    cells, arms, seeds = grid.shape
    mean = float((grid[:, 1] - grid[:, 0]).mean())
    error = math.sqrt(grid.var(axis=2, ddof=1).sum() / (seeds - 1)) / cells
    half = float(stats.t.ppf((1 + CONFIDENCE_LEVEL) / 2, cells * arms * (seeds - 1))) * error
    return mean - half, mean + half


# The table


def build_table() -> pd.DataFrame:
    """Returns the rows of all scenarios and of the comparison with HC3, rounded."""
    tables = [summarize_scenario(scenario) for scenario in SCENARIOS]
    tables += [compare_with_hc3(cells, seeds) for cells in (1, 9) for seeds in (3, 5)]
    return round_numbers(pd.concat(tables, ignore_index=True))


def round_numbers(table: pd.DataFrame) -> pd.DataFrame:
    return table.map(round_if_float)


def round_if_float(value: Any) -> Any:
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}") if isinstance(value, float) else value


def main() -> None:
    table = build_table()
    PUBLISHED.mkdir(parents=True, exist_ok=True)
    table.to_csv(PUBLISHED / "planted.csv", index=False)
    (PUBLISHED / "README.md").write_text(render_page(table), encoding="utf-8")


if __name__ == "__main__":
    main()
