"""Commands on one trial of a run: `logs` and `why`."""

import shlex
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ganbench.counts import count_of, format_share, list_first
from ganbench.experiments.plan_names import TRAINED_OUTCOMES, short_id
from ganbench.experiments.suite_files import find_suite_file

from .base import app, fail, out
from .options import DEFAULT_RESULTS, Json, Results, SuiteArgument
from .stored_results import OUTCOME_WORDS, has_store, no_run_sentence, results_option, suite_folder
from .streams import print_json

MAX_NAMED_TRIALS = 10  # if several match
POLL_SECONDS = 1.0
EVENT_NUMBERS = {"rate": "{:,.0f} img/s", "fid": "curve FID {:.3g}"}
OTHER_KEYS = ("time", "step", "progress", "terms", "scores", *EVENT_NUMBERS)

TrialArgument = Annotated[
    str, typer.Argument(metavar="TRIAL", help="Words of its cell's name, or the begin of its id.")
]
OptionalTrial = Annotated[
    str,
    typer.Argument(
        metavar="TRIAL",
        help="Words of its cell's name, or the begin of its id. Default: the newest.",
    ),
]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of the trial.")]


@app.command()
def logs(
    suite: SuiteArgument,
    trial: OptionalTrial = "",
    seed: Seed = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print until it ends.")] = False,
    attempt: Annotated[
        int | None, typer.Option(min=1, help="Number of the attempt. Default: the last.")
    ] = None,
    lines: Annotated[int, typer.Option("-n", min=0, help="Last events to print; 0: all.")] = 20,
    results: Results = DEFAULT_RESULTS,
) -> None:
    """Print events and output of a trial.

    They are those of its last attempt, and the store may be that of another machine. Output and
    tracebacks are kept of attempts that failed.
    """
    store, plan = open_store(suite, results)
    item = find_trial(plan, trial, seed, suite) if trial else newest_trial(plan, store, suite)
    folder = store.trial_folder(item["trial"])
    chosen = find_attempt(folder, attempt)
    out.print(f"{label_of(item)} · {short_id(item['trial'])}", style="bold", markup=False)
    shown = chosen.read_events()
    print_events(shown[-lines:] if lines else shown)
    if follow:
        follow_attempt(folder, chosen, len(shown))
    print_end(chosen)


@app.command()
def why(
    suite: SuiteArgument,
    trial: TrialArgument,
    seed: Seed = None,
    results: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Explain the state of one trial.

    Prints its state with the reason, its attempts by machine, and the command that continues it.
    """
    from ganbench.experiments.attempt_history import read_trial_history

    store, plan = open_store(suite, results)
    item = find_trial(plan, trial, seed, suite)
    history = read_trial_history(plan, item, store)
    command = continue_command(suite, item, history.state.state, results, plan)
    if as_json:
        entry = {"trial": item["trial"], "label": label_of(item), **asdict(history)}
        return print_json({**entry, "command": command})
    state = OUTCOME_WORDS.get(history.state.state, history.state.state)
    text = ": ".join(filter(None, [state, history.state.reason]))
    out.print(f"{label_of(item)} · {short_id(item['trial'])}", style="bold", markup=False)
    for line in [text, *map(format_attempt, history.attempts), history.next_run]:
        out.print_line(line)
    if command:
        out.print_line(f"  {command}")
    return None


def open_store(suite: str, results: Path) -> tuple[Any, dict[str, Any]]:
    """Returns the store and the plan of a suite; ends the program if it has none."""
    from ganbench.experiments.store import Store, read_plan

    folder = suite_folder(suite, results)
    plan = read_plan(folder)
    if plan is None:
        fail(no_run_sentence(suite, folder))
    if not has_store(folder):
        fail(f"no trial store beside {folder}: trials are kept only where they were trained")
    if plan["suite"] != folder.resolve().name:
        fail(f"{folder} has the plan of {plan['suite']}: rename the folder to {plan['suite']}")
    return Store(folder.parent), plan


def find_trial(plan: dict[str, Any], words: str, seed: int | None, suite: str) -> dict[str, Any]:
    """Returns the one trial with these words and this seed, or ends the program."""
    from ganbench.experiments.outcomes import distinct_items
    from ganbench.experiments.select_trials import select_items

    chosen = select_items(distinct_items(plan), words, suite)
    if seed is not None:
        seeds = sorted({item["seed"] for item in chosen})
        if seed not in seeds:
            fail(f"no trial of {words!r} has seed {seed}; there are {', '.join(map(str, seeds))}")
        chosen = [item for item in chosen if item["seed"] == seed]
    if len({item["trial"] for item in chosen}) > 1:
        fail(several_trials_sentence(chosen, words))
    return chosen[0]


def several_trials_sentence(items: list[dict[str, Any]], words: str) -> str:
    names = [f"{short_id(item['trial'])}  {label_of(item)}" for item in items]
    lines = [f"  {name}" for name in list_first(names, MAX_NAMED_TRIALS)]
    count = count_of(len(items), "trial")
    return "\n".join([f"{count} match {words!r}: add words, --seed, or name one id", *lines])


def label_of(item: dict[str, Any]) -> str:
    from ganbench.experiments.monitoring.trial_progress import format_trial_label

    return format_trial_label(item, item["role"])


def newest_trial(plan: dict[str, Any], store: Any, suite: str) -> dict[str, Any]:
    """Returns the trial with the newest event; ends the program if no trial has begun."""
    begun = store.trial_names()
    items = [item for item in plan["trials"] if short_id(item["trial"]) in begun]
    times = {item["trial"]: time_of_last_event(store.trial_folder(item["trial"])) for item in items}
    if not any(times.values()):
        fail(f"no trial of {suite} has begun: `ganbench run {suite}` trains them")
    return max(items, key=lambda item: times[item["trial"]])


def time_of_last_event(folder: Any) -> float:
    """Returns the time at which the newest attempt of a trial wrote its last event, or 0."""
    attempts = folder.attempts()
    try:
        return float(attempts[-1].events_path.stat().st_mtime) if attempts else 0.0
    except OSError:
        return 0.0


def find_attempt(folder: Any, number: int | None) -> Any:
    attempts = folder.attempts()
    if not attempts:
        fail(f"{folder.folder.name} has no attempt here: it was not run, or its logs were deleted")
    by_number = {attempt.number: attempt for attempt in attempts}
    if number is not None and number not in by_number:
        fail(f"there is no attempt {number}; there are {', '.join(map(str, by_number))}")
    return by_number.get(number, attempts[-1])


def follow_attempt(folder: Any, attempt: Any, printed: int) -> None:
    """Prints new events until the attempt ends, or until no process holds the trial."""
    from ganbench.experiments.lease import read_holder

    while attempt.read_end() is None:
        is_held = read_holder(folder.folder) is not None  # before the last events are read
        events = attempt.read_events()
        print_events(events[printed:])
        printed = len(events)
        if not is_held:
            return
        time.sleep(POLL_SECONDS)
    print_events(attempt.read_events()[printed:])


def print_events(events: list[dict[str, Any]]) -> None:
    for event in events:
        clock = time.strftime("%H:%M:%S", time.localtime(event["time"]))
        out.print_line(" · ".join([clock, *event_parts(event)]))


def event_parts(event: dict[str, Any]) -> Iterator[str]:
    """Yields the parts of an event's line: `step 50 (10 %)`, `3,456 img/s`, `generator 0.7`."""
    if "step" in event:
        share = event.get("progress")
        yield f"step {event['step']:,}" + ("" if share is None else f" ({format_share(share)})")
    for key, form in EVENT_NUMBERS.items():
        if event.get(key):
            yield form.format(event[key])
    for name, value in {**(event.get("terms") or {}), **(event.get("scores") or {})}.items():
        yield f"{name} {value:.4g}" if isinstance(value, int | float) else f"{name} {value}"
    for key, value in event.items():
        if key not in OTHER_KEYS and value is not False:
            yield key if value is True else f"{key} {value}"


def print_end(attempt: Any) -> None:
    """Prints the log of an attempt and its end."""
    if attempt.log_path.is_file():
        text = attempt.log_path.read_text(encoding="utf-8", errors="replace")
        out.print_line(text.rstrip())
    if end := attempt.read_end():
        out.print_line(": ".join(filter(None, end.values())))


def format_attempt(attempt: Any) -> str:
    """Formats `attempt 1: node-a, process 4711, 2026-11-27 09:12: failed at step 50: ...`."""
    place = [attempt.machine, *([f"process {attempt.process}"] if attempt.process else [])]
    if attempt.began is not None:
        place.append(time.strftime("%Y-%m-%d %H:%M", time.localtime(attempt.began)))
    parts = [f"{attempt.outcome} at step {attempt.step:,}", " ".join(attempt.reason.split())]
    end = ": ".join(filter(None, parts)) + (f" (log: {attempt.log})" if attempt.log else "")
    return f"attempt {attempt.number}: {', '.join(place)}: {end}"


def continue_command(
    suite: str, item: dict[str, Any], state: str, results: Path, plan: dict[str, Any]
) -> str:
    """Returns the command that continues, repeats or follows a trial; empty if there is none."""
    if state == "not_applicable":
        return ""
    trial = short_id(item["trial"])
    if state == "running":
        where = results_option(results)
        return shlex.join(["ganbench", "logs", suite_of_run(suite), trial, "--follow", *where])
    again = ["--from-scratch"] if state in TRAINED_OUTCOMES else []
    return run_command(suite, plan, results, "--only", trial, *again)


def run_command(suite: str, plan: dict[str, Any], results: Path, *selection: str) -> str:
    """Returns the command that runs a plan, or some of its trials, with its options."""
    words = [suite_of_run(suite), *plan.get("options", []), *selection]
    return shlex.join(["ganbench", "run", *words, *results_option(results)])


def suite_of_run(suite: str) -> str:
    """Returns the argument of `run` for a suite; a file in this folder if no name is known."""
    own = Path(f"{suite}.toml")
    return str(own) if not find_suite_file(suite).is_file() and own.is_file() else suite
