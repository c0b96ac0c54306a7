"""Runs the seeds of an arm as members of one program.

Each member has the lock and the files of a lone trial.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import torch

from ganbench.evaluation.heartbeat import listening_to_heartbeats
from ganbench.evaluation.protocols.base import DEFAULT_PROTOCOL

from .executors.base import split_group
from .lease import Busy, Lease, LeaseLost
from .run_trial import (
    begin_attempt,
    is_finished,
    make_session,
    measure_if_done,
    outcome_of,
    prepare_training,
    record_outcome,
    run_trial,
)
from .session import Interrupted, ShouldStop, TrainingRecord
from .store import Attempt, Store, TrialFolder
from .training_pictures import PicturedRecord
from .trial import Trial

STOPPED_BEFORE_MEASUREMENT = "trained, and stopped before it was measured"
STOPPED_BEFORE_STEP = "stopped before its next step"


@dataclass
class MemberRun:
    """A trial that this process holds, with the error that ended its training."""

    trial: Trial
    folder: TrialFolder
    attempt: Attempt
    lease: Lease
    error: BaseException | None = None

    def record(self) -> TrainingRecord:
        return PicturedRecord(self.trial, self.folder, self.attempt)


def run_trials(
    trials: Sequence[Trial],
    store: Store,
    metrics: tuple[str, ...],
    stop: ShouldStop,
    protocol: str = DEFAULT_PROTOCOL,
) -> list[str]:
    """Runs one trial, or several stacked ones together; returns their outcomes."""
    if trials[0].numerics.stacked:
        return run_stacked_trials(trials, store, metrics, stop, protocol)
    (trial,) = trials
    try:
        return [run_trial(trial, store, metrics, stop, protocol)]
    except Busy:
        return ["busy"]


def run_stacked_trials(
    trials: Sequence[Trial],
    store: Store,
    metrics: tuple[str, ...],
    stop: ShouldStop,
    protocol: str = DEFAULT_PROTOCOL,
) -> list[str]:
    """Trains trials that differ in their seeds alone, measures them; returns their outcomes.

    The outcome of a trial that another process holds is `busy`; the others are those of `run_trial`.
    """
    outcomes: dict[str, str] = {}
    with ExitStack() as locks:
        runs = []
        for trial in trials:
            folder = store.trial_folder(trial.id)
            lease = enter_lock(folder, locks)
            if lease is None:
                outcomes[trial.id] = "busy"
            elif is_finished(trial, folder, metrics, protocol):
                outcomes[trial.id] = outcome_of(folder)
            else:
                runs.append(MemberRun(trial, folder, begin_attempt(folder), lease))
        train_members(runs, stop)
        for number, run in enumerate(runs):
            may_stop = stop if number else lambda: False
            work = partial(finish_member, run, metrics, may_stop, protocol)
            outcomes[run.trial.id] = record_member(run, work)
    return [outcomes[trial.id] for trial in trials]


def enter_lock(folder: TrialFolder, locks: ExitStack) -> Lease | None:
    """Locks a trial until the stack closes; returns None if another process holds it."""
    try:
        return locks.enter_context(folder.lock())
    except Busy:
        return None


def record_member(run: MemberRun, work: Callable[[], str]) -> str:
    """Returns the outcome of a member; `busy` if another process took it over."""
    try:
        return record_outcome(run.attempt, run.folder, work)
    except LeaseLost:
        return "busy"


def train_members(runs: Sequence[MemberRun], stop: ShouldStop) -> None:
    """Trains the members that have no result, in groups of equal steps; keeps their errors."""
    for number, group in enumerate(group_by_step(filter(prepare_member, runs)).values()):
        train_group(group, stop, is_first=number == 0)


def prepare_member(run: MemberRun) -> bool:
    """Returns whether a member can be trained and is not trained yet."""
    run.trial.numerics.apply()
    try:
        return prepare_training(run.trial, run.folder)
    except Exception as error:  # for example a full disk
        run.error = error
        return False


def group_by_step(runs: Iterable[MemberRun]) -> dict[int, list[MemberRun]]:
    """Returns members by the step of their checkpoints; 0 without one."""
    groups: dict[int, list[MemberRun]] = defaultdict(list)
    for run in runs:
        state = run.record().load_checkpoint()
        groups[state["step"] if state else 0].append(run)
    return dict(sorted(groups.items()))


def train_group(runs: Sequence[MemberRun], stop: ShouldStop, is_first: bool = False) -> None:
    """Trains members together, and in smaller groups where that fails.

    A group that is not the first does not begin after a request to stop.
    """
    if not is_first and stop():
        keep_error(runs, Interrupted(STOPPED_BEFORE_STEP))
        return
    for group in try_group(runs, stop):  # its return has freed the memory of the whole
        train_group(group, stop)


def try_group(runs: Sequence[MemberRun], stop: ShouldStop) -> list[list[MemberRun]]:
    """Trains members together, and keeps an error of all; returns the groups to train again.

    If memory lacks, they are two halves. If another process takes over members, it is one group of the
    others, which continues from their last checkpoints.
    """
    try:
        with listening_to_heartbeats(lambda: show_life(runs)):
            make_session([run.record() for run in runs]).run(guard_leases(runs, stop))
    except LeaseLost as error:
        keep_error([run for run in runs if run.lease.lost.is_set()], error)
        owned = [run for run in runs if not run.lease.lost.is_set()]
        return [owned] if owned else []
    except torch.OutOfMemoryError as error:
        unfinished = [run for run in runs if run.folder.read_result() is None]
        if len(unfinished) > 1:
            return split_group(unfinished)
        keep_error(runs, error)
    except (Exception, SystemExit) as error:
        keep_error(runs, error)
    return []


def guard_leases(runs: Sequence[MemberRun], stop: ShouldStop) -> ShouldStop:
    """Returns a `stop` that raises LeaseLost once another process has taken over a member."""
    for run in runs:
        stop = run.lease.guard(stop)
    return stop


def show_life(runs: Sequence[MemberRun]) -> None:
    for run in runs:
        run.attempt.show_life()


def keep_error(runs: Sequence[MemberRun], error: BaseException) -> None:
    """Keeps the error that ended the training of the members without a result."""
    for run in runs:
        if run.folder.read_result() is None:
            run.error = error


def finish_member(run: MemberRun, metrics: tuple[str, ...], stop: ShouldStop, protocol: str) -> str:
    """Measures a trained member and returns its outcome; raises the error of its training."""
    if run.error is not None:
        raise run.error
    if run.lease.guard(stop)() and outcome_of(run.folder) == "done":
        raise Interrupted(STOPPED_BEFORE_MEASUREMENT)
    return measure_if_done(run.trial, run.folder, run.attempt, metrics, protocol)
