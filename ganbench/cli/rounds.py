"""A run of a suite: in one pass for fixed seeds, in rounds for adaptive ones."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

from ganbench.analysis.adaptive_seeds import DECISIONS, GOES_ON, replay_looks
from ganbench.counts import count_of
from ganbench.experiments.deadline import Deadline
from ganbench.experiments.executors.base import Executor
from ganbench.experiments.monitoring.watch import announce_run
from ganbench.experiments.plan import plan_trials
from ganbench.experiments.prepared_run import PreparedRun, RunResult, ShowProgress
from ganbench.experiments.runner import RunRequest, prepare_run
from ganbench.experiments.seed_rounds import SeedRounds
from ganbench.experiments.select_trials import TrialSelection
from ganbench.experiments.stale_results import delete_results, find_stale_trials
from ganbench.experiments.store import Store

PrintLine = Callable[[str], None]


class RunInRounds:
    """Prepares and executes a suite; with adaptive seeds, round after round.

    The next round follows from the store alone. A run that selects trials takes no further round.
    """

    def __init__(self, request: RunRequest):
        self.request = request
        self.prepared: PreparedRun | None = None  # the pass that runs or ran last

    def prepare(self) -> PreparedRun:
        """Plans the round that the results in the store have reached.

        Raises the errors of `prepare_run` and `replay_looks`.
        """
        rounds = self.reached_rounds()
        if rounds and self.is_whole and self.request.stale == "rerun":
            self.delete_stale_results(rounds)
            rounds = self.reached_rounds()
        self.prepared = prepare_run(self.request, rounds)
        return self.prepared

    @property
    def is_whole(self) -> bool:
        """Whether the run selects all trials."""
        return self.request.selection == TrialSelection()

    def reached_rounds(self) -> SeedRounds | None:
        """Returns the seeds of each arm by the results in the store, or None for fixed seeds."""
        wanted = self.request
        store = Store(wanted.results)
        return replay_looks(wanted.suite, wanted.profile, wanted.device, store)

    def delete_stale_results(self, rounds: SeedRounds) -> None:
        """Deletes results of other code, which must not decide on further seeds."""
        wanted, store = self.request, Store(self.request.results)
        plan = plan_trials(wanted.suite, wanted.profile, wanted.device, rounds)
        delete_results(find_stale_trials(plan, store), store)

    def execute(
        self,
        executor: Executor,
        show: ShowProgress,
        deadline: Deadline | None,
        print_line: PrintLine,
    ) -> RunResult:
        """Runs the prepared pass and, with adaptive seeds, all rounds that follow."""
        assert self.prepared
        with self.announcement():
            result = self.prepared.execute(executor, show, deadline)
            is_whole, selection = self.is_whole, replace(self.request.selection, from_scratch=False)
            stale = self.request.stale if is_whole else "reuse"  # nothing follows that trains again
            self.request = replace(self.request, selection=selection, stale=stale)
            while (record := result.plan.get("adaptive")) and not record["over"]:
                prepared = self.prepare()
                if prepared.plan["adaptive"]["taken"] == record["taken"]:
                    print_line(describe_unfinished_round(prepared.plan["adaptive"]))
                    break
                print_line(describe_look(prepared.plan["adaptive"]))
                if not is_whole:
                    return replace(result, plan=prepared.plan)
                following = prepared.execute(executor, after(result, show), deadline)
                result = join_results(result, following)
            return result

    def announcement(self) -> AbstractContextManager[None]:
        """Announces a run in rounds as one, so that it is not over between two of them."""
        assert self.prepared
        plan = self.prepared.plan
        if "adaptive" not in plan:
            return nullcontext()
        return announce_run(self.prepared.folder, len(plan["trials"]))


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
