"""Panels that the page's script draws: learning curves, profiles, quality against cost, as JSON."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ganbench.analysis.leaderboard import ARM_COLUMNS
from ganbench.report.curves import FAMILY, Looks
from ganbench.report.findings import name_of

Numbers = list[float | None]


@dataclass(frozen=True)
class Panel:
    """A title for people, what it shows in a sentence, and what the script draws it from."""

    title: str
    about: str
    chart: dict[str, Any]
    note: str = ""  # what stands below it


@dataclass(frozen=True)
class Panels:
    """Panels that share their colours and axes, those of a data set together."""

    names: dict[str, int]  # colours by trick, of those that occur
    groups: dict[str, list[Panel]] = field(default_factory=dict)


def numbers(values: Any, digits: int = 4) -> Numbers:
    """As many digits as are seen; null where there is none."""
    known = np.asarray(values, float)
    return [float(f"{v:.{digits}g}") if math.isfinite(v) else None for v in known]


def axis(label: str, log: bool, values: Any = None) -> dict[str, Any]:
    """An axis by its label; panels that share it are told its ends."""
    known = [] if values is None else [v for v in values if math.isfinite(v) and (v > 0 or not log)]
    return {"label": label, "log": log} | (
        {"ends": numbers([min(known), max(known)])} if known else {}
    )


# Learning curves


def curves(known: Looks, board: pd.DataFrame, colours: dict[str, int]) -> Panels | None:
    """A panel a variant and loss, a line an arm: its mean over seeds, in a band over all of them."""
    if known.points.empty:
        return None
    several = known.points.groupby("variant")["plan"].nunique().to_dict()
    floors = floors_of(board, known.metric)
    groups: dict[str, list[Panel]] = {}
    for data, part in known.points.groupby("data", sort=False):
        floor = floors.get(str(data))
        y = axis(known.label, known.log, [*part["mean"], *([] if floor is None else [floor])])
        for (variant, loss, plan), arms in part.groupby(FAMILY[1:], dropna=False, sort=False):
            title = f"{variant} · {loss}" + (f" · {plan}" if several[variant] > 1 else "")
            panel = curve_panel(title, arms, y, floor, colours)
            groups.setdefault(str(data), []).append(panel)
    return Panels(occurring(known.points["tricks"], colours), groups)


def floors_of(board: pd.DataFrame, metric: str) -> dict[str, float | None]:
    """What held-out data score, by data set."""
    if metric not in board:
        return {}
    floors = board[board["role"].eq("floor")]
    return dict(zip(floors["data"].map(str), numbers(floors[metric]), strict=True))


def curve_panel(
    title: str, part: pd.DataFrame, y: dict[str, Any], floor: float | None, colours: dict[str, int]
) -> Panel:
    lines: list[dict[str, Any]] = []
    for tricks, line in part.groupby("tricks", sort=False):
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
    told = ", ".join(f"{row['tricks']} {row['share']:.0%}" for row in at.to_dict("records"))
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
    if (
        found is None
        or not (known := found[found["seconds"].notna() & found["value"].notna()]).size
    ):
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
            "name": " · ".join(str(row[key]) for key in ARM_COLUMNS[1:4]),
            "tricks": row["tricks"],
            "color": colours[row["tricks"]],
            "x": numbers([row["seconds"]])[0],
            "y": numbers([row["value"]])[0],
            "on": bool(row["on_front"]),
        }
        for row in part.to_dict("records")
    ]
    told = "; ".join(f"{d['name']} {d['y']:.3g} in {d['x']:.3g} s" for d in dots if d["on"])
    note = f"Not beaten: {told}."
    about = f"{label} against seconds of training. {note}"
    x = axis("seconds of training", log=True)
    return Panel(data, about, {"x": x, "y": axis(label, log), "dots": dots}, note)
