"""Figures: learning curves of all cells of a data set, as SVG and PNG."""

import hashlib
import io
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..analysis.leaderboard import CELL
from ..store import write_bytes

PANELS = 4  # in a row
STYLES = ("-", "--", ":", "-.")  # one for every ten colours


def curves(frame: pd.DataFrame, folder: Path) -> None:
    """FID on the selection samples against real images, a panel a variant, a line a cell."""
    points = frame[frame["kind"].eq("curve") & frame["metric"].eq("fid")]
    points = points[points["role"].eq("trial") & points["outcome"].eq("done")]
    points = points.assign(log=np.log(points["value"].astype(float).clip(lower=1e-9)))
    points.attrs = {}  # pandas copies them at every turn
    for data, part in points.groupby("data"):
        write_figure(panels(part), folder / as_file(f"curves-{data}"))


def as_file(text: str) -> str:
    """A file's name for a text: letters, digits, dots, dashes and underscores."""
    name = "".join(c if c.isalnum() or c in "._-" else "_" for c in text)
    whole = hashlib.sha256(text.encode()).hexdigest()[:8]  # keeps apart what is cut short
    return name if len(name) <= 150 else f"{name[:140]}-{whole}"


def panels(points: pd.DataFrame) -> Figure:
    variants = list(dict.fromkeys(points["variant"]))
    columns = min(PANELS, len(variants))
    rows = -(-len(variants) // columns)
    figure = Figure(figsize=(5 * columns, 6 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, sharey=True, squeeze=False).flatten()
    for spare in axes[len(variants) :]:
        spare.remove()
    for axis, name in zip(axes, variants, strict=False):
        lines = points[points["variant"] == name].groupby(CELL, sort=False)
        for number, ((*_, loss, tricks, _plan), part) in enumerate(lines):
            mean = np.exp(part.groupby("images")["log"].mean())
            label = f"{loss} / {tricks}"
            style = STYLES[number // 10 % len(STYLES)]
            axis.plot(mean.index, mean, style, color=f"C{number % 10}", label=label, lw=1.3)
        axis.set(title=name, xlabel="real images shown", yscale="log")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=6, loc="upper center", bbox_to_anchor=(0.5, -0.14))
    for axis in axes[: len(variants) : columns]:
        axis.set_ylabel("FID, geometric mean over seeds")
    return figure


def write_figure(figure: Figure, path: Path) -> None:
    """The same file for the same figure: no date, and fixed names inside the SVG."""
    with mpl.rc_context({"svg.hashsalt": "ganbench"}):
        for kind, metadata in (("svg", {"Date": None}), ("png", {})):
            content = io.BytesIO()
            figure.savefig(content, format=kind, dpi=120, metadata=metadata)
            write_bytes(path.with_name(f"{path.name}.{kind}"), content.getvalue())
