"""Writes the files of a suite's folder: rows, tables as csv, Markdown and parquet, figures, the page."""

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
from tabulate import tabulate

from ganbench.analysis.leaderboard import ARM_COLUMNS
from ganbench.analysis.rows import collect_rows, save_rows
from ganbench.experiments.store import Store
from ganbench.files import write_bytes
from ganbench.report.figures import figures
from ganbench.report.page import page

from .analyses import analyses_text, texts
from .effects import effects_text
from .losses import save_losses
from .markdown import leaderboard_table
from .pictures import pictures
from .report import Report
from .terminal import shown

MAIN = ("report.html", "leaderboard.md", "effects.md", "analyses.md", "results.parquet", "figures")


def write_report(plan: dict[str, Any], folder: Path) -> tuple[pd.DataFrame, list[Path]]:
    """Writes all tables, figures and the page of a run into its folder, from the store beside that.

    Returns the rows and the main files.
    """
    store = Store(folder.parent)
    frame = collect_rows(plan, store)
    return frame, write(frame, folder, store)


def write(frame: pd.DataFrame, folder: Path, store: Store | None = None) -> list[Path]:
    """Writes all that is made from rows; with the store also pictures and losses. Returns the main files."""
    report = write_tables(frame, folder, store)
    if store:
        leave_closer_pictures(report, store)
    figures(report, folder / "figures")
    write_page(report, folder, store)
    return [folder / name for name in MAIN]


def redraw(frame: pd.DataFrame, folder: Path, store: Store) -> None:
    """The tables and the page of a run that goes on: no figures for papers, and of pictures what there is."""
    write_page(write_tables(frame, folder, store), folder, store)


def write_tables(frame: pd.DataFrame, folder: Path, store: Store | None) -> Report:
    save_rows(frame, folder)
    report = Report.of(frame, folder, store)
    write_leaderboard(report.frame, report.board, report.findings, folder)
    for name, text in texts_of(report).items():
        write_bytes(folder / name, text.encode())
    for name, table in {**report.changes, **report.further}.items():
        write_table(table, folder / "tables" / name)
    if store:
        save_losses(report.losses, folder)
    return report


def write_page(report: Report, folder: Path, store: Store | None) -> None:
    if store:
        pictures(report.frame, folder / "figures", store)
    write_bytes(folder / "report.html", page(report, folder / "figures").encode())


def leave_closer_pictures(report: Report, store: Store) -> None:
    """Walks, neighbours and styles of the cells that the terminal shows, a seed each."""
    from ganbench.visualization.samples import (
        write_closer_pictures,  # of torch, which tables alone do not need
    )

    arms = pd.concat([shown(part) for _, part in report.board.groupby("data", sort=False)])
    done = report.frame[report.frame["outcome"].eq("done") & report.frame["role"].eq("trial")]
    trials = (
        done[["trial", *ARM_COLUMNS]]
        .drop_duplicates(ARM_COLUMNS)
        .merge(arms.loc[arms["rank"].notna(), ARM_COLUMNS])
    )
    write_closer_pictures(map(str, trials["trial"]), store)


def write_leaderboard(
    frame: pd.DataFrame, board: pd.DataFrame, said: list[str], folder: Path
) -> None:
    text = leaderboard_table(frame, board, said)
    write_bytes(folder / "leaderboard.md", text.encode())
    write_table(board, folder / "leaderboard")


def texts_of(report: Report) -> dict[str, str]:
    """The other files of words, by name."""
    told = json.dumps(summary(report.frame, report.findings), indent=1, ensure_ascii=False)
    return {
        "effects.md": effects_text(report.frame, report.changes),
        "analyses.md": analyses_text(report.plan["suite"], report.further),
        "summary.json": f"{told}\n",
    }


def summary(frame: pd.DataFrame, said: list[str]) -> dict[str, Any]:
    """What the rows come to, for programs."""
    plan = frame.attrs["plan"]
    trials = frame[frame["role"].eq("trial")].drop_duplicates(["trial", "seed", *ARM_COLUMNS])
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
