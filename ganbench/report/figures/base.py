"""What all figures share: colours for all eyes, file names, and how they are written."""

import hashlib
import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from ganbench.analysis.factors import NO_TRICK
from ganbench.files import write_bytes

# Okabe and Ito's, without the yellow that is not seen on paper; the first is none's
LINE_COLOURS = ("#000000", "#E69F00", "#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
LINE_STYLES = ("-", "--", ":", "-.")  # one for every round of the colours
BETTER, WORSE, OPEN = "#0072B2", "#D55E00", "#6B7280"
SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "ganbench",  # fixed names inside the SVG
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,  # a name is no formula
}


def arm_colours(frame: pd.DataFrame) -> dict[str, int]:
    """Each arm's number among the colours, the same in all figures; none has the first."""
    tricks = frame.loc[frame["role"].eq("trial"), "tricks"].dropna()
    return {name: n for n, name in enumerate(dict.fromkeys([NO_TRICK, *tricks]))}


def line_style(colour: int) -> dict[str, Any]:
    """How a line of this number is drawn."""
    style = LINE_STYLES[colour // len(LINE_COLOURS) % len(LINE_STYLES)]
    return {"color": LINE_COLOURS[colour % len(LINE_COLOURS)], "linestyle": style}


def make_figure(width: float, height: float) -> Figure:
    """An empty one, in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def remove_frame(axes: Any) -> None:
    """Without the frame's upper and right sides."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, lw=0.6)


def draw_legend(drawing: Figure, axes: Any) -> None:
    """One below all panels, of whatever occurs in any."""
    handle_of_name: dict[str, Any] = {}
    for panel in axes:
        handles, names = panel.get_legend_handles_labels()
        handle_of_name |= dict(zip(names, handles, strict=True))
    columns = max(1, int(drawing.get_figwidth() // 2.5))
    place: Any = {"loc": "outside lower center", "ncols": columns, "frameon": False, "fontsize": 8}
    drawing.legend(list(handle_of_name.values()), list(handle_of_name), **place)


def set_logarithmic(axis: Any) -> None:
    """A logarithmic axis with plain numbers on it."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 100 else (1,)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(NullLocator())


def file_name_of(text: str) -> str:
    """A file's name for a text: letters, digits, dots, dashes and underscores."""
    name = "".join(c if c.isalnum() or c in "._-" else "_" for c in text)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]  # keeps apart what is cut short
    return name if len(name) <= 150 else f"{name[:140]}-{digest}"


def write_figure(figure: Figure, path: Path) -> None:
    """The same file for the same figure: without its date. It is laid out once for both kinds."""
    with mpl.rc_context(SETTINGS):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        for kind, metadata in (("svg", {"Date": None}), ("png", {})):
            content = io.BytesIO()
            figure.savefig(content, format=kind, dpi=120, metadata=metadata)
            write_bytes(path.with_name(f"{path.name}.{kind}"), content.getvalue())
