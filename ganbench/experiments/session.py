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
from ganbench.training.sampling import GeneratedSamples, draw_samples_of_task
from ganbench.training.trainer import Diverged, Trainer

from .provenance import versions
from .store import Attempt, TrialFolder
from .trial import IDENTITY_SCHEMA, SELECTION_METRIC, Trial

STEPS_PER_LOG = 50  # steps between two looks at the device
MIN_SECONDS_PER_CHECKPOINT = 3.0  # seconds between two checkpoints, at the least
MIN_SAVE_TIMES_PER_CHECKPOINT = 20  # times as long as writing one takes, at the least

ShouldStop = Callable[[], bool]  # has somebody asked for a checkpoint and an end?


class Interrupted(RuntimeError):
    """Training was asked to stop, and has a checkpoint to go on from."""


class TrainingSession:
    """A trial in training: the trainer, what was seen of it so far, and the files that keep both."""

    def __init__(self, trial: Trial, folder: TrialFolder, attempt: Attempt):
        self.trial, self.folder, self.attempt = trial, folder, attempt
        self.device = torch.device(trial.device)
        reset_peak_memory(self.device)
        self.evaluator = evaluator_for(trial.data, trial.device)
        self.streams = RngStreams(trial.seed, self.device)
        setup = build_training(trial.recipe, self.evaluator.data, self.streams)
        loader = BatchLoader(self.evaluator.split.train, setup.hyperparameters.batch, self.streams)
        self.trainer = Trainer(setup, loader, self.streams, trial.budget)
        self.losses: list[dict[str, float]] = []
        self.scores: list[dict[str, float]] = []
        self.saved, self.patience = time.monotonic(), MIN_SECONDS_PER_CHECKPOINT

    def run(self, stop: ShouldStop) -> None:
        """Trains to the end of the budget, from the checkpoint if there is one."""
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
        self.draw_selection_samples()  # the last training steps may have broken what the last score saw whole
        self.save_generators("last")
        if not self.scores:
            self.save_generators("best")

    def flush_terms(self) -> None:
        """Reads the terms since the last look; raises Diverged. Also this attempt's sign of life."""
        terms, spent = self.trainer.flush(), self.trainer.spent
        if terms:
            self.losses.append({"step": self.trainer.step, "images": spent.images, **terms})
        rate = spent.images / spent.seconds if spent.seconds else 0.0
        fid = self.scores[-1][SELECTION_METRIC] if self.scores else None
        event = {"step": self.trainer.step, "progress": self.trainer.progress, "rate": rate}
        self.attempt.append_event(**event, fid=fid, terms=finite_rows([terms])[0])

    def score_checkpoint(self) -> None:
        """One point of the learning curve; the best so far is kept, by samples that are not reported."""
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
        """Samples that checkpoints are chosen by, and that are never reported; raises Diverged."""
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
        """A checkpoint: tensors and plain data, so that reading it cannot run code."""
        self.flush_terms()
        began, content = time.monotonic(), io.BytesIO()
        records = {
            "losses": self.losses,
            "scores": self.scores,
            "made_by": self.trial.code_provenance(),
        }
        torch.save({"trainer": self.trainer.state_dict(), **records}, content)
        write_bytes(self.folder.checkpoint_path, content.getvalue())
        self.saved = time.monotonic()
        self.patience = max(
            MIN_SECONDS_PER_CHECKPOINT, MIN_SAVE_TIMES_PER_CHECKPOINT * (self.saved - began)
        )
        self.trainer.restart_clock()

    def load_checkpoint_state(self) -> None:
        """Goes on from the checkpoint, unless other code made it: a training is of one piece."""
        state = self.read_checkpoint()
        if state and state["made_by"] == self.trial.code_provenance():
            self.trainer.load_state_dict(state["trainer"])
            self.losses, self.scores = state["losses"], state["scores"]

    def read_checkpoint(self) -> dict[str, Any] | None:
        """What was saved, or nothing if that cannot be read: then the trial begins again."""
        try:
            state = torch.load(self.folder.checkpoint_path, self.device, weights_only=True)
        except (OSError, EOFError, RuntimeError, UnpicklingError):
            return None
        return state if isinstance(state, dict) else None

    def write_result(self, outcome: str, reason: str = "", step: int | None = None) -> None:
        """Writes what there is to keep, and the result last: it is what makes the trial finished."""
        curve = {"losses": finite_rows(self.losses), "scores": self.scores}
        write_json(self.folder.curve_path, curve | {"floor": self.evaluator.watched_floor})
        result = {
            "schema": IDENTITY_SCHEMA,
            "id": self.trial.id,
            "outcome": outcome,
            "reason": reason,
            "step": step,  # at which it diverged
            "spent": asdict(self.trainer.spent),
            "costs": self.measure_costs() if outcome == "done" else {},
            "provenance": self.trial.code_provenance() | versions(),
        }
        write_json(self.folder.result_path, result)
        self.folder.checkpoint_path.unlink(missing_ok=True)

    def measure_costs(self) -> dict[str, float | None]:
        """What the trial cost, in the units of COSTS."""
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
    """Rows as JSON can hold them: what is not a finite number is null."""
    return [{k: v if math.isfinite(v) else None for k, v in row.items()} for row in rows]
