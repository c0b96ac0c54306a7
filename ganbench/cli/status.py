"""The command `status`."""

from pathlib import Path
from typing import Any

from .base import (
    DEFAULT_RESULTS,
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


@app.command()
def status(suite: SuiteArgument, results: Results = DEFAULT_RESULTS, as_json: Json = False) -> None:
    """Count finished, failed and pending trials.

    The counts come from the store, so they are those of a run in progress too.
    """
    state = read_suite_status(suite, results)
    if as_json:
        return print_json(
            {"trials": state.trials, "outcomes": state.outcomes, "reasons": state.reasons}
        )
    counts = ", ".join(f"{count} {outcome}" for outcome, count in state.outcomes.items())
    out.print(f"{state.trials} trials: {counts}")
    for label, reason in state.reasons.items():
        out.print(f"  {label}: {reason}", markup=False, soft_wrap=True)
    return None


def read_suite_status(suite: str, results: Path) -> Any:
    """Reads the status of a suite from its store, or from its tables where there is no store."""
    from ganbench.experiments.outcomes import read_plan_status
    from ganbench.experiments.store import Store, read_plan

    folder = suite_folder(suite, results)
    plan = read_plan(folder)
    if plan is not None and has_store(folder):
        return read_plan_status(plan, Store(folder.parent))
    from ganbench.analysis.rows import read_table_status  # imports pandas

    return read_table_status(read_frame(suite, results))
