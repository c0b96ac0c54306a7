"""The command about styles: `styles`."""

from pathlib import Path
from typing import Annotated

import typer

from .base import (
    HERE,
    Json,
    Results,
    SuiteArgument,
    answer,
    app,
    fail,
    folder_of,
    frame_of,
    has_store,
    out,
)

NAMES = ["data", "variant", "loss", "tricks", "plan", "trial"]  # by which a cell is found


@app.command()
def styles(
    suite: SuiteArgument,
    cell: Annotated[str, typer.Argument(help="Words of a cell's name, or a trial's number.")],
    checkpoint: Annotated[
        str, typer.Option(help="last, or best by its selection samples.")
    ] = "last",
    results: Results = HERE,
    as_json: Json = False,
) -> None:
    """Write pictures of a cell's styles, mixed and truncated, beside its samples."""
    from ..data.base import Missing
    from ..remeasure import read_trial
    from ..store import Damaged, Store
    from ..styles import Unstyled, leave_pictures
    from ..trial import CHECKPOINTS

    if checkpoint not in CHECKPOINTS:
        fail(f"--checkpoint is {' or '.join(CHECKPOINTS)}, not {checkpoint!r}")
    folder = folder_of(suite, results)
    if not has_store(folder):
        fail(f"{folder} lies beside no store: its samplers are where it was run")
    store, found = Store(folder.parent), []
    try:
        for name in done_trials(suite, cell, results):
            paths = leave_pictures(read_trial(store, name), store.trial(name), checkpoint)
            found.append({"trial": name, "pictures": [str(path) for path in paths]})
    except (Unstyled, Damaged, Missing) as error:
        fail(str(error))
    if as_json:
        return answer(found)
    for entry in found:
        for path in entry["pictures"]:
            out.print(f"  {path}", markup=False, soft_wrap=True)
    return None


def done_trials(suite: str, cell: str, results: Path) -> list[str]:
    """Those of the cells that have all the words in their names; ends the program if there are none."""
    frame = frame_of(suite, results)
    rows = frame[frame["trial"].notna() & frame["role"].eq("trial") & frame["outcome"].eq("done")]
    names = rows[NAMES].fillna("").agg(" ".join, axis=1)
    found = rows[[all(word in name for word in cell.split()) for name in names]]
    if found.empty:
        fail(f"no trial of {suite} that is done has all of {cell!r} in its name")
    return list(found["trial"].unique())
