"""The command `compare`."""

import json
from typing import Annotated

import typer

from ganbench.analysis.verdicts import CHANGED_VERDICTS

from .base import app, out
from .options import DEFAULT_RESULTS, Json, Results
from .stored_results import read_frame
from .streams import print_json


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
    from ganbench.analysis.cell_comparison import comparisons_to_frame
    from ganbench.analysis.changed_conditions import list_condition_differences
    from ganbench.analysis.compare import compare_overall
    from ganbench.analysis.compare import compare_runs as compare_frames
    from ganbench.analysis.comparison_sentences import format_comparison, summarize_comparisons

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
            out.print_line(line, style="bold" * (heading == "summary"))
    return None
