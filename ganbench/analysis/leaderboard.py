"""The leaderboard: a row a cell, best first, with intervals over seeds, references and failures."""

import math
from collections.abc import Hashable

import pandas as pd

from .intervals import t_interval
from .rows import unmixed

CELL = ["data", "variant", "loss", "tricks", "plan"]
RATE = "train_images_per_second"


def leaderboard(frame: pd.DataFrame) -> pd.DataFrame:
    """Cells ranked by the outcome's mean within their data set; references have no rank.

    Columns: rank, role, the cell's names, seeds (measured/planned), how many of them ended how and
    which flags they have, and for each metric its mean at the last checkpoint with `low` and `high` of
    a 95 % t interval over seeds, and `error`, the standard error of a single trial's value (the root
    mean square over seeds). References: *floor*, *theory* (what a perfect generator is expected to
    score, where that is known), *untrained*.
    """
    plan = unmixed(frame).attrs["plan"]
    outcome = plan["analysis"]["outcome"]
    lower = plan["metrics"][outcome]["direction"] == "lower"
    last = frame[(frame["checkpoint"] == "last") | (frame["role"] == "floor")]
    last = pd.concat([last, theory(last)])
    parts = last.groupby(["role", *CELL], dropna=False, sort=False)
    found = pd.DataFrame([entry(frame, role_and_cell, part) for role_and_cell, part in parts])
    key = found[outcome] if lower else -found[outcome]
    order = found.assign(key=key.fillna(math.inf)).sort_values(["data", "key"], kind="stable")
    trials = order["role"] == "trial"
    ranks = order[trials].groupby("data")["key"].rank(method="min")
    order.insert(0, "rank", ranks.where(order["key"] < math.inf).astype("Int64"))
    return order.drop(columns="key").reset_index(drop=True)


def theory(rows: pd.DataFrame) -> pd.DataFrame:
    """The floors' rows once more, with what theory expects in the place of what was measured."""
    known = rows[(rows["role"] == "floor") & rows["expected_floor"].notna()]
    return known.assign(role="theory", value=known["expected_floor"], standard_error=math.nan)


def entry(
    frame: pd.DataFrame, role_and_cell: tuple[Hashable, ...], part: pd.DataFrame
) -> dict[str, object]:
    """One row of the leaderboard."""
    found: dict[str, object] = dict(zip(["role", *CELL], role_and_cell, strict=True))
    trials = part.drop_duplicates(["seed"])
    found["seeds"] = int(trials["seed"].notna().sum())
    for outcome in ("done", "diverged", "failed", "not_applicable"):
        found[outcome] = int((trials["outcome"] == outcome).sum())
    found["collapsed"] = int(trials["collapsed"].fillna(False).sum())
    found["oscillating"] = int(trials["oscillation_step"].notna().sum())
    found["won"] = int(trials["won_step"].notna().sum())
    found["reason"] = next((r for r in trials["reason"] if isinstance(r, str) and r), "")
    for metric, facts in frame.attrs["plan"]["metrics"].items():
        rows = part[part["metric"] == metric]
        interval = t_interval(rows["value"].dropna().tolist(), facts["transform"])
        found |= {
            metric: interval.mean,
            f"{metric} low": interval.low,
            f"{metric} high": interval.high,
            f"{metric} error": math.sqrt((rows["standard_error"].astype(float) ** 2).mean()),
        }
    costs = frame[frame["trial"].isin(part["trial"].dropna()) & (frame["metric"] == RATE)]
    found[RATE] = costs["value"].median()
    return found
