"""Commands on results: `report`, `compare`, `floor`."""

import json
from typing import Annotated

import typer

from .base import (
    DEFAULT_RESULTS,
    Device,
    InceptionWeights,
    Json,
    Results,
    SuiteArgument,
    app,
    has_store,
    out,
    print_json,
    read_frame,
    suite_folder,
)
from .run import parse_metric_labels

CHANGED_VERDICTS = ("better", "worse", "fails more", "fails less")


@app.command()
def floor(
    data: Annotated[str, typer.Argument(help="A data set: digits, fashion_mnist.")],
    metrics: Annotated[str, typer.Option(help="Metrics, separated by commas. Default: all.")] = "",
    protocol: Annotated[str, typer.Option(help="Protocol: ganbench, torch-fidelity.")] = "ganbench",
    device: Device = "auto",
    inception_weights: InceptionWeights = None,
    as_json: Json = False,
) -> None:
    """Score held-out real data as if generated.

    No generator can be expected to score better than this floor.
    """
    from ganbench.devices import Numerics, select_device
    from ganbench.evaluation.evaluator import evaluator_for
    from ganbench.evaluation.metrics import METRICS
    from ganbench.evaluation.protocols import protocol_label
    from ganbench.report.floor_table import measure_floor_rows, render_floor_table

    chosen = parse_metric_labels(metrics) or tuple(METRICS)
    selected = select_device(device)
    Numerics(selected).apply()
    evaluator = evaluator_for(data, selected, protocol_label(protocol))
    floor_values = measure_floor_rows(evaluator, chosen)
    if as_json:
        return print_json({"protocol": evaluator.protocol.record(), "floors": floor_values})
    out.print(str(evaluator.protocol), markup=False, soft_wrap=True)
    return out.print(render_floor_table(floor_values), markup=False)


@app.command()
def report(suite: SuiteArgument, results: Results = DEFAULT_RESULTS, as_json: Json = False) -> None:
    """Write tables and report of a suite again.

    They are made from the store, or from results.parquet alone.
    """
    from ganbench.analysis.leaderboard import leaderboard
    from ganbench.experiments.store import Store
    from ganbench.report.findings import run_findings
    from ganbench.report.terminal import print_leaderboard
    from ganbench.report.writer import write_all

    frame, folder = read_frame(suite, results), suite_folder(suite, results)
    files = write_all(frame, folder, Store(folder.parent) if has_store(folder) else None)
    if as_json:
        board = json.loads(leaderboard(frame).to_json(orient="records"))
        content = {"findings": run_findings(frame), "leaderboard": board}
        return print_json({**content, "files": [str(path) for path in files]})
    print_leaderboard(frame, out)
    for path in files:
        out.print(f"  {path}", markup=False, soft_wrap=True)
    return None


@app.command()
def compare(
    before: Annotated[str, typer.Argument(help="A suite or a folder of tables.")],
    after: Annotated[str, typer.Argument(help="The suite or folder to compare with it.")],
    results: Results = DEFAULT_RESULTS,
    metric: Annotated[
        list[str] | None, typer.Option(help="Compare this metric only; repeatable.")
    ] = None,
    margin: Annotated[
        float | None, typer.Option(help="Changes within this share are equivalent.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare two result tables cell by cell.

    Each cell is better, worse, equivalent, undecided, new, missing or identical. The exit code is 0
    whatever the comparison finds.
    """
    from ganbench.analysis.compare import (
        compare_overall,
        comparisons_to_frame,
        format_comparison,
        list_condition_differences,
        summarize_comparisons,
    )
    from ganbench.analysis.compare import compare_runs as compare_frames

    one, other = read_frame(before, results), read_frame(after, results)
    cells = compare_frames(one, other, margin, metric)
    means = compare_overall(one, other, margin, metric)
    content = {
        "summary": summarize_comparisons(cells),
        "overall": list(map(format_comparison, means)),
        "changed": [format_comparison(c) for c in cells if c.verdict in CHANGED_VERDICTS],
        "differences": list_condition_differences(one, other),
    }
    if as_json:
        rows = json.loads(comparisons_to_frame([*means, *cells]).to_json(orient="records"))
        return print_json({**content, "comparisons": rows})
    for heading in ("differences", "changed", "overall", "summary"):
        for line in content[heading]:
            out.print(line, markup=False, soft_wrap=True, style="bold" * (heading == "summary"))
    return None
