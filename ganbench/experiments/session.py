"""One training session of a trial: steps, learning curve, checkpoints, result."""

import io
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from ganbench.data.base import BatchLoader
from ganbench.devices import peak_memory, reset_peak_memory
from ganbench.evaluation.evaluator import evaluator_for
from ganbench.evaluation.scores_file import values_of_readings
from ganbench.files import write_bytes, write_json
from ganbench.gan.build import build_training
from ganbench.rng import RngStreams
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


class TrainingSession:
    """A trial in training: the trainer, its losses and scores so far, and the trial's files."""

    def __init__(self, trial: Trial, folder: TrialFolder, attempt: Attempt):
        self.trial, self.folder, self.attempt = trial, folder, attempt
        self.device = torch.device(trial.device)
        reset_peak_memory(self.device)
        self.evaluator = evaluator_for(trial.data, trial.device, trial.curve_protocol)
        self.streams = RngStreams(trial.seed, self.device)
        setup = build_training(trial.recipe, self.evaluator.data, self.streams)
        loader = BatchLoader(self.evaluator.split.train, setup.hyperparameters.batch, self.streams)
        self.trainer = make_trainer(setup, loader, self.streams, trial.budget, trial.numerics)
        self.losses: list[dict[str, float]] = []
        self.scores: list[dict[str, float]] = []
        self.saved, self.patience = time.monotonic(), MIN_SECONDS_PER_CHECKPOINT

    def run(self, stop: ShouldStop) -> None:
        """Trains to the end of the budget, starting from the checkpoint if there is one."""
        self.load_checkpoint_state()
        self.attempt.append_event(step=self.trainer.step, progress=self.trainer.progress)
        while self.trainer.progress < 1:
            self.trainer.train_step()
            while self.trainer.progress >= (len(self.scores) + 1) / self.trial.points:
                self.score_checkpoint()
            if self.trainer.step % STEPS_PER_LOG == 0:
                self.flush_terms()
                if stop():
                    self.save_checkpoint()
                    raise Interrupted(f"at step {self.trainer.step}, with a checkpoint")
                if time.monotonic() - self.saved > self.patience:
                    self.save_checkpoint()
        self.flush_terms()
        self.draw_selection_samples()  # raises Diverged if the last steps broke it
        self.save_generators("last")
        if not self.scores:
            self.save_generators("best")

    def flush_terms(self) -> None:
        """Reads the loss terms since the last call and appends an event; raises Diverged.

        The event also shows the runner that this attempt is alive.
        """
        terms, spent = self.trainer.flush(), self.trainer.spent
        if terms:
            self.losses.append({"step": self.trainer.step, "images": spent.images, **terms})
        rate = spent.images / spent.seconds if spent.seconds else 0.0
        fid = self.scores[-1][SELECTION_METRIC] if self.scores else None
        event = {"step": self.trainer.step, "progress": self.trainer.progress, "rate": rate}
        self.attempt.append_event(**event, fid=fid, terms=finite_rows([terms])[0])

    def score_checkpoint(self) -> None:
        """Adds a point to the learning curve and saves the best generator so far.

        The selection uses samples of its own, which are never reported.
        """
        self.flush_terms()
        metrics = (SELECTION_METRIC, *self.evaluator.data.watch)
        scores = values_of_readings(self.evaluator.measure(self.draw_selection_samples(), metrics))
        if SELECTION_METRIC not in scores:
            raise Diverged(self.trainer.step, {"samples": math.nan})
        best = min((score[SELECTION_METRIC] for score in self.scores), default=math.inf)
        self.scores.append({"step": self.trainer.step, **asdict(self.trainer.spent), **scores})
        self.attempt.append_event(step=self.trainer.step, scores=scores)
        if scores[SELECTION_METRIC] < best:
            self.save_generators("best")
        self.trainer.restart_clock()

    def draw_selection_samples(self) -> GeneratedSamples:
        """Draws the samples for the selection of checkpoints, never reported; raises Diverged."""
        sources, trainer = self.evaluator.split.held_out, self.trainer
        samples = draw_samples_of_task(
            trainer.task, trainer.sampling_generators(), sources, self.streams, "selection"
        )
        if not bool(samples.images.isfinite().all()):
            raise Diverged(trainer.step, {"samples": math.nan})
        return samples

    def save_generators(self, checkpoint: str) -> None:
        state = {
            k: v.contiguous().cpu()
            for k, v in self.trainer.sampling_generators().state_dict().items()
        }
        write_bytes(self.folder.generator_path(checkpoint), save(state))

    def save_checkpoint(self) -> None:
        """Writes a checkpoint of tensors and plain data only, so that loading cannot run code."""
        self.flush_terms()
        began, content = time.monotonic(), io.BytesIO()
        records = {
            "losses": self.losses,
            "scores": self.scores,
            "made_by": self.trial.code_provenance(),
            "trial": self.trial.id,
        }
        torch.save({"trainer": self.trainer.state_dict(), **records}, content)
        self.write_checkpoint(content.getvalue())
        self.saved = time.monotonic()
        self.patience = max(
            MIN_SECONDS_PER_CHECKPOINT, MIN_SAVE_TIMES_PER_CHECKPOINT * (self.saved - began)
        )
        self.trainer.restart_clock()

    def write_checkpoint(self, content: bytes) -> None:
        """Writes a checkpoint; on a full disk training goes on without it."""
        try:
            write_bytes(self.folder.checkpoint_path, content)
        except OSError as error:
            self.attempt.append_event(step=self.trainer.step, checkpoint_error=str(error))

    def load_checkpoint_state(self) -> None:
        """Loads the checkpoint, unless other code or another trial wrote it."""
        state = self.read_checkpoint()
        if state and state.get("trial", self.trial.id) != self.trial.id:
            return
        if state and state.get("made_by") == self.trial.code_provenance():
            self.trainer.load_state_dict(state["trainer"])
            self.losses, self.scores = state["losses"], state["scores"]

    def read_checkpoint(self) -> dict[str, Any] | None:
        """Returns the checkpoint, or None if it is unreadable; the trial then starts again."""
        try:
            state = torch.load(self.folder.checkpoint_path, self.device, weights_only=True)
        except (OSError, EOFError, RuntimeError, UnpicklingError):
            return None
        return state if isinstance(state, dict) else None

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
            "spent": asdict(self.trainer.spent),
            "costs": self.measure_costs() if outcome == "done" else {},
            "provenance": self.trial.code_provenance() | versions(),
        }
        write_json(self.folder.result_path, result)
        self.folder.checkpoint_path.unlink(missing_ok=True)

    def measure_costs(self) -> dict[str, float | None]:
        """Returns the costs of the trial: seconds, images per second, bytes and parameter counts."""
        spent, task = self.trainer.spent, self.trainer.task
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


def count_parameters(networks: nn.Module) -> int:
    return sum(parameter.numel() for parameter in networks.parameters())


def finite_rows(rows: list[dict[str, float]]) -> list[dict[str, float | None]]:
    """Returns rows for JSON: numbers that are not finite become None (null)."""
    return [{k: v if math.isfinite(v) else None for k, v in row.items()} for row in rows]
