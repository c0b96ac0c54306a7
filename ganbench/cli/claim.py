"""The command `claim`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from .base import app, out
from .options import DEFAULT_RESULTS, Json, Results, refuse_special_file
from .stored_results import read_frame
from .streams import print_json


@app.command()
def claim(
    name: Annotated[
        str, typer.Argument(metavar="CLAIM", help="A claim, or its file. Default: list them.")
    ] = "",
    results: Results = DEFAULT_RESULTS,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", callback=refuse_special_file, help="Write the answers as Markdown too."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare a paper's claims with results.

    Without a name, all claims are listed. A claim file names a suite. Each published mean and each
    published order is reproduced, contradicted, undecided, not comparable or not run. Means are only
    compared at the published scale. The exit code is 0 whatever the answers are.
    """
    from ganbench.claims.known_claims import find_claim_file, list_claims

    if not name:
        return print_claims(list_claims(), as_json)
    from ganbench.claims.claim_file import load_claim, locate_misfits
    from ganbench.claims.format_answers import render_answers
    from ganbench.claims.judge_claim import answers_to_records, count_verdicts, judge_claim
    from ganbench.files import write_bytes

    path = find_claim_file(name)
    declared = load_claim(path)
    with locate_misfits(path):
        answers = judge_claim(declared, read_frame(declared.suite, results))
    text = render_answers(declared, answers)
    if to:
        write_bytes(to, text.encode())
    if as_json:
        content = {"claim": declared.name, "source": declared.source, "suite": declared.suite}
        records = {"summary": count_verdicts(answers), "answers": answers_to_records(answers)}
        return print_json(content | records)
    return print_answers(declared, answers)


def print_claims(entries: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        return print_json(entries)
    for entry in entries:
        line = f"{entry['spec']}: {entry['about']} Suite: {entry['suite']}."
        out.print_line(line)
    return None


def print_answers(declared: Any, answers: list[Any]) -> None:
    """Prints the answers as a table, then their reasons and numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    from ganbench.claims.format_answers import COLUMNS, format_summary, list_reasons, list_rows

    out.print(f"{declared.about}\n{declared.source}", markup=False)
    grid = Table(box=SIMPLE_HEAD, padding=(0, 1))
    for column in COLUMNS:
        grid.add_column(column)
    for row in list_rows(answers):
        grid.add_row(*map(escape, row))
    out.print(grid)
    for sentence in [*list_reasons(answers), format_summary(declared, answers)]:
        out.print(sentence, markup=False)
