"""The leaderboard: a row a cell, best first, with intervals over seeds, references, failures and costs."""

import math
from collections.abc import Hashable

import pandas as pd

from .contrasts import change_of, estimate, total
from .intervals import LEVEL, SCALES, t_interval
from .rates import wilson
from .rows import unmixed

CELL = ["data", "variant", "loss", "tricks", "plan"]
RATE = "train_images_per_second"
NEEDED = [
    *("role", *CELL, "trial", "seed", "outcome", "reason", "collapsed", "metric", "value"),
    *("standard_error", "oscillation_step", "won_step"),
]
COSTS = ("train_seconds", RATE, "peak_memory", "generator_parameters", "discriminator_parameters")


def leaderboard(frame: pd.DataFrame) -> pd.DataFrame:
    """Cells ranked by the outcome's mean within their data set; references have no rank.

    Columns: rank, tied (is it not told apart from the first?), role, the cell's names, seeds
    (measured/planned), how many of them ended how and which flags they have, shares of failures and
    collapses with Wilson's intervals, for each metric its mean at the last checkpoint with `low` and
    `high` of a 95 % t interval over seeds and `error`, the standard error of a single trial's value
    (the root mean square over seeds), and medians of costs. References: *floor*, *theory* (what a
    perfect generator is expected to score, where that is known), *untrained*.
    """
    plan = unmixed(frame).attrs["plan"]
    outcome = plan["analysis"]["outcome"]
    lower = plan["metrics"][outcome]["direction"] == "lower"
    last = frame[(frame["checkpoint"] == "last") | (frame["role"] == "floor")]
    last = pd.concat([last, theory(last)])[NEEDED]
    last.attrs = {}  # pandas copies them at every turn
    costs = frame[frame["kind"].eq("cost") & frame["metric"].isin(COSTS)]
    spent = costs.pivot_table(index="trial", columns="metric", values="value")
    parts = last.groupby(["role", *CELL], dropna=False, sort=False)
    found = pd.DataFrame([entry(plan, cell, part, spent) for cell, part in parts])
    key = found[outcome] if lower else -found[outcome]
    order = found.assign(key=key.fillna(math.inf)).sort_values(["data", "key"], kind="stable")
    trials = order["role"] == "trial"
    ranks = order[trials].groupby("data")["key"].rank(method="min")
    order.insert(0, "rank", ranks.where(order["key"] < math.inf).astype("Int64"))
    order.insert(1, "tied", ties(order, last[last["metric"] == outcome], plan))
    return order.drop(columns="key").reset_index(drop=True)


def theory(rows: pd.DataFrame) -> pd.DataFrame:
    """The floors' rows once more, with what theory expects in the place of what was measured."""
    known = rows[(rows["role"] == "floor") & rows["expected_floor"].notna()]
    return known.assign(role="theory", value=known["expected_floor"], standard_error=math.nan)


def entry(
    plan: dict[str, object],
    role_and_cell: tuple[Hashable, ...],
    part: pd.DataFrame,
    spent: pd.DataFrame,
) -> dict[str, object]:
    """One row of the leaderboard."""
    found: dict[str, object] = dict(zip(["role", *CELL], role_and_cell, strict=True))
    trials = part.drop_duplicates(["seed"])
    found |= counted(trials)
    found["reason"] = next((r for r in trials["reason"] if isinstance(r, str) and r), "")
    metrics = plan["metrics"]
    assert isinstance(metrics, dict)
    for metric, facts in metrics.items():
        found |= valued(part[part["metric"] == metric], metric, facts["transform"])
    medians = spent.reindex(part["trial"].dropna().unique()).median()
    return found | {cost: medians.get(cost, math.nan) for cost in COSTS}


def counted(trials: pd.DataFrame) -> dict[str, object]:
    """How the trainings of a cell ended, and how surely."""
    found: dict[str, object] = {"seeds": int(trials["seed"].notna().sum())}
    counts = {
        outcome: int((trials["outcome"] == outcome).sum())
        for outcome in ("done", "diverged", "failed", "not_applicable")
    }
    found |= counts
    found["collapsed"] = int(trials["collapsed"].fillna(False).sum())
    found["oscillating"] = int(trials["oscillation_step"].notna().sum())
    found["won"] = int(trials["won_step"].notna().sum())
    bad = counts["diverged"] + counts["failed"]
    found |= shares("failure", bad, counts["done"] + bad)
    return found | shares("collapse", int(found["collapsed"]), int(trials["collapsed"].count()))  # type: ignore[call-overload]


def shares(name: str, count: int, total: int) -> dict[str, object]:
    low, high = wilson(count, total) if total else (math.nan, math.nan)
    rate = count / total if total else math.nan
    return {f"{name} rate": rate, f"{name} low": low, f"{name} high": high}


def valued(rows: pd.DataFrame, metric: str, transform: str) -> dict[str, object]:
    """A metric's mean over seeds, its interval, and the error of one trial's value."""
    interval = t_interval(rows["value"].dropna().tolist(), transform)
    return {
        metric: interval.mean,
        f"{metric} low": interval.low,
        f"{metric} high": interval.high,
        f"{metric} error": math.sqrt((rows["standard_error"].astype(float) ** 2).mean()),
    }


def ties(board: pd.DataFrame, rows: pd.DataFrame, plan: dict[str, object]) -> "pd.Series[bool]":
    """Is a cell not told apart from the first of its data set? Welch's test, two by two.

    It is a mark for the reader and no claim about all cells, so it is not corrected for their number.
    There is none where either has but one seed.
    """
    analysis, metrics = plan["analysis"], plan["metrics"]
    assert isinstance(analysis, dict)
    assert isinstance(metrics, dict)
    to = SCALES[metrics[analysis["outcome"]]["transform"]].to
    trials = rows[(rows["role"] == "trial") & rows["value"].notna()]
    values = {key: part["value"].map(to) for key, part in trials.groupby(CELL, dropna=False)}
    found = pd.Series(pd.NA, board.index, dtype="boolean")
    for _, part in board[board["rank"].notna()].groupby("data", sort=False):
        arms = [values[tuple(row)] for row in part[CELL].to_numpy()]
        found[part.index] = [
            not told_apart(arms[0], arm) < 1 - LEVEL if min(len(arms[0]), len(arm)) > 1 else pd.NA
            for arm in arms
        ]
    return found


def told_apart(one: "pd.Series[float]", other: "pd.Series[float]") -> float:
    """Welch's two-sided p; NaN where seeds are too few or all alike."""
    sides = [change_of(one.to_numpy()), change_of(-other.to_numpy())]
    both = total([side for side in sides if side], 2)
    return estimate([both]).p() if both else math.nan
