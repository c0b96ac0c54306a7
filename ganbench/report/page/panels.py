"""Panels as JSON for the page's script.

They are learning curves, profiles, and quality against cost.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ganbench.analysis.metric_scale import metric_scale
from ganbench.counts import format_share, format_signed
from ganbench.evaluation.metric_names import metric_display_name
from ganbench.report.arm_names import ArmNamer
from ganbench.report.curves import LearningCurves

Numbers = list[float | None]
TITLE_OF_ALL_ARMS = "All arms"
CURVE_AXES = {  # labels of the horizontal axes that a reader can choose
    "images": "real images shown",
    "steps": "training steps",
    "seconds": "seconds of training",
}


@dataclass(frozen=True)
class ChartPanel:
    """A panel: its title, a text description, and the data from which the script draws it."""

    title: str
    about: str
    chart: dict[str, Any]
    note: str = ""  # text below the chart


@dataclass(frozen=True)
class ChartPanels:
    """Panels with shared colours and axes, grouped by data set."""

    names: dict[str, int]  # colours by line, for lines that occur
    groups: dict[str, list[ChartPanel]] = field(default_factory=dict)
    axes: list[str] = field(default_factory=list)  # names of the horizontal axes to choose from


def rounded_numbers(values: Any, digits: int = 4) -> Numbers:
    """Rounds numbers to the visible digits; values that are not finite become None."""
    array = np.asarray(values, float)
    return [round_shortly(v, digits) if math.isfinite(v) else None for v in array]


def round_shortly(value: float, digits: int) -> float:
    """Rounds a number; whole ones are integers, whose JSON is shorter."""
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e9 else rounded


def chart_axis(label: str, log: bool, values: Any = None) -> dict[str, Any]:
    """Returns an axis with its label; `ends` are given for panels that share the axis."""
    axis: dict[str, Any] = {"label": label, "log": log}
    finite = [v for v in values or () if math.isfinite(v) and (v > 0 or not log)]
    if finite:
        axis["ends"] = rounded_numbers([min(finite), max(finite)])
    return axis


# Learning curves


def curve_panels(
    learning_curves: LearningCurves,
    board: pd.DataFrame,
    namer: ArmNamer,
    colours: dict[str, int],
) -> ChartPanels | None:
    """Makes one panel per cell with one line per trick, or one panel with all arms.

    A line is the mean over seeds, and a band shows their range.
    """
    if learning_curves.points.empty:
        return None
    points = namer.add_line_names(learning_curves.points)
    floors = floors_by_data(board, learning_curves)
    groups: dict[str, list[ChartPanel]] = {}
    axes = [name for name in CURVE_AXES if points[name].notna().all()]
    for data, part in points.groupby("data", sort=False):
        floor = floors.get(str(data))
        values = [*part["mean"]] if floor is None else [*part["mean"], floor]
        y = chart_axis(learning_curves.label, learning_curves.log, values)
        for name, arms in part.groupby("panel", sort=False):
            title = str(name) or TITLE_OF_ALL_ARMS
            panel = make_curve_panel(title, arms, y, floor, colours, axes)
            groups.setdefault(str(data), []).append(panel)
    return ChartPanels(occurring_lines(points["line"], colours), groups, axes)


def floors_by_data(board: pd.DataFrame, curves: LearningCurves) -> dict[str, float | None]:
    """Returns the scores of held-out data that were measured as the curves were, by data set."""
    if curves.metric not in board:
        return {}
    floors = board[board["role"].eq("floor") & board["data"].isin(curves.floors)]
    return dict(zip(floors["data"].map(str), rounded_numbers(floors[curves.metric]), strict=True))


def make_curve_panel(
    title: str,
    part: pd.DataFrame,
    y: dict[str, Any],
    floor: float | None,
    colours: dict[str, int],
    axes: list[str],
) -> ChartPanel:
    lines: list[dict[str, Any]] = []
    arms = dict(list(part.groupby("line", sort=False)))
    shared = {axis: shared_places(list(arms.values()), axis) for axis in axes}
    for name, line in arms.items():
        values = {key: rounded_numbers(line[key]) for key in ("mean", "min", "max")}
        lines.append(
            {
                "name": str(name),
                "color": colours[str(name)],
                **{n: rounded_numbers(line[n]) for n in axes if shared[n] is None},
                "y": values["mean"],
                "low": values["min"],
                "high": values["max"],
            }
        )
    ends = ", ".join(
        f"{line['name']} {format_signed(line['y'][-1], 'g')}"
        for line in lines
        if line["y"][-1] is not None
    )
    about = f"{y['label']} of {title} during training, final values: {ends}"
    drawn_axes = [make_choosable_axis(axis, shared[axis]) for axis in axes]
    return ChartPanel(title, about, {"axes": drawn_axes, "y": y, "lines": lines, "floor": floor})


def shared_places(arms: list[pd.DataFrame], name: str) -> Numbers | None:
    """Returns the places of all lines on an axis, or None if the lines differ."""
    places = [tuple(arm[name]) for arm in arms]
    return rounded_numbers(places[0], digits=7) if len(set(places)) == 1 else None


def make_choosable_axis(name: str, places: Numbers | None) -> dict[str, Any]:
    """Returns an axis with the places of all lines, if they share them."""
    axis: dict[str, Any] = {"name": name, "label": CURVE_AXES[name]}
    return axis if places is None else {**axis, "at": places}


def occurring_lines(lines: "pd.Series[str]", colours: dict[str, int]) -> dict[str, int]:
    present = set(lines)
    return {name: colour for name, colour in colours.items() if name in present}


# Profiles, and quality against cost


def profile_panels(
    shares: pd.DataFrame | None, plan: dict[str, Any], colours: dict[str, int]
) -> ChartPanels | None:
    """Makes the panel of profiles, with one line per trick.

    A line is the share of the trick's trainings within a factor of the best arm in their cell. Suites without
    varying tricks have no profiles, because no cell has two arms.
    """
    if shares is None:
        return None
    lines = [
        {
            "name": str(tricks),
            "color": colours[str(tricks)],
            "x": rounded_numbers(line["factor"]),
            "y": rounded_numbers(line["share"]),
            "low": rounded_numbers(line["low"]),
            "high": rounded_numbers(line["high"]),
        }
        for tricks, line in shares.groupby("tricks", sort=False)
    ]
    at = shares[shares["factor"] == 1.1]
    summary = ", ".join(
        f"{row['tricks']} {format_share(row['share'])}" for row in at.to_dict("records")
    )
    outcome = metric_display_name(plan["analysis"]["outcome"], plan)
    chart = {
        "x": chart_axis(f"factor of the best {outcome} of the background", log=True),
        "y": chart_axis("share of trainings", log=False, values=[0.0, 1.0]),
        "lines": lines,
        "floor": None,
    }
    title = "Within a factor of the best"
    about = (
        f"The share of trainings within a factor of 1.1 of the best on their background: {summary}"
    )
    return ChartPanels(
        occurring_lines(shares["tricks"], colours), {"": [ChartPanel(title, about, chart)]}
    )


def front_panels(
    cells: pd.DataFrame | None, plan: dict[str, Any], namer: ArmNamer, colours: dict[str, int]
) -> ChartPanels | None:
    """Makes one panel per data set, with one dot per arm.

    A line joins the arms that no other arm dominates.
    """
    if cells is None:
        return None
    timed = namer.add_line_names(cells[cells["seconds"].notna() & cells["value"].notna()])
    if timed.empty:
        return None
    timed = timed.assign(name=[namer.name(row) for row in timed.to_dict("records")])
    outcome = plan["analysis"]["outcome"]
    log = metric_scale(plan, outcome).is_log
    groups = {
        str(data): [
            make_front_panel(
                str(data), part, metric_display_name(outcome, plan, str(data)), log, colours
            )
        ]
        for data, part in timed.groupby("data", sort=False)
    }
    return ChartPanels(occurring_lines(timed["line"], colours), groups)


def lost_note(row: dict[Any, Any]) -> str:
    """Returns the lost trainings of a cell, which keep it from the front: ` (1 of 3 lost)`."""
    return f" ({row['failed']} of {row['trainings']} lost)" if row["failed"] else ""


def make_front_panel(
    data: str, part: pd.DataFrame, label: str, log: bool, colours: dict[str, int]
) -> ChartPanel:
    dots = [
        {
            "name": row["name"] + lost_note(row),
            "line": row["line"],
            "color": colours[row["line"]],
            "x": rounded_numbers([row["seconds"]])[0],
            "y": rounded_numbers([row["value"]])[0],
            "on": bool(row["on_front"]),
        }
        for row in part.to_dict("records")
    ]
    summary = "; ".join(
        f"{row['name']} {format_signed(row['value'])} in {format_signed(row['seconds'])} s"
        for row in part[part["on_front"].astype(bool)].to_dict("records")
    )
    note = f"On the front: {summary or 'no arm'}."
    title = f"{label} against seconds of training"
    about = f"{title} on {data}. {note}"
    x = chart_axis("seconds of training", log=True)
    return ChartPanel(title, about, {"x": x, "y": chart_axis(label, log), "dots": dots}, note)
