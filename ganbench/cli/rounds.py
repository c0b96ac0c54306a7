"""A run of a suite: in one pass for fixed seeds, in rounds for adaptive ones."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ganbench.analysis.adaptive_seeds import DECISIONS, GOES_ON, replay_looks
from ganbench.counts import count_of
from ganbench.experiments.deadline import Deadline
from ganbench.experiments.executors.base import Executor
from ganbench.experiments.plan import plan_trials
from ganbench.experiments.runner import (
    PreparedRun,
    RunResult,
    ShowProgress,
    StalePolicy,
    apply_stale_policy,
    prepare_run,
)
from ganbench.experiments.select_trials import TrialSelection
from ganbench.experiments.store import Store
from ganbench.experiments.suite import Suite

Announce = Callable[[str], None]


class RunInRounds:
    """Prepares and executes a suite; with adaptive seeds, round after round.

    The next round follows from the store alone. A run that selects trials takes no further round.
    """

    def __init__(
        self,
        suite: Suite,
        profile: str,
        device: str,
        results: Path,
        stale: StalePolicy,
        selection: TrialSelection,
        options: Sequence[str] = (),
    ):
        self.suite, self.profile, self.device, self.results = suite, profile, device, results
        self.stale, self.selection, self.options = stale, selection, options
        self.prepared: PreparedRun | None = None  # the pass that runs or ran last

    def prepare(self) -> PreparedRun:
        """Plans the round that the results in the store have reached.

        Raises the errors of `prepare_run` and `replay_looks`.
        """
        store = Store(self.results)
        rounds = replay_looks(self.suite, self.profile, self.device, store)
        if rounds and self.stale == "rerun":
            plan = plan_trials(self.suite, self.profile, self.device, rounds)
            if apply_stale_policy(plan, store, "rerun"):
                rounds = replay_looks(self.suite, self.profile, self.device, store)
        self.prepared = prepare_run(
            self.suite,
            self.profile,
            self.device,
            self.results,
            self.stale,
            self.selection,
            rounds,
            self.options,
        )
        return self.prepared

    def execute(
        self, executor: Executor, show: ShowProgress, deadline: Deadline | None, announce: Announce
    ) -> RunResult:
        """Runs the prepared pass and, with adaptive seeds, all rounds that follow."""
        assert self.prepared
        result = self.prepared.execute(executor, show, deadline)
        is_whole = self.selection == TrialSelection()
        self.selection = replace(self.selection, from_scratch=False)
        while (record := result.plan.get("adaptive")) and not record["over"]:
            prepared = self.prepare()
            if prepared.plan["adaptive"]["taken"] == record["taken"]:
                announce(describe_unfinished_round(prepared.plan["adaptive"]))
                break
            announce(describe_look(prepared.plan["adaptive"]))
            if not is_whole:
                return replace(result, plan=prepared.plan)
            following = prepared.execute(executor, after(result, show), deadline)
            result = join_results(result, following)
        return result


def after(result: RunResult, show: ShowProgress) -> ShowProgress:
    """Returns a view of a round that also shows the trials of the rounds before it."""

    def show_all(trials: Sequence[Any], _: int) -> None:
        show([*result.statuses, *trials], result.finished_before)

    return show_all


def join_results(first: RunResult, second: RunResult) -> RunResult:
    """Returns the outcome of two rounds, with the plan of the second one."""
    return replace(
        first,
        plan=second.plan,
        statuses=[*first.statuses, *second.statuses],
        seconds=first.seconds + second.seconds,
        left_out=second.left_out,
        trained_before=first.trained_before + second.trained_before,
    )


def describe_look(record: dict[str, Any]) -> str:
    """Returns a sentence such as `look 1 of 4, after 3 seeds: 2 effects decided.`"""
    taken, rounds = record["taken"], record["rounds"]
    counts = Counter(effect["state"] for effect in record["effects"])
    decided, going_on = sum(counts[name] for name in DECISIONS), counts[GOES_ON]
    ended = len(record["effects"]) - decided - going_on
    parts = [f"{count_of(decided, 'effect')} decided"]
    parts += [f"{ended} ended undecided"] if ended else []
    parts += [f"{going_on} {'gets' if going_on == 1 else 'get'} more seeds"] if going_on else []
    return f"look {taken} of {len(rounds)}, after {rounds[taken - 1]} seeds: {', '.join(parts)}."


def describe_unfinished_round(record: dict[str, Any]) -> str:
    seeds = record["rounds"][record["taken"]]
    return (
        f"The round of {seeds} seeds has unfinished trials; the next look follows when all are done. "
        "Leave out a cell that cannot be trained by [[exclude]]."
    )
