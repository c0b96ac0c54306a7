"""The leaderboard: one row per cell, best first.

A row has intervals over seeds, failures and costs. References are rows of their own.
"""

import math
from collections.abc import Hashable
from typing import Any

import pandas as pd

from .contrasts import estimate_contrast, mean_change_of, sum_changes
from .intervals import CONFIDENCE_LEVEL, SCALES, t_interval
from .rates import wilson_interval
from .rows import ARM_COLUMNS as ARM_COLUMNS  # imported from here by the reports
from .rows import refuse_mixed_protocols

IMAGES_PER_SECOND = "train_images_per_second"
LEADERBOARD_INPUT_COLUMNS = [
    *("role", *ARM_COLUMNS, "trial", "seed", "outcome", "reason", "collapsed", "metric", "value"),
    *("standard_error", "oscillation_step", "won_step"),
]
COST_NAMES = (
    "train_seconds",
    IMAGES_PER_SECOND,
    "peak_memory",
    "generator_parameters",
    "discriminator_parameters",
)


def leaderboard(frame: pd.DataFrame) -> pd.DataFrame:
    """Ranks the cells of each data set by their mean outcome; references have no rank.

    Columns:

    - rank; tied, whether Welch's test does not separate the cell from the first; role; the cell's names;
    - seeds (measured / planned), their counts by outcome, and their flags;
    - shares of failures and collapses with Wilson's intervals;
    - for each metric its mean at the last checkpoint, with `low` and `high` of a 95 % t interval over seeds;
    - `error` of each metric, the standard error of a single trial's value (root mean square over seeds);
    - medians of costs.

    References are the floor, theory (the expected score of a perfect generator, if known) and untrained.
    """
    plan = refuse_mixed_protocols(frame).attrs["plan"]
    outcome = plan["analysis"]["outcome"]
    lower = plan["metrics"][outcome]["direction"] == "lower"
    last = frame[(frame["checkpoint"] == "last") | (frame["role"] == "floor")]
    last = pd.concat([last, theory_rows(last)])[LEADERBOARD_INPUT_COLUMNS]
    last.attrs = {}  # pandas would copy them in each operation
    costs = frame[frame["kind"].eq("cost") & frame["metric"].isin(COST_NAMES)]
    spent = costs.pivot_table(index="trial", columns="metric", values="value")
    parts = last.groupby(["role", *ARM_COLUMNS], dropna=False, sort=False)
    entries = pd.DataFrame([leaderboard_entry(plan, cell, part, spent) for cell, part in parts])
    key = entries[outcome] if lower else -entries[outcome]
    order = entries.assign(key=key.fillna(math.inf)).sort_values(["data", "key"], kind="stable")
    trials = order["role"] == "trial"
    ranks = order[trials].groupby("data")["key"].rank(method="min")
    order.insert(0, "rank", ranks.where(order["key"] < math.inf).astype("Int64"))
    order.insert(1, "tied", mark_ties(order, last[last["metric"] == outcome], plan))
    return order.drop(columns="key").reset_index(drop=True)


def theory_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns copies of the floor rows with the expected value instead of the measured one."""
    floors = rows[(rows["role"] == "floor") & rows["expected_floor"].notna()]
    return floors.assign(role="theory", value=floors["expected_floor"], standard_error=math.nan)


def leaderboard_entry(
    plan: dict[str, object],
    role_and_cell: tuple[Hashable, ...],
    part: pd.DataFrame,
    spent: pd.DataFrame,
) -> dict[str, object]:
    columns: dict[str, object] = dict(zip(["role", *ARM_COLUMNS], role_and_cell, strict=True))
    trials = part.drop_duplicates(["seed"])
    columns |= outcome_counts(trials)
    columns["reason"] = next((r for r in trials["reason"] if isinstance(r, str) and r), "")
    metrics = plan["metrics"]
    assert isinstance(metrics, dict)
    for metric, facts in metrics.items():
        columns |= metric_columns(part[part["metric"] == metric], metric, facts["transform"])
    medians = spent.reindex(part["trial"].dropna().unique()).median()
    return columns | {cost: medians.get(cost, math.nan) for cost in COST_NAMES}


def outcome_counts(trials: pd.DataFrame) -> dict[str, object]:
    """Counts a cell's trainings by outcome and flag, with rates and their intervals."""
    columns: dict[str, object] = {"seeds": int(trials["seed"].notna().sum())}
    counts = {
        outcome: int((trials["outcome"] == outcome).sum())
        for outcome in ("done", "diverged", "failed", "not_applicable")
    }
    columns |= counts
    collapsed = int(trials["collapsed"].fillna(False).sum())
    columns["collapsed"] = collapsed
    columns["oscillating"] = int(trials["oscillation_step"].notna().sum())
    columns["won"] = int(trials["won_step"].notna().sum())
    bad = counts["diverged"] + counts["failed"]
    columns |= share_columns("failure", bad, counts["done"] + bad)
    return columns | share_columns("collapse", collapsed, int(trials["collapsed"].count()))


def share_columns(name: str, count: int, total: int) -> dict[str, object]:
    low, high = wilson_interval(count, total) if total else (math.nan, math.nan)
    rate = count / total if total else math.nan
    return {f"{name} rate": rate, f"{name} low": low, f"{name} high": high}


def metric_columns(rows: pd.DataFrame, metric: str, transform: str) -> dict[str, object]:
    """Returns a metric's mean over seeds, its interval, and the error of one trial's value."""
    interval = t_interval(rows["value"].dropna().tolist(), transform)
    return {
        metric: interval.mean,
        f"{metric} low": interval.low,
        f"{metric} high": interval.high,
        f"{metric} error": math.sqrt((rows["standard_error"].astype(float) ** 2).mean()),
    }


def mark_ties(
    board: pd.DataFrame, rows: pd.DataFrame, plan: dict[str, object]
) -> "pd.Series[bool]":
    """Marks the cells that Welch's test does not separate from the first of their data set.

    The test is pairwise and uncorrected, because the mark is no claim about all cells. It is NA if either
    cell has a single seed.
    """
    analysis, metrics = plan["analysis"], plan["metrics"]
    assert isinstance(analysis, dict)
    assert isinstance(metrics, dict)
    to = SCALES[metrics[analysis["outcome"]]["transform"]].to
    trials = rows[(rows["role"] == "trial") & rows["value"].notna()]
    values = {key: part["value"].map(to) for key, part in trials.groupby(ARM_COLUMNS, dropna=False)}
    is_tied = pd.Series(pd.NA, board.index, dtype="boolean")
    for _, part in board[board["rank"].notna()].groupby("data", sort=False):
        arms = [values[tuple(row)] for row in part[ARM_COLUMNS].to_numpy()]
        is_tied[part.index] = [tied_or_na(arms[0], arm) for arm in arms]
    return is_tied


def tied_or_na(first: "pd.Series[float]", other: "pd.Series[float]") -> Any:
    if min(len(first), len(other)) < 2:
        return pd.NA
    return not welch_p(first, other) < 1 - CONFIDENCE_LEVEL


def welch_p(one: "pd.Series[float]", other: "pd.Series[float]") -> float:
    """Computes Welch's two-sided p; NaN if there are too few seeds or all values are equal."""
    sides = [mean_change_of(one.to_numpy()), mean_change_of(-other.to_numpy())]
    both = sum_changes([side for side in sides if side], 2)
    return estimate_contrast([both]).p() if both else math.nan
