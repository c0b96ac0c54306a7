"""The command `status`."""

from pathlib import Path
from typing import Any

from ganbench.counts import count_of

from .base import (
    DEFAULT_RESULTS,
    OUTCOME_WORDS,
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

    The counts come from the store, so they are those of a run in progress too. Trials of incompatible
    cells are counted apart.
    """
    state = read_suite_status(suite, results)
    if as_json:
        return print_json(
            {"trials": state.trials, "outcomes": state.outcomes, "reasons": state.reasons}
        )
    for line in status_lines(state.outcomes):
        out.print(line)
    for label, reason in state.reasons.items():
        out.print(f"  {label}: {reason}", markup=False, soft_wrap=True)
    return None


def status_lines(outcomes: dict[str, int]) -> list[str]:
    """Returns the counts by outcome, with trials of incompatible cells in a line of their own."""
    trained = {name: count for name, count in outcomes.items() if name != "not_applicable"}
    counts = ", ".join(
        f"{count:,} {OUTCOME_WORDS.get(name, name)}" for name, count in trained.items()
    )
    total = count_of(sum(trained.values()), "trial")
    lines = [f"{total}: {counts}" if counts else total]
    if incompatible := outcomes.get("not_applicable", 0):
        more = count_of(incompatible, "more trial")
        lines.append(
            f"{more} of incompatible cells, not trained: `ganbench plan` gives the reasons"
        )
    return lines


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
