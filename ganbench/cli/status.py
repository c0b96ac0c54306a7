"""The command `status`."""

import json
import shlex
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from ganbench.counts import count_of, format_age, format_share
from ganbench.experiments.plan_names import FINISHED_OUTCOMES

from .base import app, out
from .options import DEFAULT_RESULTS, Json, Results, SuiteArgument
from .stored_results import (
    OUTCOME_WORDS,
    has_store,
    note_other_suite,
    read_frame,
    results_option,
    suite_folder,
)
from .streams import print_json
from .trials import run_command, suite_of_run


@app.command()
def status(suite: SuiteArgument, results: Results = DEFAULT_RESULTS, as_json: Json = False) -> None:
    """Show trials by state, best arm and page.

    The states come from the store, so they are those of a run in progress too, on any machine that
    shares it. Each running trial has its machine, its process and its step. Trials of incompatible
    cells are counted apart. The answer and the best arm are those of the last report.
    """
    state = read_suite_status(suite, results)
    last = LastReport.of(suite_folder(suite, results))
    running = {label: trial and asdict(trial) for label, trial in state.running.items()}
    if as_json:
        counts = {"trials": state.trials, "outcomes": state.outcomes}
        ends = {"finished": count_unfinished(state.outcomes) == 0, **asdict(last)}
        ends |= {"command": next_command(state, suite, results)}
        return print_json({**counts, **ends, "reasons": state.reasons, "running": running})
    for line in status_lines(state.outcomes):
        out.print(line)
    for label, trial in state.running.items():
        out.print_line(f"  {label}: {format_running(trial)}")
    for label, reason in state.reasons.items():
        out.print_line(f"  {label}: {reason}")
    for line in [progress_sentence(state, suite, results), *last.lines()]:
        out.print_line(line)
    return None


@dataclass(frozen=True)
class LastReport:
    """The answer of the last report of a suite, its page and the age of the page."""

    headline: str = ""
    best_arms: list[str] = field(default_factory=list)  # one sentence per data set
    page: str | None = None
    page_age: float | None = None  # seconds

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Reads a suite's folder; without files, or with damaged ones, there is no report."""
        try:
            summary = json.loads((folder / "summary.json").read_text("utf-8"))
            page = folder / "report.html"
            age = time.time() - page.stat().st_mtime
            headline = next(iter(summary["findings"]), "")
            best = [sentence for sentence in summary.get("best_arms", []) if sentence != headline]
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return cls()
        return cls(headline, best, str(page), round(age, 1))

    def lines(self) -> list[str]:
        """Returns the lines for a reader; none without a report."""
        if self.page is None or self.page_age is None:
            return []
        age = format_age(self.page_age)
        return [*filter(None, [self.headline]), *self.best_arms, f"page, {age} old: {self.page}"]


def count_unfinished(outcomes: dict[str, int]) -> int:
    """Counts the trials that are neither finished nor of incompatible cells."""
    return sum(count for name, count in outcomes.items() if name not in FINISHED_OUTCOMES)


def progress_sentence(state: Any, suite: str, results: Path) -> str:
    """Returns a sentence: finished, running, or the command that goes on."""
    if not (left := count_unfinished(state.outcomes)):
        return "Finished."
    end = "follows the run" if state.running else "goes on"
    return f"{count_of(left, 'trial')} left; `{next_command(state, suite, results)}` {end}."


def next_command(state: Any, suite: str, results: Path) -> str:
    """Returns the command that follows or continues a run; empty if it is finished."""
    if not count_unfinished(state.outcomes):
        return ""
    if state.running:
        return shlex.join(["ganbench", "watch", suite_of_run(suite), *results_option(results)])
    from ganbench.experiments.store import read_plan

    return run_command(suite, read_plan(suite_folder(suite, results)) or {}, results)


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
    if trial.measuring or trial.progress >= 1:  # an untrained reference is measured alone
        return ", ".join([*parts, "measuring"])
    return ", ".join([*parts, f"step {trial.step:,} ({format_share(trial.progress)})"])


def read_suite_status(suite: str, results: Path) -> Any:
    """Reads the status of a suite from its store, or from its tables where there is no store."""
    from ganbench.experiments.outcomes import read_plan_status
    from ganbench.experiments.store import Store, read_plan

    folder = suite_folder(suite, results)
    plan = read_plan(folder)
    has_tables = any((folder / name).exists() for name in ("results.parquet", "results.csv"))
    if plan is not None and (has_store(folder) or not has_tables):
        note_other_suite(suite, plan, results)
        return read_plan_status(plan, Store(folder.parent))
    from ganbench.analysis.rows import read_table_status  # imports pandas

    return read_table_status(read_frame(suite, results))
