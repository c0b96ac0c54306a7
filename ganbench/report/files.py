"""Writes the files of a suite's folder: rows, tables as csv, Markdown and parquet, figures, the page."""

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
from tabulate import tabulate

from ..analysis.leaderboard import CELL, leaderboard
from ..analysis.rows import save
from ..store import Store, write_bytes
from .analyses import analyses, analyses_text, texts
from .effects import effects_of, effects_text, sections
from .figures import figures
from .markdown import leaderboard_table
from .page import Report, page
from .pictures import pictures
from .words import findings

MAIN = ("report.html", "leaderboard.md", "effects.md", "analyses.md", "results.parquet", "figures")


def write(frame: pd.DataFrame, folder: Path, store: Store | None = None) -> list[Path]:
    """Writes all that is made from rows; with the store also the pictures. Returns the main files."""
    save(frame, folder)
    board, changes, further = leaderboard(frame), sections(frame), analyses(frame)
    said, suite = findings(frame), frame.attrs["plan"]["suite"]
    pages = {
        "leaderboard.md": leaderboard_table(frame, board, said),
        "effects.md": effects_text(frame, changes),
        "analyses.md": analyses_text(suite, further),
        "summary.json": json.dumps(summary(frame, said), indent=1, ensure_ascii=False) + "\n",
    }
    for name, text in pages.items():
        write_bytes(folder / name, text.encode())
    write_table(board, folder / "leaderboard")
    for name, table in {**changes, **further}.items():
        write_table(table, folder / "tables" / name)
    if store:
        pictures(frame, folder / "figures", store)
    effects, chains = (effects_of(changes[name]) for name in ("effects", "chains"))
    figures(frame, board, effects, further, folder / "figures")
    told = Report(frame, board, effects, chains, changes, further, said)
    write_bytes(folder / "report.html", page(told, folder / "figures", store).encode())
    return [folder / name for name in MAIN]


def summary(frame: pd.DataFrame, said: list[str]) -> dict[str, Any]:
    """What the rows come to, for programs."""
    plan = frame.attrs["plan"]
    trials = frame[frame["role"].eq("trial")].drop_duplicates(["trial", "seed", *CELL])
    return {
        "suite": plan["suite"],
        "outcome": plan["analysis"]["outcome"],
        "findings": said,
        "trials": trials["outcome"].fillna("not run").value_counts().to_dict(),
        "protocols": [protocol["text"] for protocol in plan["protocols"].values()],
        "provenance": plan["provenance"],
    }


def write_table(table: pd.DataFrame, path: Path) -> None:
    """As CSV and Parquet with all digits, and as LaTeX as it is read."""
    write_bytes(path.with_suffix(".csv"), table.to_csv(index=False).encode())
    content = io.BytesIO()
    table.to_parquet(content, index=False)
    write_bytes(path.with_suffix(".parquet"), content.getvalue())
    latex = tabulate(texts(table), headers="keys", tablefmt="latex_booktabs", showindex=False)  # type: ignore[arg-type]
    write_bytes(path.with_suffix(".tex"), f"{latex}\n".encode())
