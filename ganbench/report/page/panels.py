"""Panels that the page's script draws: learning curves, profiles, quality against cost, as JSON."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ...analysis.factors import NONE
from ...analysis.leaderboard import CELL
from ..words import name_of

NAMES = ["data", "variant", "loss", "plan"]
Numbers = list[float | None]


@dataclass(frozen=True)
class Panel:
    """A title for people, what it shows in a sentence, and what the script draws it from."""

    title: str
    about: str
    chart: dict[str, Any]


@dataclass(frozen=True)
class Panels:
    """Panels that share their colours and axes, those of a data set together."""

    names: dict[str, int]  # colours by trick, of those that occur
    groups: dict[str, list[Panel]] = field(default_factory=dict)


def palette(frame: pd.DataFrame) -> dict[str, int]:
    """Each arm's colour, the same in all figures; none has the first, which is that of text."""
    tricks = dict.fromkeys(frame.loc[frame["role"].eq("trial"), "tricks"].dropna())
    return {name: n for n, name in enumerate(dict.fromkeys([NONE, *tricks]))}


def numbers(values: Any) -> Numbers:
    """Four digits each, which is more than is seen; null where there is none."""
    return [float(f"{v:.4g}") if math.isfinite(v) else None for v in np.asarray(values, float)]


def axis(label: str, log: bool, values: Any = None) -> dict[str, Any]:
    """An axis by its label; panels that share it are told its ends."""
    known = [] if values is None else [v for v in values if math.isfinite(v) and (v > 0 or not log)]
    return {"label": label, "log": log} | ({"ends": numbers([min(known), max(known)])} if known else {})


# Learning curves


def curve_points(frame: pd.DataFrame) -> tuple[str, bool, pd.DataFrame]:
    """The metric whose curves are shown, whether its scale is logarithmic, and its points.

    That is the declared outcome if it was looked at while training, else FID.
    """
    plan = frame.attrs["plan"]
    points = frame[frame["kind"].eq("curve") & frame["role"].eq("trial") & frame["value"].notna()]
    points.attrs = {}  # pandas copies them at every turn
    known = list(dict.fromkeys(points["metric"]))
    outcome = plan["analysis"]["outcome"]
    metric = next((m for m in (outcome, "fid", *known) if m in known), outcome)
    log = plan["metrics"].get(metric, {"transform": "log"})["transform"] == "log"
    points = points[points["metric"] == metric]
    return metric, log, points[points["value"] > 0] if log else points


def curves(frame: pd.DataFrame, board: pd.DataFrame, colours: dict[str, int]) -> Panels | None:
    """A panel a variant and loss, a line an arm: its mean over seeds, in a band from worst to best."""
    metric, log, points = curve_points(frame)
    if points.empty:
        return None
    floors = board[board["role"] == "floor"].set_index("data")
    floor = floors[metric].dropna().to_dict() if metric in floors else {}
    scores = points.assign(score=np.log(points["value"]) if log else points["value"])
    keys = [*NAMES, "tricks", "images"]
    told = scores.groupby(keys, dropna=False, sort=False)["score"].agg(["mean", "min", "max"])
    told = (np.exp(told) if log else told).reset_index()
    several = told.groupby("variant")["plan"].nunique()
    groups: dict[str, list[Panel]] = {}
    for data, whole in told.groupby("data", sort=False):
        ends = [*whole["mean"], floor.get(data, math.nan)]
        y = axis(name_of(metric), log, ends)
        for place, part in whole.groupby(NAMES[1:], dropna=False, sort=False):
            variant, loss, plan = place
            title = f"{variant} · {loss}" + (f" · {plan}" if several[variant] > 1 else "")
            groups.setdefault(str(data), []).append(
                curve_panel(title, part, y, floor.get(data), colours)
            )
    return Panels(occurring(told["tricks"], colours), groups)


def curve_panel(
    title: str, part: pd.DataFrame, y: dict[str, Any], floor: float | None, colours: dict[str, int]
) -> Panel:
    lines = []
    for tricks, line in part.sort_values("images").groupby("tricks", sort=False):
        values = {key: numbers(line[key]) for key in ("mean", "min", "max")}
        lines.append(
            {
                "name": str(tricks),
                "color": colours[str(tricks)],
                "x": [int(v) for v in line["images"]],
                "y": values["mean"],
                "low": values["min"],
                "high": values["max"],
            }
        )
    ends = ", ".join(f"{line['name']} {line['y'][-1]:g}" for line in lines if line["y"][-1])
    about = f"{y['label']} of {title} while training, ending at: {ends}"
    x = axis("real images shown", log=False)
    return Panel(title, about, {"x": x, "y": y, "lines": lines, "floor": floor})


def occurring(tricks: "pd.Series[str]", colours: dict[str, int]) -> dict[str, int]:
    found = set(tricks)
    return {name: colour for name, colour in colours.items() if name in found}


# Profiles, and quality against cost


def profiles(
    found: pd.DataFrame | None, plan: dict[str, Any], colours: dict[str, int]
) -> Panels | None:
    """A line an arm: the share of its trainings within a factor of their cell's best."""
    if found is None:
        return None
    lines = [
        {
            "name": str(tricks),
            "color": colours[str(tricks)],
            "x": numbers(line["factor"]),
            "y": numbers(line["share"]),
            "low": numbers(line["low"]),
            "high": numbers(line["high"]),
        }
        for tricks, line in found.groupby("tricks", sort=False)
    ]
    at = found[found["factor"] == 1.1]
    told = ", ".join(f"{r.tricks} {r.share:.0%}" for r in at.itertuples())
    outcome = name_of(plan["analysis"]["outcome"])
    chart = {
        "x": axis(f"factor of the best {outcome} of the cell", log=True),
        "y": axis("share of trainings", log=False, values=[0.0, 1.0]),
        "lines": lines,
        "floor": None,
    }
    title = "Within a factor of the best"
    about = f"The share of trainings within a factor of 1.1 of their cell's best: {told}"
    return Panels(occurring(found["tricks"], colours), {"": [Panel(title, about, chart)]})


def fronts(
    found: pd.DataFrame | None, plan: dict[str, Any], colours: dict[str, int]
) -> Panels | None:
    """A panel a data set, a dot a cell; those that no other one beats in both are joined."""
    if found is None or not (known := found[found["seconds"].notna() & found["value"].notna()]).size:
        return None
    outcome = plan["analysis"]["outcome"]
    log = plan["metrics"][outcome]["transform"] == "log"
    groups = {
        str(data): [front_panel(str(data), part, name_of(outcome), log, colours)]
        for data, part in known.groupby("data", sort=False)
    }
    return Panels(occurring(known["tricks"], colours), groups)


def front_panel(
    data: str, part: pd.DataFrame, label: str, log: bool, colours: dict[str, int]
) -> Panel:
    dots = [
        {
            "name": " · ".join(getattr(row, key) for key in CELL[1:4]),
            "tricks": row.tricks,
            "color": colours[row.tricks],
            "x": numbers([row.seconds])[0],
            "y": numbers([row.value])[0],
            "on": bool(row.on_front),
        }
        for row in part.itertuples()
    ]
    told = "; ".join(f"{d['name']} {d['y']:g} in {d['x']:g} s" for d in dots if d["on"])
    about = f"{label} against seconds of training; no other cell beats: {told}"
    x = axis("seconds of training", log=True)
    return Panel(data, about, {"x": x, "y": axis(label, log), "dots": dots})
