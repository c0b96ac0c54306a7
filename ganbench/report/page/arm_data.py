"""Trained arms as JSON for the page's script: permanent keys, and the values of all seeds.

The script compares any two arms from these values, and finds the arm that a link names.
"""

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

from ganbench.analysis.contrasts import BACKGROUND_COLUMNS, network_of
from ganbench.analysis.metric_scale import metric_scale
from ganbench.analysis.rows import ARM_COLUMNS, without_attributes
from ganbench.report.arm_names import ArmNamer

from .plots import metric_title

MAX_ARM_VALUES = 60_000  # of a page; a larger one holds the outcome alone
EXACT_DIGITS = 7
Key = tuple[Any, ...]


def make_arm_data(frame: pd.DataFrame, board: pd.DataFrame) -> dict[str, Any]:
    """Returns the arms, best first, with their values by metric and seed.

    `values` of an arm is a list [metrics, seeds] with None for missing values; the outcome comes first. Only
    values of one data set are compared, because its protocol is that of no other.
    """
    plan = frame.attrs["plan"]
    ranked = board[board["role"].eq("trial")]
    metrics = compared_metrics(plan, len(ranked))
    seeds = sorted(plan["seeds"])
    values = values_by_arm(frame, metrics)
    names = arm_names(ranked, ArmNamer.of(board))
    backgrounds = number_keys(map(background_key, rows_of(ranked)))
    networks = number_keys(map(network_of, backgrounds))
    return {
        "paired": bool(plan["analysis"]["paired"]),
        "seeds": seeds,
        "metrics": [describe_metric(name, plan) for name in metrics],
        "arms": [
            {
                "n": int(number),
                **names[int(number)],
                "data": row["data"],
                "tricks": row["tricks"],
                "background": backgrounds[background_key(row)],
                "network": networks[network_of(background_key(row))],
                "values": arm_values(values.get(arm_key(row), {}), metrics, seeds),
            }
            for number, row in zip(ranked.index, rows_of(ranked), strict=True)
        ],
    }


def number_keys(keys: Iterable[Key]) -> dict[Key, int]:
    """Numbers keys in the order of their first appearance."""
    return {key: number for number, key in enumerate(dict.fromkeys(keys))}


def rows_of(board: pd.DataFrame) -> list[dict[Any, Any]]:
    return board.to_dict("records")


def compared_metrics(plan: dict[str, Any], arms: int) -> list[str]:
    """Returns the outcome and the other metrics, or the outcome alone for very many arms."""
    outcome = plan["analysis"]["outcome"]
    others = [name for name in plan["metrics"] if name != outcome]
    too_many = arms * len(plan["seeds"]) * (1 + len(others)) > MAX_ARM_VALUES
    return [outcome] if too_many else [outcome, *others]


def describe_metric(name: str, plan: dict[str, Any]) -> dict[str, Any]:
    scale, title = metric_scale(plan, name), metric_title(name, plan)
    return {
        "name": name,
        "title": title,
        "lower": scale.is_lower_better,
        "transform": scale.transform,
    }


def values_by_arm(frame: pd.DataFrame, metrics: list[str]) -> dict[Key, dict[Any, float]]:
    """Returns the values at the last checkpoint of each arm, by metric and seed."""
    rows = without_attributes(frame)
    is_chosen = rows["role"].eq("trial") & rows["checkpoint"].eq("last") & rows["value"].notna()
    chosen = rows[is_chosen & rows["metric"].isin(metrics)]
    values: dict[Key, dict[Any, float]] = {}
    for *key, metric, seed, value in chosen[[*ARM_COLUMNS, "metric", "seed", "value"]].itertuples(
        index=False, name=None
    ):
        values.setdefault(plain_key(key), {})[metric, int(seed)] = float(value)
    return values


def arm_values(
    values: dict[Any, float], metrics: list[str], seeds: list[int]
) -> list[list[float | None]]:
    return [[exact_number(values.get((metric, seed))) for seed in seeds] for metric in metrics]


def exact_number(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{EXACT_DIGITS}g}")


def arm_names(ranked: pd.DataFrame, namer: ArmNamer) -> dict[int, dict[str, str]]:
    """Returns the key of each arm in links, its title, and the name of its group in lists.

    A key is `variant/loss/tricks`. The data set and the hyperparameters are added where a suite has several.
    A title has the varying parts of the name. Arms are listed by background, or by data set if tricks do not vary.
    """
    has_plans = ranked.groupby(ARM_COLUMNS[:4], dropna=False)["plan"].nunique().max() > 1
    has_data = ranked["data"].nunique() > 1
    columns = ["variant", "loss", "tricks"]
    columns += ["plan"] if has_plans else []
    columns += ["data"] if has_data else []
    names = {}
    for number, row in zip(ranked.index, rows_of(ranked), strict=True):
        data = str(row["data"]) if has_data else ""
        names[int(number)] = {
            "key": "/".join(str(row[column] or "") for column in columns),
            "title": " · ".join(filter(None, [namer.name(row), data])),
            "group": " · ".join(filter(None, [namer.panel(row), data])),
        }
    return names


def arm_key(row: dict[Any, Any]) -> Key:
    return plain_key(row[column] for column in ARM_COLUMNS)


def background_key(row: dict[Any, Any]) -> Key:
    return plain_key(row[column] for column in BACKGROUND_COLUMNS)


def plain_key(parts: Any) -> Key:
    """Returns the parts of a name as a tuple, with empty texts for missing ones."""
    return tuple("" if pd.isna(part) else part for part in parts)
