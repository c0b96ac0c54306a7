"""The command `check`: are the methods of a suite what their papers define?"""

import typer

from .base import Json, Override, SuiteArgument, Trust, app, out, print_json
from .run import read_suite

FAULT, CANNOT_DECIDE = 1, 3  # exit codes


@app.command()
def check(
    suite: SuiteArgument,
    override: Override = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Compare methods with their closed forms.

    Losses, tricks, optimizers, random streams and metrics of each cell are built and compared with their
    definitions on the CPU, which takes seconds. Exit code 1: a part is another method, and its cell and
    its values are printed. 3: a part crashed. `ganbench gate` has the same checks.
    """
    from ganbench.ci.methods.run_checks import cells_of_plan, check_methods
    from ganbench.experiments.plan import plan_trials

    declared, name, chosen = read_suite(suite, override, 1, None, "cpu")
    report = check_methods(cells_of_plan(plan_trials(declared, name, chosen)), declared.metrics)
    if as_json:
        print_json(report.record())
    else:
        for line in report.sentences():
            out.print(line, markup=False, soft_wrap=True)
        for error in report.errors:
            out.print(f"Not compared: {error}.", markup=False, soft_wrap=True)
    raise typer.Exit(FAULT if report.faults else CANNOT_DECIDE if report.errors else 0)
