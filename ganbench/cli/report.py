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
    folder_of,
    frame_of,
    has_store,
    out,
)
from .run import metric_labels

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
    from ganbench.devices import Numerics, select_device
    from ganbench.evaluation.evaluator import yardstick
    from ganbench.evaluation.metrics import METRICS
    from ganbench.evaluation.protocols import protocol_label
    from ganbench.report.floor_table import floor_table, floors

    chosen = metric_labels(metrics) or tuple(METRICS)
    selected = select_device(device)
    Numerics(selected).apply()
    measured = yardstick(data, selected, protocol_label(protocol))
    found = floors(measured, chosen)
    if as_json:
        return answer({"protocol": measured.protocol.record(), "floors": found})
    out.print(str(measured.protocol), markup=False, soft_wrap=True)
    return out.print(floor_table(found), markup=False)


@app.command()
def report(suite: SuiteArgument, results: Results = HERE, as_json: Json = False) -> None:
    """Make a suite's tables again, from its store or from results.parquet alone."""
    from ganbench.analysis.leaderboard import leaderboard
    from ganbench.experiments.store import Store
    from ganbench.report.findings import findings
    from ganbench.report.terminal import show as show_leaderboard
    from ganbench.report.writer import write

    frame, folder = frame_of(suite, results), folder_of(suite, results)
    files = write(frame, folder, Store(folder.parent) if has_store(folder) else None)
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
    from ganbench.analysis.compare import as_frame, differences, overall, sentence, summary
    from ganbench.analysis.compare import compare as compare_frames

    one, other = frame_of(before, results), frame_of(after, results)
    cells = compare_frames(one, other, margin, metric)
    means = overall(one, other, margin, metric)
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
