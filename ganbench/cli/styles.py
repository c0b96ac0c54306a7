"""The command `styles`."""

from pathlib import Path

from .base import app, fail, out
from .options import DEFAULT_RESULTS, Json, Results, SuiteArgument, Trust
from .select_cells import (
    CellArgument,
    Checkpoint,
    checkpoint_ending,
    require_sampler_store,
    select_rows_by_words,
)
from .stored_results import read_frame
from .streams import print_json


@app.command()
def styles(
    suite: SuiteArgument,
    cell: CellArgument,
    checkpoint: Checkpoint = "last",
    trust: Trust = False,
    results: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Draw mixed and truncated styles of a cell.

    The pictures are written beside its samples.
    """
    from ganbench.experiments.trial import read_trial
    from ganbench.files import write_bytes
    from ganbench.visualization.samples import draw_styles
    from ganbench.visualization.style_mixing import STYLE_PICTURES
    from ganbench.visualization.trained_generator import find_saved_generator

    store, entries = require_sampler_store(suite, results, checkpoint), []
    ending = checkpoint_ending(checkpoint)
    for name in done_trials_of_cells(suite, cell, results):
        sampler = find_saved_generator(read_trial(store, name), store, checkpoint)
        paths = {kind: sampler.folder.folder / f"{kind}{ending}.png" for kind in STYLE_PICTURES}
        for kind, path in paths.items():
            write_bytes(path, draw_styles(sampler, kind))
        entries.append({"trial": name, "pictures": list(map(str, paths.values()))})
    if as_json:
        return print_json(entries)
    for entry in entries:
        for picture_file in entry["pictures"]:
            out.print_line(f"  {picture_file}")
    return None


def done_trials_of_cells(suite: str, cell: str, results: Path) -> list[str]:
    """Returns the finished trials of the cells whose names have all the words."""
    rows = select_rows_by_words(read_frame(suite, results), suite, cell)
    names = rows.loc[rows["outcome"].eq("done"), "trial"].unique()
    if not len(names):
        fail(f"no finished trial of {suite} has all the words {cell!r} in its name")
    return list(names)
