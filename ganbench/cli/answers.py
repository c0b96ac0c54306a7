"""Commands that answer from what was run: `report`, `compare`, and what reals score: `floor`."""

import json
from typing import Annotated

import typer

from .base import (
    HERE,
    Device,
    InceptionWeights,
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
from .training import metric_labels

CHANGED = ("better", "worse", "fails more", "fails less")


@app.command()
def floor(
    data: Annotated[str, typer.Argument(help="A data set: digits, fashion_mnist.")],
    metrics: Annotated[str, typer.Option(help="Metrics, with commas between them.")] = "",
    protocol: Annotated[str, typer.Option(help="What values mean.")] = "ganbench",
    device: Device = "auto",
    inception_weights: InceptionWeights = None,
    as_json: Json = False,
) -> None:
    """Say what held-out data score in the place of fakes: what a perfect generator may hope for."""
    from ..data.base import Missing
    from ..devices import device_of
    from ..metrics import METRICS
    from ..protocols import protocol_label
    from ..report.floor import floor_table, floors
    from ..spec import SpecError
    from ..suite import SuiteError
    from ..trial import settle
    from ..yardstick import yardstick

    settle()
    try:
        chosen = metric_labels(metrics) or tuple(METRICS)
        measured = yardstick(data, device_of(device), protocol_label(protocol))
        found = floors(measured, chosen)
    except (SpecError, SuiteError, Missing) as error:
        fail(str(error))
    if as_json:
        return answer({"protocol": measured.protocol.record(), "floors": found})
    out.print(str(measured.protocol), markup=False, soft_wrap=True)
    return out.print(floor_table(found), markup=False)


@app.command()
def report(suite: SuiteArgument, results: Results = HERE, as_json: Json = False) -> None:
    """Make a suite's tables again, from its store or from results.parquet alone."""
    from ..analysis.leaderboard import leaderboard
    from ..report.files import write
    from ..report.terminal import show as show_leaderboard
    from ..report.words import findings
    from ..store import Damaged, Store

    frame, folder = frame_of(suite, results), folder_of(suite, results)
    try:
        files = write(frame, folder, Store(folder.parent) if has_store(folder) else None)
    except Damaged as error:
        fail(str(error))
    if as_json:
        board = json.loads(leaderboard(frame).to_json(orient="records"))
        told = {"findings": findings(frame), "leaderboard": board}
        return answer({**told, "files": [str(path) for path in files]})
    show_leaderboard(frame, out)
    for path in files:
        out.print(f"  {path}", markup=False, soft_wrap=True)
    return None


@app.command()
def compare(
    before: Annotated[str, typer.Argument(help="A suite, or the folder of its tables.")],
    after: Annotated[str, typer.Argument(help="Another, or the same under another code.")],
    results: Results = HERE,
    metric: Annotated[list[str] | None, typer.Option(help="Only this; may be repeated.")] = None,
    margin: Annotated[
        float | None, typer.Option(help="The share within which a ratio counts as none.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare two tables cell by cell: better, worse, equivalent, undecided, new, missing, the same."""
    from ..analysis.compare import as_frame, differences, overall, sentence, summary
    from ..analysis.compare import compare as compare_frames
    from ..spec import SpecError

    one, other = frame_of(before, results), frame_of(after, results)
    try:
        cells = compare_frames(one, other, margin, metric)
        means = overall(one, other, margin, metric)
    except SpecError as error:
        fail(str(error))
    told = {
        "summary": summary(cells),
        "overall": list(map(sentence, means)),
        "changed": [sentence(c) for c in cells if c.verdict in CHANGED],
        "differences": differences(one, other),
    }
    if as_json:
        rows = json.loads(as_frame([*means, *cells]).to_json(orient="records"))
        return answer({**told, "comparisons": rows})
    for heading in ("differences", "changed", "overall", "summary"):
        for line in told[heading]:
            out.print(line, markup=False, soft_wrap=True, style="bold" * (heading == "summary"))
    return None
