"""The command about styles: `styles`."""

from pathlib import Path

from .base import HERE, Json, Results, SuiteArgument, answer, app, fail, out
from .visualize import CellArgument, Checkpoint, chosen_rows, store_of_samplers


@app.command()
def styles(
    suite: SuiteArgument,
    cell: CellArgument,
    checkpoint: Checkpoint = "last",
    results: Results = HERE,
    as_json: Json = False,
) -> None:
    """Write pictures of a cell's styles, mixed and truncated, beside its samples."""
    from ganbench.experiments.trial import read_trial
    from ganbench.files import write_bytes
    from ganbench.visualization.samples import styles as picture
    from ganbench.visualization.style_mixing import STYLES
    from ganbench.visualization.trained_generator import kept

    store, found = store_of_samplers(suite, results, checkpoint), []
    ending = "" if checkpoint == "last" else f"-{checkpoint}"
    for name in done_trials(suite, cell, results):
        sampler = kept(read_trial(store, name), store, checkpoint)
        paths = {kind: sampler.folder.folder / f"{kind}{ending}.png" for kind in STYLES}
        for kind, path in paths.items():
            write_bytes(path, picture(sampler, kind))
        found.append({"trial": name, "pictures": list(map(str, paths.values()))})
    if as_json:
        return answer(found)
    for entry in found:
        for picture_file in entry["pictures"]:
            out.print(f"  {picture_file}", markup=False, soft_wrap=True)
    return None


def done_trials(suite: str, cell: str, results: Path) -> list[str]:
    """Those of the cells that have all the words in their names; ends the program if there are none."""
    rows = chosen_rows(suite, cell, results)
    found = rows.loc[rows["outcome"].eq("done"), "trial"].unique()
    if not len(found):
        fail(f"no trial of {suite} that is done has all of {cell!r} in its name")
    return list(found)
