"""Runs one trial: trains it from its checkpoint, measures it and records the outcome."""

import os
import platform
import traceback

from ganbench.evaluation.evaluator import evaluator_for
from ganbench.evaluation.protocols.base import DEFAULT_PROTOCOL
from ganbench.evaluation.scores_file import add_readings, unmeasured_metrics
from ganbench.files import read_json, write_bytes, write_json
from ganbench.training.trainer import Diverged

from .saved_generator import draw_sample_picture, draw_saved_samples
from .session import Interrupted, ShouldStop, TrainingSession
from .store import CHECKPOINT_NAMES, Attempt, Store, TrialFolder
from .trial import Trial


def run_trial(
    trial: Trial,
    store: Store,
    metrics: tuple[str, ...],
    stop: ShouldStop,
    protocol: str = DEFAULT_PROTOCOL,
) -> str:
    """Trains a trial, measures its missing metrics and returns its outcome.

    Skips work that is already done. The outcome is done, diverged, interrupted or failed. The reason is
    in the attempt's exit.json. Raises Busy if another process holds the trial.
    """
    folder = store.trial_folder(trial.id)
    with folder.lock():
        if is_finished(trial, folder, metrics, protocol):
            return str(read_json(folder.result_path)["outcome"])
        attempt = folder.new_attempt()
        attempt.append_event(process=os.getpid(), machine=platform.node())
        try:
            outcome = train_and_measure(trial, folder, attempt, metrics, stop, protocol)
            reason = ""
        except Interrupted as stopped:
            outcome, reason = "interrupted", str(stopped)
        except Exception as error:
            attempt.log_path.write_text(traceback.format_exc())
            outcome, reason = "failed", f"{type(error).__name__}: {error}"
        attempt.record_end(outcome, reason)
        return outcome


def train_and_measure(
    trial: Trial,
    folder: TrialFolder,
    attempt: Attempt,
    metrics: tuple[str, ...],
    stop: ShouldStop,
    protocol: str,
) -> str:
    trial.numerics.apply()
    write_json(
        folder.spec_path, {"id": trial.id, "identity": trial.identity, "trial": trial.as_dict()}
    )
    if read_json(folder.result_path) is None:
        session = TrainingSession(trial, folder, attempt)
        try:
            session.run(stop)
        except Diverged as divergence:
            session.write_result("diverged", str(divergence), divergence.step)
        else:
            session.write_result("done")
    outcome = str(read_json(folder.result_path)["outcome"])
    if outcome == "done":
        attempt.append_event(measuring=True)
        measure_trial(trial, folder, metrics, protocol)
    return outcome


def measure_trial(
    trial: Trial, folder: TrialFolder, metrics: tuple[str, ...], protocol: str
) -> None:
    """Measures the saved generators by the metrics that are still missing under this protocol."""
    evaluator = evaluator_for(trial.data, trial.device, protocol)
    for checkpoint in CHECKPOINT_NAMES:
        path = folder.scores_path(evaluator.protocol.id, checkpoint)
        if missing := unmeasured_metrics(path, metrics):
            fakes = draw_saved_samples(trial, folder, evaluator, checkpoint)
            add_readings(path, evaluator.protocol, evaluator.measure(fakes, missing))
            if checkpoint == "last":
                write_bytes(folder.samples_path, draw_sample_picture(fakes, evaluator.reference))


def is_finished(
    trial: Trial, folder: TrialFolder, metrics: tuple[str, ...], protocol: str = DEFAULT_PROTOCOL
) -> bool:
    """Returns whether the trial diverged, or is trained and has values of all these metrics."""
    result = read_json(folder.result_path)
    if result is None or result["outcome"] == "diverged":
        return result is not None
    protocol_id = evaluator_for(trial.data, trial.device, protocol).protocol.id
    return not any(
        unmeasured_metrics(folder.scores_path(protocol_id, c), metrics) for c in CHECKPOINT_NAMES
    )
