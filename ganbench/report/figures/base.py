"""Shared parts of all figures: accessible colours, file names, and the writer."""

import hashlib
import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from ganbench.analysis.factors import NO_TRICK
from ganbench.analysis.rows import ARM_COLUMNS
from ganbench.counts import format_signed
from ganbench.files import write_bytes
from ganbench.report.arm_names import ArmNamer

# Okabe and Ito's colours without yellow, which is invisible on paper; the first is for no trick
LINE_COLOURS = ("#000000", "#E69F00", "#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
LINE_STYLES = ("-", "--", ":", "-.")  # one for each cycle through the colours
INCHES_PER_LETTER, INCHES_PER_ENTRY = 0.06, 0.17  # of a legend
BETTER, WORSE, OPEN = "#0072B2", "#D55E00", "#6B7280"
SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "ganbench",  # fixed identifiers inside the SVG
    "svg.fonttype": "none",  # text is not converted to paths
    "text.parse_math": False,  # dollar signs in names are not math
}

FILE_KINDS: dict[str, dict[str, Any]] = {
    "svg": {"metadata": {"Date": None}},
    # Level 4 takes a third of the time of the default, 6, for one percent more bytes.
    "png": {"metadata": {}, "pil_kwargs": {"compress_level": 4}},
}


def line_colours(frame: pd.DataFrame, namer: ArmNamer) -> dict[str, int]:
    """Returns each line's colour number, the same in all figures; no trick is number 0."""
    trials = frame.loc[frame["role"].eq("trial"), ARM_COLUMNS].drop_duplicates()
    lines = namer.add_line_names(trials.dropna(subset="tricks"))["line"]
    return {name: n for n, name in enumerate(dict.fromkeys([NO_TRICK, *lines]))}


def line_style(colour: int) -> dict[str, Any]:
    """Returns the colour and the line style of a colour number."""
    style = LINE_STYLES[colour // len(LINE_COLOURS) % len(LINE_STYLES)]
    return {"color": LINE_COLOURS[colour % len(LINE_COLOURS)], "linestyle": style}


def make_figure(width: float, height: float) -> Figure:
    """Creates an empty figure; width and height are in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def remove_frame(axes: Any) -> None:
    """Removes the upper and right sides of the frame and adds a grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, lw=0.6)


def draw_legend(drawing: Figure, axes: Any) -> None:
    """Draws one legend below all panels, with all labels that occur in any panel.

    The figure grows by the height of the legend.
    """
    handle_of_name: dict[str, Any] = {}
    for panel in axes:
        handles, names = panel.get_legend_handles_labels()
        handle_of_name |= dict(zip(names, handles, strict=True))
    longest = max(map(len, handle_of_name), default=0)
    columns = max(1, int(drawing.get_figwidth() // max(2.5, 0.5 + INCHES_PER_LETTER * longest)))
    rows = -(-len(handle_of_name) // columns)
    drawing.set_figheight(drawing.get_figheight() + INCHES_PER_ENTRY * rows)
    place: Any = {"loc": "outside lower center", "ncols": columns, "frameon": False, "fontsize": 8}
    drawing.legend(list(handle_of_name.values()), list(handle_of_name), **place)


def set_logarithmic(axis: Any) -> None:
    """Sets logarithmic ticks with plain numbers as labels."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 100 else (1,)))
    axis.set_major_formatter(lambda value, _: format_signed(value, "g"))
    axis.set_minor_locator(NullLocator())


def file_name_of(text: str) -> str:
    """Converts a text to a file name of letters, digits, dots, dashes and underscores."""
    name = "".join(c if c.isalnum() or c in "._-" else "_" for c in text)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]  # distinguishes names that are truncated
    return name if len(name) <= 150 else f"{name[:140]}-{digest}"


def write_figure(figure: Figure, path: Path) -> None:
    """Writes a figure as SVG and PNG, with the same bytes for the same figure.

    The files have no date. The layout is computed once, without a drawing, for both formats.
    """
    with mpl.rc_context(SETTINGS):
        compute_layout(figure)
        for kind, options in FILE_KINDS.items():
            content = io.BytesIO()
            figure.savefig(content, format=kind, dpi=120, **options)
            write_bytes(path.with_name(f"{path.name}.{kind}"), content.getvalue())


def compute_layout(figure: Figure) -> None:
    """Places all parts of a figure, and removes its layout engine.

    With an engine, even an empty one, `savefig` draws the figure once more for each format.
    """
    engine = figure.get_layout_engine()
    if engine:
        engine.execute(figure)
        figure.set_layout_engine(None)
