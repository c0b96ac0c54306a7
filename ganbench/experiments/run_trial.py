"""Runs one trial: trains it from its checkpoint, measures it and records the outcome."""

import os
import platform
import shutil
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from safetensors import SafetensorError

from ganbench.evaluation.evaluator import evaluator_for
from ganbench.evaluation.heartbeat import listening_to_heartbeats
from ganbench.evaluation.protocols.base import DEFAULT_PROTOCOL
from ganbench.evaluation.scores_file import add_readings, unmeasured_metrics
from ganbench.files import CorruptFile, write_bytes, write_json
from ganbench.registry import explain_error

from .keep_sources import copy_files_of_trial
from .lease import LeaseLost
from .saved_generator import draw_sample_picture, draw_saved_samples
from .session import Interrupted, ShouldStop, TrainingRecord, TrainingSession
from .store import CHECKPOINT_NAMES, RETRAIN, Attempt, Store, TrialFolder
from .training_pictures import PicturedRecord
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
    with folder.lock() as lease:
        if is_finished(trial, folder, metrics, protocol):
            return outcome_of(folder)
        attempt = begin_attempt(folder)
        return record_outcome(
            attempt,
            folder,
            lambda: train_and_measure(trial, folder, attempt, metrics, lease.guard(stop), protocol),
        )


def begin_attempt(folder: TrialFolder) -> Attempt:
    folder.sweep()  # this may be the retry after the death of a worker of this run
    attempt = folder.new_attempt()
    attempt.append_event(process=os.getpid(), machine=platform.node())
    return attempt


def record_outcome(attempt: Attempt, folder: TrialFolder, work: Callable[[], str]) -> str:
    """Returns the outcome of some work on a trial, and records it as the end of the attempt.

    Raises LeaseLost if another process took over the trial.
    """
    try:
        with listening_to_heartbeats(attempt.show_life):
            outcome, reason = work(), reason_of(folder)
    except LeaseLost as lost:
        attempt.record_end("interrupted", str(lost))
        raise
    except KeyboardInterrupt:  # without workers; they stop at a checkpoint instead
        attempt.record_end("interrupted", "stopped without a new checkpoint")
        raise
    except Interrupted as stopped:
        outcome, reason = "interrupted", str(stopped)
    except (Exception, SystemExit) as error:
        with suppress(OSError):  # a full disk
            attempt.log_path.write_text(traceback.format_exc(), encoding="utf-8")
        outcome, reason = "failed", explain_error(error)
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
    if prepare_training(trial, folder):
        make_session([PicturedRecord(trial, folder, attempt)]).run(stop)
    return measure_if_done(trial, folder, attempt, metrics, protocol)


def prepare_training(trial: Trial, folder: TrialFolder) -> bool:
    """Writes the trial's settings; returns whether it is not trained yet."""
    content = {"id": trial.id, "identity": trial.identity, "trial": trial.as_dict()}
    sources = copy_files_of_trial(trial, folder.folder)
    write_json(folder.spec_path, content | ({"sources": sources} if sources else {}))
    if folder.read_result() is not None:
        return False
    discard_foreign_checkpoint(folder.checkpoint_path)
    return True


def make_session(records: Sequence[TrainingRecord]) -> TrainingSession:
    """Returns the session that trains these trials, several only if their seeds are stacked."""
    if records[0].trial.numerics.stacked:
        from .stacked_session import StackedSession

        return StackedSession(records)
    (record,) = records
    if record.trial.numerics.gpus > 1:
        from .distributed_session import DistributedSession

        return DistributedSession(record)
    return TrainingSession(record)


def measure_if_done(
    trial: Trial,
    folder: TrialFolder,
    attempt: Attempt,
    metrics: tuple[str, ...],
    protocol: str,
) -> str:
    """Measures a trained trial, unless it diverged; returns its outcome."""
    outcome = outcome_of(folder)
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
            with naming_generator(folder.generator_path(checkpoint)):
                fakes = draw_saved_samples(trial, folder, evaluator, checkpoint)
            add_readings(path, evaluator.protocol, evaluator.measure(fakes, missing))
            if checkpoint == "last":
                write_bytes(
                    folder.samples_path,
                    draw_sample_picture(fakes, evaluator.reference, evaluator.data.captions),
                )


@contextmanager
def naming_generator(path: Path) -> Iterator[None]:
    """Raises CorruptFile if a saved generator is missing, damaged or of another network."""
    if not path.exists():
        raise CorruptFile(f"{path} is missing: {RETRAIN}")
    try:
        yield
    except SafetensorError as error:
        raise CorruptFile.at(path, str(error), RETRAIN) from error
    except RuntimeError as error:
        if "loading state_dict" not in str(error):
            raise
        raise CorruptFile.at(path, "it is of another network", RETRAIN) from error


def discard_foreign_checkpoint(path: Path) -> None:
    """Deletes a checkpoint, or a folder of its name, that no training of ganbench wrote."""
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists() and not is_checkpoint(path):
        path.unlink()


def is_checkpoint(path: Path) -> bool:
    """Returns whether a file has the content of a checkpoint; reads no tensor."""
    try:
        state = torch.load(path, "cpu", weights_only=True, mmap=True)
    except Exception:  # torch raises many kinds of errors for other files
        return False
    kinds = {"trainer": dict, "losses": list, "scores": list, "made_by": dict}
    return isinstance(state, dict) and all(isinstance(state.get(k), t) for k, t in kinds.items())


def is_finished(
    trial: Trial, folder: TrialFolder, metrics: tuple[str, ...], protocol: str = DEFAULT_PROTOCOL
) -> bool:
    """Returns whether the trial diverged, or is trained and has values of all these metrics."""
    result = folder.read_result()
    if result is None or result["outcome"] == "diverged":
        return result is not None
    protocol_id = evaluator_for(trial.data, trial.device, protocol).protocol.id
    return not any(
        unmeasured_metrics(folder.scores_path(protocol_id, c), metrics) for c in CHECKPOINT_NAMES
    )


def reason_of(folder: TrialFolder) -> str:
    """Returns the loss terms of a trial that diverged, or an empty text."""
    return str((folder.read_result() or {}).get("reason", ""))


def outcome_of(folder: TrialFolder) -> str:
    """Returns the outcome of a trial that has a result."""
    return str((folder.read_result() or {})["outcome"])
