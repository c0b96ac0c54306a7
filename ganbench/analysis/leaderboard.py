"""The leaderboard: a row a cell, best first, with intervals over seeds, references and failures."""

import math
from collections.abc import Hashable

import pandas as pd

from .intervals import t_interval

CELL = ["data", "variant", "loss", "tricks", "plan"]
RATE = "train_images_per_second"


def leaderboard(frame: pd.DataFrame) -> pd.DataFrame:
    """Cells ranked by the outcome's mean within their data set; references have no rank.

    Columns: rank, role, the cell's names, seeds (measured/planned), how many of them ended how and
    which flags they have, and for each metric its mean at the last checkpoint with `low` and `high` of
    a 95 % t interval over seeds.
    """
    plan = frame.attrs["plan"]
    outcome = plan["analysis"]["outcome"]
    lower = plan["metrics"][outcome]["direction"] == "lower"
    last = frame[(frame["checkpoint"] == "last") | (frame["role"] == "floor")]
    parts = last.groupby(["role", *CELL], dropna=False, sort=False)
    found = pd.DataFrame([entry(frame, role_and_cell, part) for role_and_cell, part in parts])
    key = found[outcome] if lower else -found[outcome]
    order = found.assign(key=key.fillna(math.inf)).sort_values(["data", "key"], kind="stable")
    trials = order["role"] == "trial"
    ranks = order[trials].groupby("data")["key"].rank(method="min")
    order.insert(0, "rank", ranks.where(order["key"] < math.inf).astype("Int64"))
    return order.drop(columns="key").reset_index(drop=True)


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
        values = part.loc[part["metric"] == metric, "value"].dropna().tolist()
        interval = t_interval(values, facts["transform"])
        found |= {
            metric: interval.mean,
            f"{metric} low": interval.low,
            f"{metric} high": interval.high,
        }
    costs = frame[frame["trial"].isin(part["trial"].dropna()) & (frame["metric"] == RATE)]
    found[RATE] = costs["value"].median()
    return found
