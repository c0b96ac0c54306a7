"""Writer of the files in a suite's folder.

It writes rows, tables (CSV, Markdown, Parquet, LaTeX), figures and the page.
"""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from tabulate import tabulate

from ganbench.analysis.rows import ARM_COLUMNS, collect_rows, save_rows
from ganbench.experiments.store import Store
from ganbench.files import write_bytes
from ganbench.report.figures import write_figures
from ganbench.report.page import render_page

from .analyses import format_columns, render_analyses
from .effects import render_effects
from .format_number import latex_minus
from .losses import save_losses
from .markdown import render_leaderboard
from .pictures import copy_pictures, real_picture_files
from .report import SuiteReport
from .terminal import select_shown_rows

MAIN_FILES = (
    "report.html",
    "leaderboard.md",
    "effects.md",
    "analyses.md",
    "results.parquet",
    "figures",
)
TABLE_SUFFIXES = (".csv", ".parquet", ".tex")
LAST_PICTURES = ("interpolation", "neighbours")  # written last of a trial with images


def write_report(plan: dict[str, Any], folder: Path) -> tuple[SuiteReport, list[Path]]:
    """Writes all tables, figures and the page of a run into its folder.

    The store is in the parent folder. Returns the report and the paths of the main files.
    """
    store = Store(folder.parent)
    report = write_files(collect_rows(plan, store), folder, store)
    return report, main_files(folder)


def main_files(folder: Path) -> list[Path]:
    """Returns the paths of the files that a reader opens first."""
    return [folder / name for name in MAIN_FILES]


def write_files(frame: pd.DataFrame, folder: Path, store: Store | None = None) -> SuiteReport:
    """Writes all files made from rows; with a store also pictures and losses."""
    report = write_tables(frame, folder, store)
    if store:
        write_pictures_of_shown_arms(report, store)
        write_missing_real_pictures(report, folder / "figures", store)
    write_figures(report, folder / "figures")
    write_page(report, folder, store)
    return report


def write_live(frame: pd.DataFrame, folder: Path, store: Store) -> None:
    """Writes the tables and the page during a run.

    It writes no figures for papers, and copies only the pictures that exist.
    """
    write_page(write_tables(frame, folder, store), folder, store)


def write_tables(frame: pd.DataFrame, folder: Path, store: Store | None) -> SuiteReport:
    save_rows(frame, folder)
    report = SuiteReport.of(frame, folder, store)
    write_leaderboard(report.frame, report.board, report.findings, folder)
    for name, text in render_texts(report).items():
        write_bytes(folder / name, text.encode())
    write_further_tables({**report.changes, **report.further}, folder / "tables")
    if store:
        save_losses(report.losses, folder)
    return report


def write_further_tables(tables: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """Writes tables into a folder of their own, and deletes those of an earlier plan there."""
    for name, table in tables.items():
        write_table(table, folder / name)
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.suffix in TABLE_SUFFIXES and path.stem not in tables:
            path.unlink()


def write_page(report: SuiteReport, folder: Path, store: Store | None) -> None:
    if store:
        copy_pictures(report.frame, folder / "figures", store)
    write_bytes(folder / "report.html", render_page(report, folder / "figures").encode())


def write_pictures_of_shown_arms(report: SuiteReport, store: Store) -> None:
    """Draws interpolations, neighbours and styles of the cells in the terminal's table.

    One seed of each cell is drawn.
    """
    groups = report.board.groupby("data", sort=False)
    shown_arms = pd.concat([select_shown_rows(part) for _, part in groups])
    ranked = shown_arms.loc[shown_arms["rank"].notna(), ARM_COLUMNS]
    done = report.frame[report.frame["outcome"].eq("done") & report.frame["role"].eq("trial")]
    trials = done[["trial", *ARM_COLUMNS]].drop_duplicates(ARM_COLUMNS).merge(ranked)
    undrawn = [trial for trial in map(str, trials["trial"]) if not is_drawn(trial, store)]
    if undrawn:
        # Imported late because it needs torch; tables do not.
        from ganbench.visualization.samples import write_closer_pictures

        write_closer_pictures(undrawn, store)


def write_missing_real_pictures(report: SuiteReport, folder: Path, store: Store) -> None:
    """Draws held-out examples of each data set once, to compare them with generated ones."""
    trials = report.frame.dropna(subset="trial").groupby("data")["trial"].unique()
    wanted = [
        (map(str, trials.get(data, ())), fingerprint, path)
        for data, (fingerprint, path) in real_picture_files(report.plan, folder).items()
        if not path.exists()
    ]
    if wanted:
        # Imported late because it needs torch; tables do not.
        from ganbench.visualization.real_examples import write_real_pictures

        write_real_pictures(wanted, store)


def is_drawn(trial: str, store: Store) -> bool:
    """Returns whether a trial has its last pictures; those before were drawn or cannot be."""
    folder = store.trial_folder(trial).folder
    return all((folder / f"{kind}.png").exists() for kind in LAST_PICTURES)


def write_leaderboard(
    frame: pd.DataFrame, board: pd.DataFrame, findings: list[str], folder: Path
) -> None:
    text = render_leaderboard(frame, board, findings)
    write_bytes(folder / "leaderboard.md", text.encode())
    write_table(board, folder / "leaderboard")


def render_texts(report: SuiteReport) -> dict[str, str]:
    """Renders the other text files, by file name."""
    content = json.dumps(summarize_report(report), indent=1, ensure_ascii=False)
    return {
        "effects.md": render_effects(report.frame, report.changes),
        "analyses.md": render_analyses(report.plan["suite"], report.further),
        "summary.json": f"{content}\n",
    }


def summarize_report(report: SuiteReport) -> dict[str, Any]:
    """Summarizes a report for other programs (summary.json)."""
    frame, plan = report.frame, report.plan
    trials = frame[frame["role"].eq("trial")].drop_duplicates(["trial", "seed", *ARM_COLUMNS])
    return {
        "suite": plan["suite"],
        "outcome": plan["analysis"]["outcome"],
        "findings": report.findings,
        "best_arms": report.best_arms,
        **({"adaptive": plan["adaptive"]} if "adaptive" in plan else {}),
        "trials": trials["outcome"].fillna("not run").value_counts().to_dict(),
        "protocols": [protocol["text"] for protocol in plan["protocols"].values()],
        "provenance": plan["provenance"],
    }


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Writes a table as CSV and Parquet with all digits, and as LaTeX with formatted numbers."""
    write_bytes(path.with_suffix(".csv"), table.to_csv(index=False).encode())
    content = io.BytesIO()
    table.to_parquet(content, index=False)
    write_bytes(path.with_suffix(".parquet"), content.getvalue())
    texts: Any = format_columns(table)
    latex = tabulate(texts, headers="keys", tablefmt="latex_booktabs", showindex=False)
    write_bytes(path.with_suffix(".tex"), f"{latex_minus(latex)}\n".encode())
