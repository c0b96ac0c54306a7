"""The command `check`: methods against closed forms, own parts against contracts."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from ganbench.experiments.suite_files import find_suite_file

from .base import app, fail, out
from .options import (
    InceptionWeights,
    Json,
    Override,
    Trust,
    VerdictFile,
    refuse_long_names,
)
from .streams import print_json
from .trainings import read_suite
from .verdict_output import end_with_files, save_verdict

What = Annotated[
    str,
    typer.Argument(
        metavar="SUITE | FILE.py | PACKAGE",
        help="A suite, or parts of your own.",
        callback=refuse_long_names,
    ),
]


@app.command()
def check(
    what: What,
    override: Override = None,
    trust: Trust = False,
    inception_weights: InceptionWeights = None,
    as_json: Json = False,
    verdict: VerdictFile = None,
) -> None:
    """Compare methods with their closed forms.

    The losses, tricks, optimizers, random streams and metrics of a suite are built on the CPU and compared
    with their definitions. This takes seconds. A file or a package of your own parts is checked against
    the contract of each kind. For example, a trick trains or explains why not, resumes bit for bit, and
    changes no other random draw.

    Exit code 1: a part is another method, breaks its contract, or its code fails. 3: a check crashed, or
    nothing could be checked. `ganbench gate` checks its suite too.
    """
    report = make_report(what, override)
    record = report.verdict_record(what)
    if as_json:
        print_json(record.to_json())
    else:
        for line in record.sentences:
            out.print_line(line)
    end_with_files(record.code, partial(save_verdict, verdict, record))


def make_report(what: str, override: list[str] | None) -> Any:
    """Checks a suite, a local file or an installed package."""
    from ganbench.ci.methods.contracts.check_parts import check_file, check_package
    from ganbench.ci.methods.run_checks import cells_of_plan, check_methods
    from ganbench.experiments.plan import plan_trials

    path = Path(what)
    whole, _, part = what.rpartition(":")
    if whole.endswith(".py"):
        fail(f"{what} names one part: `ganbench check {whole}` checks the whole file, with {part}")
    if path.suffix == ".py":
        return check_file(path)
    if not find_suite_file(what).is_file() and not path.suffix:
        return check_package(what)
    suite, name, chosen = read_suite(what, "cpu", overrides=override or (), seeds=1)
    cells = cells_of_plan(plan_trials(suite, name, chosen))
    return check_methods(cells, suite.metrics, suite.protocol)
