"""One training session of a trial: steps, learning curve, checkpoints, result."""

import io
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pickle import UnpicklingError
from typing import Any, Protocol

import torch
from safetensors.torch import save
from torch import nn

from ganbench.data.base import BatchLoader
from ganbench.devices import peak_memory, reset_peak_memory
from ganbench.evaluation.evaluator import evaluator_for
from ganbench.evaluation.scores_file import values_of_readings
from ganbench.files import write_bytes, write_json
from ganbench.gan.build import TrainingSetup, build_training
from ganbench.rng import RngStreams
from ganbench.training.budget import Spent
from ganbench.training.build_trainer import make_trainer
from ganbench.training.sampling import GeneratedSamples, draw_samples_of_task
from ganbench.training.trainer import Diverged

from .provenance import versions
from .store import Attempt, TrialFolder
from .trial import IDENTITY_SCHEMA, SELECTION_METRIC, Trial

STEPS_PER_LOG = 50  # steps between two reads of the loss terms from the device
MIN_SECONDS_PER_CHECKPOINT = 3.0  # minimum seconds between two checkpoints
MIN_SAVE_TIMES_PER_CHECKPOINT = 20  # minimum interval, in durations of writing a checkpoint

ShouldStop = Callable[[], bool]  # returns True to request a checkpoint and the end of the session


class Interrupted(RuntimeError):
    """Training stopped on request, with a checkpoint to resume from."""


class Training(Protocol):
    """The trainer of one trial, or its member of a stacked trainer."""

    @property
    def step(self) -> int: ...
    @property
    def spent(self) -> Spent: ...
    @property
    def progress(self) -> float: ...
    @property
    def task(self) -> Any: ...
    @property
    def notes(self) -> list[str]: ...
    def sampling_generators(self) -> nn.ModuleDict: ...
    def state_dict(self) -> dict[str, Any]: ...


class TrainingRecord:
    """A trial in training: its losses and scores so far, and the trial's files."""

    training: Training  # set by the session

    def __init__(self, trial: Trial, folder: TrialFolder, attempt: Attempt):
        self.trial, self.folder, self.attempt = trial, folder, attempt
        self.device = torch.device(trial.device)
        reset_peak_memory(self.device)
        self.evaluator = evaluator_for(trial.data, trial.device, trial.curve_protocol)
        self.streams = RngStreams(trial.seed, self.device)
        self.losses: list[dict[str, float]] = []
        self.scores: list[dict[str, float]] = []
        self.stacked = 0  # number of members, if the trial is one of a stack

    def build(self) -> tuple[TrainingSetup, BatchLoader, RngStreams]:
        """Builds the networks with their initial weights, and the loader of the training data."""
        setup = build_training(self.trial.recipe, self.evaluator.data, self.streams)
        train = self.evaluator.split.train
        return setup, BatchLoader(train, setup.hyperparameters.batch, self.streams), self.streams

    @property
    def next_point(self) -> float:
        """The progress at the next point of the learning curve."""
        return (len(self.scores) + 1) / self.trial.points

    def append_start(self) -> None:
        self.attempt.append_event(step=self.training.step, progress=self.training.progress)

    def append_terms(self, terms: dict[str, float]) -> None:
        """Adds mean loss terms, and an event, which shows the runner that this attempt is alive."""
        training, spent = self.training, self.training.spent
        if terms:
            self.losses.append({"step": training.step, "images": spent.images, **terms})
        seconds = spent.seconds * (self.stacked or 1)  # of the whole stack
        rate = spent.images / seconds if seconds else 0.0
        fid = self.scores[-1][SELECTION_METRIC] if self.scores else None
        event = {"step": training.step, "progress": training.progress, "rate": rate}
        self.attempt.append_event(**event, fid=fid, terms=finite_rows([terms])[0])

    def score_checkpoint(self) -> None:
        """Adds a point to the learning curve and saves the best generator so far.

        The selection uses samples of its own, which are never reported. Raises Diverged.
        """
        metrics, training = (SELECTION_METRIC, *self.evaluator.data.watch), self.training
        scores = values_of_readings(self.evaluator.measure(self.draw_selection_samples(), metrics))
        if SELECTION_METRIC not in scores:
            raise Diverged(training.step, {"samples": math.nan})
        best = min((score[SELECTION_METRIC] for score in self.scores), default=math.inf)
        self.scores.append({"step": training.step, **asdict(training.spent), **scores})
        self.attempt.append_event(step=training.step, scores=scores)
        if scores[SELECTION_METRIC] < best:
            self.save_generators("best")

    def draw_selection_samples(self) -> GeneratedSamples:
        """Draws the samples for the selection of checkpoints, never reported; raises Diverged."""
        sources, training = self.evaluator.split.held_out, self.training
        samples = draw_samples_of_task(
            training.task, training.sampling_generators(), sources, self.streams, "selection"
        )
        if not bool(samples.images.isfinite().all()):
            raise Diverged(training.step, {"samples": math.nan})
        return samples

    def save_generators(self, checkpoint: str) -> None:
        state = {
            k: v.contiguous().cpu()
            for k, v in self.training.sampling_generators().state_dict().items()
        }
        write_bytes(self.folder.generator_path(checkpoint), save(state))

    def save_checkpoint(self) -> None:
        """Writes a checkpoint of tensors and plain data only, so that loading cannot run code."""
        content = io.BytesIO()
        records = {
            "losses": self.losses,
            "scores": self.scores,
            "made_by": self.trial.code_provenance(),
            "trial": self.trial.id,
        }
        torch.save({"trainer": self.training.state_dict(), **records}, content)
        self.write_checkpoint(content.getvalue())

    def write_checkpoint(self, content: bytes) -> None:
        """Writes a checkpoint; on a full disk training goes on without it."""
        try:
            write_bytes(self.folder.checkpoint_path, content)
        except OSError as error:
            self.attempt.append_event(step=self.training.step, checkpoint_error=str(error))

    def load_checkpoint(self) -> dict[str, Any] | None:
        """Loads losses and scores from the checkpoint; returns the trainer's state.

        Returns None without a checkpoint, or if other code or another trial wrote it.
        """
        content = self.read_checkpoint()
        if content is None or content.get("trial", self.trial.id) != self.trial.id:
            return None
        if content.get("made_by") != self.trial.code_provenance():
            return None
        self.losses, self.scores = content["losses"], content["scores"]
        state: dict[str, Any] = content["trainer"]
        return state

    def read_checkpoint(self) -> dict[str, Any] | None:
        """Returns the checkpoint, or None if it is unreadable; the trial then starts again."""
        try:
            state = torch.load(self.folder.checkpoint_path, self.device, weights_only=True)
        except (OSError, EOFError, RuntimeError, UnpicklingError):
            return None
        return state if isinstance(state, dict) else None

    def write_last(self) -> None:
        """Writes the last generators and the result at the end of the budget.

        Raises Diverged if the last steps broke the generators.
        """
        self.draw_selection_samples()
        self.save_generators("last")
        if not self.scores:
            self.save_generators("best")
        self.write_result("done")

    def write_result(self, outcome: str, reason: str = "", step: int | None = None) -> None:
        """Writes the learning curve, then the result; the result marks the trial as finished."""
        curve = {"losses": finite_rows(self.losses), "scores": self.scores}
        write_json(self.folder.curve_path, curve | {"floor": self.evaluator.watched_floor})
        result = {
            "schema": IDENTITY_SCHEMA,
            "id": self.trial.id,
            "outcome": outcome,
            "reason": reason,
            "step": step,  # at which the training diverged
            "spent": asdict(self.training.spent),
            "costs": self.measure_costs() if outcome == "done" else {},
            **({"notes": self.training.notes} if self.training.notes else {}),
            **({"stacked": self.stacked} if self.stacked else {}),
            "provenance": self.trial.code_provenance() | versions(),
        }
        write_json(self.folder.result_path, result)
        self.folder.checkpoint_path.unlink(missing_ok=True)

    def measure_costs(self) -> dict[str, float | None]:
        """Returns the costs of the trial: seconds, images per second, bytes and parameter counts."""
        spent, task = self.training.spent, self.training.task
        memory = peak_memory(self.device)
        began = time.perf_counter()
        count = len(self.draw_selection_samples().images.cpu())  # the copy waits for the device
        seconds = time.perf_counter() - began
        return {
            "train_seconds": spent.seconds,
            "train_images_per_second": spent.images / spent.seconds if spent.images else None,
            "sample_images_per_second": count / seconds,
            "peak_memory": memory,
            "generator_parameters": count_parameters(task.generators),
            "discriminator_parameters": count_parameters(task.discriminators),
        }


class TrainingSession:
    """Trains a trial: steps, learning curve, checkpoints, result.

    Subclasses may train several at once. Each has a record in `active` until its end.
    """

    trainer: Any

    def __init__(self, record: TrainingRecord):
        self.active = [record]
        state = record.load_checkpoint()
        self.trainer = make_trainer(*record.build(), record.trial.budget, record.trial.numerics)
        record.training = self.trainer
        if state:
            self.trainer.load_state_dict(state)
        self.start_saving()

    def start_saving(self) -> None:
        self.saved, self.patience = time.monotonic(), MIN_SECONDS_PER_CHECKPOINT

    def run(self, stop: ShouldStop) -> None:
        """Trains to the end of the budget, or to divergence, and writes the results."""
        for record in self.active:
            record.append_start()
        while self.active and self.trainer.progress < 1:
            self.trainer.train_step()
            while self.active and self.trainer.progress >= self.active[0].next_point:
                self.score_checkpoints()
            if self.active and self.trainer.step % STEPS_PER_LOG == 0:
                self.flush_terms()
                self.save_or_stop(stop)
        self.flush_terms()
        for record in list(self.active):
            with self.ending_diverged(record):
                record.write_last()

    def save_or_stop(self, stop: ShouldStop) -> None:
        """Writes checkpoints if the last ones are old, or to end this session on request."""
        if not self.active:
            return
        if stop():
            self.save_checkpoints()
            raise Interrupted(f"at step {self.trainer.step}, with a checkpoint")
        if time.monotonic() - self.saved > self.patience:
            self.save_checkpoints()

    def read_terms(self) -> list[dict[str, float] | Diverged]:
        """Returns the mean loss terms since the last call, for each active record."""
        try:
            return [self.trainer.flush()]
        except Diverged as divergence:
            return [divergence]

    def flush_terms(self) -> None:
        """Adds the loss terms since the last call to the records; ends those that diverged."""
        if not self.active:
            return
        for record, terms in zip(list(self.active), self.read_terms(), strict=True):
            with self.ending_diverged(record):
                if isinstance(terms, Diverged):
                    raise terms
                record.append_terms(terms)

    def score_checkpoints(self) -> None:
        """Adds a point to each learning curve; its time does not count as training."""
        self.flush_terms()
        for record in list(self.active):
            with self.ending_diverged(record):
                record.score_checkpoint()
        self.trainer.restart_clock()

    @contextmanager
    def ending_diverged(self, record: TrainingRecord) -> Iterator[None]:
        """Writes the result of a training that diverges inside the context, and ends it."""
        try:
            yield
        except Diverged as divergence:
            self.active.remove(record)
            record.write_result("diverged", str(divergence), divergence.step)

    def save_checkpoints(self) -> None:
        self.flush_terms()
        began = time.monotonic()
        for record in self.active:
            record.save_checkpoint()
        self.saved = time.monotonic()
        self.patience = max(
            MIN_SECONDS_PER_CHECKPOINT, MIN_SAVE_TIMES_PER_CHECKPOINT * (self.saved - began)
        )
        self.trainer.restart_clock()


def count_parameters(networks: nn.Module) -> int:
    return sum(parameter.numel() for parameter in networks.parameters())


def finite_rows(rows: list[dict[str, float]]) -> list[dict[str, float | None]]:
    """Returns rows for JSON: numbers that are not finite become None (null)."""
    return [{k: v if math.isfinite(v) else None for k, v in row.items()} for row in rows]
