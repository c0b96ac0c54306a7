"""Cells of a suite by words of their names or by rank, and their finished trials."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ganbench.experiments.select_trials import (
    SEARCHED_FIELDS,
    match_items,
    searched_name,
    suggest_word,
)

from .base import fail
from .stored_results import has_store, read_frame, suite_folder

CELL_KEY_COLUMNS = list(SEARCHED_FIELDS)
MAX_RANK_DIGITS = 6  # longer numbers are the begin of a trial's id

CellArgument = Annotated[
    str,
    typer.Argument(metavar="CELL", help="Words of a cell's name, its rank, or a trial's id."),
]
OptionalCell = Annotated[
    str,
    typer.Argument(
        metavar="CELL", help="Words of a cell's name, its rank, or a trial's id. Default: the best."
    ),
]
Checkpoint = Annotated[str, typer.Option(help="last or best.")]


def select_rows_by_words(frame: Any, suite: str, cell: str) -> Any:
    """Returns the rows of the cells with all the words in their names, or ends the program.

    A bare integer is the rank on the leaderboard. Untrained references are chosen only if they are named,
    or if no other cell matches.
    """
    if cell.strip().isdecimal() and len(cell.strip()) <= MAX_RANK_DIGITS:
        return select_rows_by_rank(frame, int(cell), suite)
    frame = frame[frame["trial"].notna()]
    cells = frame[[*CELL_KEY_COLUMNS, "trial"]].fillna("").drop_duplicates()
    items = cells.to_dict("records")
    trials = {item["trial"] for item in match_items(items, cell)}
    if not trials:
        hint = suggest_word(map(searched_name, items), cell)
        fail(f"no cell of {suite} has all the words {cell!r} in its name{hint}")
    return frame[frame["trial"].isin(trials)]


def select_rows_by_rank(frame: Any, rank: int, suite: str) -> Any:
    """Returns the rows of the cells with a rank, of each data set, or ends the program."""
    from ganbench.analysis.rows import ARM_COLUMNS

    board = ranked_cells(frame, suite)
    chosen = board[board["rank"].eq(rank)]
    if chosen.empty:
        fail(f"no cell of {suite} has rank {rank}: the last one is {board['rank'].max()}")
    cells = set(chosen[ARM_COLUMNS].fillna("").itertuples(index=False, name=None))
    trials = frame[frame["role"].eq("trial")]
    names = trials[ARM_COLUMNS].fillna("").itertuples(index=False, name=None)
    return trials[[name in cells for name in names]]


def ranked_cells(frame: Any, suite: str) -> Any:
    """Returns the rows of the leaderboard that have a rank; ends the program without any."""
    from ganbench.analysis.leaderboard import leaderboard
    from ganbench.analysis.read_table import require_outcome

    board = leaderboard(require_outcome(frame))
    board = board[board["rank"].notna()]
    if board.empty:
        fail(f"no cell of {suite} has a rank yet: `ganbench status {suite}` shows its trials")
    return board


def require_sampler_store(suite: str, results: Path, checkpoint: str = "last") -> Any:
    """Returns the store of a suite's generators; ends the program if it has none."""
    from ganbench.experiments.store import CHECKPOINT_NAMES, Store

    if checkpoint not in CHECKPOINT_NAMES:
        fail(f"--checkpoint is {' or '.join(CHECKPOINT_NAMES)}, not {checkpoint!r}")
    folder = suite_folder(suite, results)
    if not has_store(folder):
        fail(f"no trial store beside {folder}: generators are kept only where they were trained")
    return Store(folder.parent)


def select_done_trials(suite: str, cell: str, results: Path, seed: int | None) -> Any:
    """Returns one finished trial per cell: that of the seed, or the first one."""
    rows = select_rows_by_words(read_frame(suite, results), suite, cell)
    done = rows[rows["outcome"].eq("done") & (rows["seed"].eq(seed) if seed is not None else True)]
    if done.empty:
        which = "" if seed is None else f" with seed {seed}"
        fail(f"no trial of {cell!r}{which} is done in {suite}")
    return done.sort_values("seed", kind="stable").drop_duplicates(CELL_KEY_COLUMNS)


def checkpoint_ending(checkpoint: str) -> str:
    """Returns the ending of file names of a checkpoint other than the last."""
    return "" if checkpoint == "last" else f"-{checkpoint}"
