"""Writes the files of a suite's folder: rows, tables as csv, Markdown and parquet, and figures."""

import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from ..analysis.effects import effects, effects_by_variant
from ..analysis.leaderboard import leaderboard
from ..analysis.rows import save
from ..store import Store, write_bytes
from .figures import as_file, curves
from .markdown import effects_table, leaderboard_table
from .words import findings


def write(frame: pd.DataFrame, folder: Path, store: Store | None = None) -> list[Path]:
    """Writes all that is made from rows; with the store also the pictures. Returns the main files."""
    save(frame, folder)
    board, changes = leaderboard(frame), changes_of(frame)
    text = leaderboard_table(frame, board, findings(frame))
    write_bytes(folder / "leaderboard.md", text.encode())
    write_table(board, folder / "leaderboard")
    write_bytes(folder / "effects.md", effects_table(frame, changes).encode())
    write_bytes(folder / "effects.csv", changes.to_csv(index=False).encode())
    if store:
        pictures(frame, folder / "figures", store)
    curves(frame, folder / "figures")
    return [
        folder / name for name in ("leaderboard.md", "effects.md", "results.parquet", "figures")
    ]


def changes_of(frame: pd.DataFrame) -> pd.DataFrame:
    """Each trick's effect over all cells, then within each variant."""
    return pd.DataFrame(map(asdict, [*effects(frame), *effects_by_variant(frame)]))


def write_table(table: pd.DataFrame, path: Path) -> None:
    write_bytes(path.with_suffix(".csv"), table.to_csv(index=False).encode())
    content = io.BytesIO()
    table.to_parquet(content, index=False)
    write_bytes(path.with_suffix(".parquet"), content.getvalue())


def pictures(frame: pd.DataFrame, folder: Path, store: Store) -> None:
    """One sample grid a cell, of its first seed that finished."""
    done = frame[frame["outcome"].eq("done") & frame["trial"].notna()]
    cells = done.drop_duplicates(["role", "data", "variant", "loss", "tricks", "plan"])
    for row in cells.itertuples():
        if not (source := samples_of(store, str(row.trial))).exists():
            continue
        write_bytes(folder / f"{file_name(row)}.png", source.read_bytes())


def samples_of(store: Store, trial: str) -> Path:
    return store.trial(trial).samples


def file_name(row: Any) -> str:
    """A cell's name as a file's."""
    parts = [str(getattr(row, key)) for key in ("data", "variant", "loss", "tricks", "plan")]
    parts += ["untrained"] if row.role == "untrained" else []
    return as_file("-".join(part for part in parts if part))
