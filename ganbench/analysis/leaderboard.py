"""The leaderboard: one row per cell, best first.

A row has intervals over seeds, failures and costs. References are rows of their own.
"""

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ganbench.experiments.plan_names import LOST_OUTCOMES

from .intervals import CONFIDENCE_LEVEL, t_interval
from .looks import count_looks
from .metric_scale import metric_scale
from .rank_interval import intervals_of_pairs, separable_pairs
from .rates import wilson_interval
from .rows import ARM_COLUMNS, refuse_mixed_protocols, without_attributes
from .sequential import equal_share

IMAGES_PER_SECOND = "train_images_per_second"
LEADERBOARD_INPUT_COLUMNS = [
    *("role", *ARM_COLUMNS, "trial", "seed", "outcome", "reason", "collapsed", "metric", "value"),
    *("standard_error", "oscillation_step", "won_step"),
]
UNMEASURED_OUTCOMES = (*LOST_OUTCOMES, "not_applicable")
NO_REASON = "no reason was recorded"
COST_NAMES = (
    "train_seconds",
    IMAGES_PER_SECOND,
    "peak_memory",
    "generator_parameters",
    "discriminator_parameters",
)
Columns = dict[str, list[Any]]  # rows as lists, by column


def leaderboard(frame: pd.DataFrame) -> pd.DataFrame:
    """Ranks the cells of each data set by their mean outcome; references have no rank.

    Columns:

    - rank; tied, whether the cell is not separable from the first; role; the cell's names;
    - `rank low` and `rank high`, the ranks that pairwise tests leave open (see rank_interval);
    - seeds (measured / planned), their counts by outcome, and their flags;
    - shares of failures and collapses with Wilson's intervals;
    - for each metric its mean at the last checkpoint, with `low` and `high` of a 95 % t interval over seeds;
    - `error` of each metric, the standard error of a single trial's value (root mean square over seeds);
    - medians of costs.

    References are the floor, theory (the expected score of a perfect generator, if known) and untrained.
    """
    plan = refuse_mixed_protocols(frame).attrs["plan"]
    outcome = plan["analysis"]["outcome"]
    lower = metric_scale(plan, outcome).is_lower_better
    rows = without_attributes(frame)
    last = rows[(rows["checkpoint"] == "last") | (rows["role"] == "floor")]
    last = pd.concat([last, theory_rows(last)])[LEADERBOARD_INPUT_COLUMNS]
    spent = costs_by_trial(rows)
    cells = cell_columns(last)
    entries = pd.DataFrame([leaderboard_entry(plan, cell, spent) for cell in cells])
    key = entries[outcome] if lower else -entries[outcome]
    order = entries.assign(key=key.fillna(math.inf)).sort_values(["data", "key"], kind="stable")
    trials = order["role"] == "trial"
    ranks = order[trials].groupby("data")["key"].rank(method="min")
    order.insert(0, "rank", ranks.where(order["key"] < math.inf).astype("Int64"))
    values = values_of_cells(last[last["metric"] == outcome], plan)
    order = order.join(separation_columns(order, values, lower, count_looks(plan)))
    order.insert(1, "tied", order.pop("tied"))
    return order.drop(columns="key").reset_index(drop=True)


def theory_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns copies of the floor rows with the expected value instead of the measured one."""
    floors = rows[(rows["role"] == "floor") & rows["expected_floor"].notna()]
    return floors.assign(role="theory", value=floors["expected_floor"], standard_error=math.nan)


def costs_by_trial(rows: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """Returns the costs of each trial, in the order of COST_NAMES; NaN if there is none."""
    costs = rows[rows["kind"].eq("cost") & rows["metric"].isin(COST_NAMES)]
    spent = costs.pivot_table(index="trial", columns="metric", values="value")
    values = spent.reindex(columns=list(COST_NAMES)).to_numpy(dtype=float)
    return dict(zip(spent.index, values, strict=True))


def cell_columns(rows: pd.DataFrame) -> list[Columns]:
    """Returns the columns of each cell's rows as lists, which are read faster than a frame."""
    groups = rows.groupby(["role", *ARM_COLUMNS], dropna=False, sort=False).ngroup().to_numpy()
    places = np.split(np.argsort(groups, kind="stable"), np.bincount(groups).cumsum()[:-1])
    columns = {str(name): np.array(rows[name].tolist(), dtype=object) for name in rows}
    return [{name: values[place].tolist() for name, values in columns.items()} for place in places]


def leaderboard_entry(
    plan: dict[str, Any], cell: Columns, spent: dict[str, NDArray[np.float64]]
) -> dict[str, object]:
    columns: dict[str, object] = {name: cell[name][0] for name in ["role", *ARM_COLUMNS]}
    trials = first_rows_of_seeds(cell)
    columns |= outcome_counts(trials)
    columns["reason"] = join_reasons(trials)
    for metric in plan["metrics"]:
        transform = metric_scale(plan, metric).transform
        columns |= metric_columns(cell, metric, transform, arm_level(plan, cell))
    return columns | cost_medians(cell, spent)


def join_reasons(trials: Columns) -> str:
    """Returns the first reason of each outcome without a value, named if there are several.

    The rows of finished trainings may hold reasons of metrics, which are left out.
    """
    reasons: dict[str, str] = {}
    for outcome, reason in zip(trials["outcome"], trials["reason"], strict=True):
        if outcome in UNMEASURED_OUTCOMES:
            known = reason if isinstance(reason, str) else ""
            reasons[outcome] = reasons.get(outcome) or known
    if len(reasons) < 2:
        return "".join(reasons.values())
    return "; ".join(
        f"{name_outcome(outcome)}: {reasons[outcome] or NO_REASON}"
        for outcome in UNMEASURED_OUTCOMES
        if outcome in reasons
    )


def name_outcome(outcome: str) -> str:
    return outcome.replace("_", " ")


def first_rows_of_seeds(cell: Columns) -> Columns:
    """Returns one row per seed of a cell."""
    places = list({seed: place for place, seed in reversed(list(enumerate(cell["seed"])))}.values())
    return {name: [values[place] for place in reversed(places)] for name, values in cell.items()}


def cost_medians(cell: Columns, spent: dict[str, NDArray[np.float64]]) -> dict[str, object]:
    """Returns the median of each cost over a cell's trials; NaN if none was measured."""
    known = [spent[trial] for trial in dict.fromkeys(cell["trial"]) if trial in spent]
    costs = np.array(known, dtype=float).reshape(len(known), len(COST_NAMES)).T
    return {
        cost: float(np.median(values[~np.isnan(values)])) if (values == values).any() else math.nan
        for cost, values in zip(COST_NAMES, costs, strict=True)
    }


def outcome_counts(trials: Columns) -> dict[str, object]:
    """Counts a cell's trainings by outcome and flag, with rates and their intervals.

    Floors have no seeds: nothing was trained, so there is no outcome and no rate.
    """
    columns: dict[str, object] = {"seeds": (seeds := count_values(trials["seed"]))}
    outcomes = trials["outcome"] if seeds else []
    counts = {outcome: outcomes.count(outcome) for outcome in ("done", *UNMEASURED_OUTCOMES)}
    columns |= counts
    collapsed = sum(flag is True for flag in trials["collapsed"])
    columns["collapsed"] = collapsed
    columns["oscillating"] = count_values(trials["oscillation_step"])
    columns["won"] = count_values(trials["won_step"])
    bad = counts["diverged"] + counts["failed"]
    columns |= share_columns("failure", bad, counts["done"] + bad)
    return columns | share_columns("collapse", collapsed, count_values(trials["collapsed"]))


def count_values(values: list[Any]) -> int:
    """Counts the values that are not missing."""
    return sum(not pd.isna(value) for value in values)


def share_columns(name: str, count: int, total: int) -> dict[str, object]:
    low, high = wilson_interval(count, total) if total else (math.nan, math.nan)
    rate = count / total if total else math.nan
    return {f"{name} rate": rate, f"{name} low": low, f"{name} high": high}


def arm_level(plan: dict[str, object], cell: Columns) -> float:
    """Returns the level of a cell's intervals; looks share the error equally."""
    looks = count_looks(plan) if cell["role"][0] == "trial" else 1
    return 1 - (1 - CONFIDENCE_LEVEL) * equal_share(looks)


def metric_columns(
    cell: Columns, metric: str, transform: str, level: float = CONFIDENCE_LEVEL
) -> dict[str, object]:
    """Returns a metric's mean over seeds, its interval, and the error of one trial's value."""
    places = [place for place, name in enumerate(cell["metric"]) if name == metric]
    values = [cell["value"][place] for place in places]
    interval = t_interval([value for value in values if not math.isnan(value)], transform, level)
    errors = np.array([cell["standard_error"][place] for place in places], dtype=float)
    return {
        metric: interval.mean,
        f"{metric} low": interval.low,
        f"{metric} high": interval.high,
        f"{metric} error": error_of_one_value(errors),
    }


def error_of_one_value(errors: NDArray[np.float64]) -> float:
    """Returns the root mean square of the known standard errors; NaN if none is known."""
    known = errors[~np.isnan(errors)]
    return math.sqrt((known**2).mean()) if len(known) else math.nan


def values_of_cells(rows: pd.DataFrame, plan: dict[str, Any]) -> dict[Any, "pd.Series[float]"]:
    """Returns the values of each trained cell's seeds on the scale of the analysis."""
    to = metric_scale(plan, plan["analysis"]["outcome"]).to
    trials = rows[(rows["role"] == "trial") & rows["value"].notna()]
    return {key: part["value"].map(to) for key, part in trials.groupby(ARM_COLUMNS, dropna=False)}


def separation_columns(
    board: pd.DataFrame, values: dict[Any, "pd.Series[float]"], lower: bool, looks: int = 1
) -> pd.DataFrame:
    """Returns the columns `tied`, `rank low` and `rank high` of the ranked cells.

    They follow from the same tests (see rank_interval). Ranks are NA for cells with a single seed. No test
    separates these cells from the first.
    """
    kinds = {"tied": "boolean", "rank low": "Int64", "rank high": "Int64"}
    columns = {name: pd.Series(pd.NA, board.index, dtype=kind) for name, kind in kinds.items()}
    for _, part in board[board["rank"].notna()].groupby("data", sort=False):
        arms = [values[tuple(row)].tolist() for row in part[ARM_COLUMNS].to_numpy()]
        separable = separable_pairs(arms, looks)
        ties = (~separable[0]).tolist()
        ranks = [r or (pd.NA, pd.NA) for r in intervals_of_pairs(arms, separable, lower)]
        for column, cells in zip(columns.values(), (ties, *zip(*ranks, strict=True)), strict=True):
            column[part.index] = cells
    return pd.DataFrame(columns)
