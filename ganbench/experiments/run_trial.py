"""Runs one trial: trains it from its checkpoint, measures it, records the outcome."""

import os
import platform
import traceback
from dataclasses import asdict

from ganbench.evaluation.evaluator import yardstick
from ganbench.evaluation.protocols.base import DEFAULT
from ganbench.evaluation.scores_file import add_readings, unmeasured
from ganbench.files import read_json, write_bytes, write_json
from ganbench.training.trainer import Diverged

from .saved_generator import kept_samples, portrait
from .session import Interrupted, Session, Stop
from .store import Attempt, Store, TrialFolder
from .trial import CHECKPOINTS, Trial


def run_trial(
    trial: Trial, store: Store, metrics: tuple[str, ...], stop: Stop, protocol: str = DEFAULT
) -> str:
    """Trains the trial unless that is done, and measures what is not measured yet; returns its outcome:
    done, diverged, interrupted, or failed with the reason in the attempt's exit.json.

    Raises Busy if another process holds the trial.
    """
    folder = store.trial(trial.id)
    with folder.lock():
        if is_finished(trial, folder, metrics, protocol):
            return str(read_json(folder.result)["outcome"])
        attempt = folder.new_attempt()
        attempt.tell(process=os.getpid(), machine=platform.node())
        try:
            outcome = trained_and_measured(trial, folder, attempt, metrics, stop, protocol)
            reason = ""
        except Interrupted as stopped:
            outcome, reason = "interrupted", str(stopped)
        except Exception as error:
            attempt.log.write_text(traceback.format_exc())
            outcome, reason = "failed", f"{type(error).__name__}: {error}"
        attempt.end(outcome, reason)
        return outcome


def trained_and_measured(
    trial: Trial,
    folder: TrialFolder,
    attempt: Attempt,
    metrics: tuple[str, ...],
    stop: Stop,
    protocol: str,
) -> str:
    trial.numerics.apply()
    write_json(folder.spec, {"id": trial.id, "identity": trial.identity, "trial": asdict(trial)})
    if read_json(folder.result) is None:
        session = Session(trial, folder, attempt)
        try:
            session.run(stop)
        except Diverged as told:
            session.commit("diverged", str(told), told.step)
        else:
            session.commit("done")
    outcome = str(read_json(folder.result)["outcome"])
    if outcome == "done":
        attempt.tell(measuring=True)
        measure(trial, folder, metrics, protocol)
    return outcome


def measure(trial: Trial, folder: TrialFolder, metrics: tuple[str, ...], protocol: str) -> None:
    """Measures the kept samplers by the metrics that are not measured yet under this protocol."""
    measured = yardstick(trial.data, trial.device, protocol)
    for checkpoint in CHECKPOINTS:
        path = folder.evaluation(measured.protocol.id, checkpoint)
        if missing := unmeasured(path, metrics):
            fakes = kept_samples(trial, folder, measured, checkpoint)
            add_readings(path, measured.protocol, measured.measure(fakes, missing))
            if checkpoint == "last":
                write_bytes(folder.samples, portrait(fakes, measured.reference))


def is_finished(
    trial: Trial, folder: TrialFolder, metrics: tuple[str, ...], protocol: str = DEFAULT
) -> bool:
    """Is there a result, with everything measured that is asked for?"""
    result = read_json(folder.result)
    if result is None or result["outcome"] == "diverged":
        return result is not None
    known = yardstick(trial.data, trial.device, protocol).protocol.id
    return not any(unmeasured(folder.evaluation(known, c), metrics) for c in CHECKPOINTS)
