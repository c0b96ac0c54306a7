"""The command `status`."""

import time
from dataclasses import asdict
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
    """Count trials by state, and show running ones.

    The states come from the store, so they are those of a run in progress too, on any machine that
    shares it. Each running trial has its machine, its process and its step. Trials of incompatible
    cells are counted apart.
    """
    state = read_suite_status(suite, results)
    running = {label: trial and asdict(trial) for label, trial in state.running.items()}
    if as_json:
        counts = {"trials": state.trials, "outcomes": state.outcomes}
        return print_json({**counts, "reasons": state.reasons, "running": running})
    for line in status_lines(state.outcomes):
        out.print(line)
    for label, trial in state.running.items():
        out.print(f"  {label}: {format_running(trial)}", markup=False, soft_wrap=True)
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


def format_running(trial: Any, now: float | None = None) -> str:
    """Formats `running on node-a, process 4711, for 1:02:03, step 1,200 (40%)`."""
    from .progress import format_clock

    parts = [f"running on {trial.machine}", f"process {trial.process}"]
    if trial.since is not None:
        parts.append(f"for {format_clock((now or time.time()) - trial.since)}")
    if trial.measuring:
        return ", ".join([*parts, "measuring"])
    return ", ".join([*parts, f"step {trial.step:,} ({trial.progress:.0%})"])


def read_suite_status(suite: str, results: Path) -> Any:
    """Reads the status of a suite from its store, or from its tables where there is no store."""
    from ganbench.experiments.outcomes import read_plan_status
    from ganbench.experiments.store import Store, read_plan

    folder = suite_folder(suite, results)
    plan = read_plan(folder)
    has_tables = any((folder / name).exists() for name in ("results.parquet", "results.csv"))
    if plan is not None and (has_store(folder) or not has_tables):
        return read_plan_status(plan, Store(folder.parent))
    from ganbench.analysis.rows import read_table_status  # imports pandas

    return read_table_status(read_frame(suite, results))
