"""Runs the seeds of an arm as members of one program.

Each member has the lock and the files of a lone trial.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from ganbench.evaluation.protocols.base import DEFAULT_PROTOCOL

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
from .store import Attempt, Busy, Store, TrialFolder
from .training_pictures import PicturedRecord
from .trial import Trial

UNMEASURED = "trained, and stopped before it was measured"
UNTRAINED = "stopped before its next step"


@dataclass
class MemberRun:
    """A trial that this process holds, with the error that ended its training."""

    trial: Trial
    folder: TrialFolder
    attempt: Attempt
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
            if not enter_lock(folder, locks):
                outcomes[trial.id] = "busy"
            elif is_finished(trial, folder, metrics, protocol):
                outcomes[trial.id] = outcome_of(folder)
            else:
                runs.append(MemberRun(trial, folder, begin_attempt(folder)))
        train_members(runs, stop)
        for number, run in enumerate(runs):
            may_stop = stop if number else lambda: False
            work = partial(finish_member, run, metrics, may_stop, protocol)
            outcomes[run.trial.id] = record_outcome(run.attempt, work)
    return [outcomes[trial.id] for trial in trials]


def enter_lock(folder: TrialFolder, locks: ExitStack) -> bool:
    """Locks a trial until the stack closes; returns whether no other process holds it."""
    try:
        locks.enter_context(folder.lock())
    except Busy:
        return False
    return True


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
    """Trains members together, or in two halves if memory lacks; keeps an error of all.

    A group that is not the first does not begin after a request to stop.
    """
    if not is_first and stop():
        keep_error(runs, Interrupted(UNTRAINED))
        return
    try:
        make_session([run.record() for run in runs]).run(stop)
    except torch.OutOfMemoryError as error:
        halves = split_in_halves([run for run in runs if run.folder.read_result() is None])
        if len(halves) < 2:
            keep_error(runs, error)
            return
    except (Exception, SystemExit) as error:
        keep_error(runs, error)
        return
    else:
        return
    for half in halves:  # the memory of the whole is free only after the except clause
        train_group(half, stop)


def split_in_halves(members: Sequence[Any]) -> list[list[Any]]:
    """Returns the first and the second half, without an empty one."""
    middle = (len(members) + 1) // 2
    return [list(half) for half in (members[:middle], members[middle:]) if half]


def keep_error(runs: Sequence[MemberRun], error: BaseException) -> None:
    """Keeps the error that ended the training of the members without a result."""
    for run in runs:
        if run.folder.read_result() is None:
            run.error = error


def finish_member(run: MemberRun, metrics: tuple[str, ...], stop: ShouldStop, protocol: str) -> str:
    """Measures a trained member and returns its outcome; raises the error of its training."""
    if run.error is not None:
        raise run.error
    if stop() and outcome_of(run.folder) == "done":
        raise Interrupted(UNMEASURED)
    return measure_if_done(run.trial, run.folder, run.attempt, metrics, protocol)
