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

from ganbench.data.base import Deck
from ganbench.devices import peak_memory, reset_peak_memory
from ganbench.evaluation.evaluator import yardstick
from ganbench.evaluation.scores_file import values
from ganbench.files import write_bytes, write_json
from ganbench.gan.build import assemble
from ganbench.rng import Streams
from ganbench.training.sampling import Fakes, sampled
from ganbench.training.trainer import Diverged, Trainer

from .provenance import versions
from .store import Attempt, TrialFolder
from .trial import SCHEMA, SELECTION, Trial

LOG_EVERY = 50  # steps between two looks at the device
SAVE_EVERY = 3.0  # seconds between two checkpoints, at the least
SAVE_COST = 20  # times as long as writing one takes, at the least

Stop = Callable[[], bool]  # has somebody asked for a checkpoint and an end?


class Interrupted(RuntimeError):
    """Training was asked to stop, and has a checkpoint to go on from."""


class Session:
    """A trial in training: the trainer, what was seen of it so far, and the files that keep both."""

    def __init__(self, trial: Trial, folder: TrialFolder, attempt: Attempt):
        self.trial, self.folder, self.attempt = trial, folder, attempt
        self.device = torch.device(trial.device)
        reset_peak_memory(self.device)
        self.yardstick = yardstick(trial.data, trial.device)
        self.streams = Streams(trial.seed, self.device)
        setup = assemble(trial.recipe, self.yardstick.data, self.streams)
        deck = Deck(self.yardstick.split.train, setup.plan.batch, self.streams)
        self.trainer = Trainer(setup, deck, self.streams, trial.budget)
        self.losses: list[dict[str, float]] = []
        self.scores: list[dict[str, float]] = []
        self.saved, self.patience = time.monotonic(), SAVE_EVERY

    def run(self, stop: Stop) -> None:
        """Trains to the end of the budget, from the checkpoint if there is one."""
        self.resume()
        self.attempt.tell(step=self.trainer.step, progress=self.trainer.progress)
        while self.trainer.progress < 1:
            self.trainer.train_step()
            while self.trainer.progress >= (len(self.scores) + 1) / self.trial.points:
                self.score()
            if self.trainer.step % LOG_EVERY == 0:
                self.look()
                if stop():
                    self.save()
                    raise Interrupted(f"at step {self.trainer.step}, with a checkpoint")
                if time.monotonic() - self.saved > self.patience:
                    self.save()
        self.look()
        self.fakes()  # the last training steps may have broken what the last score saw whole
        self.keep("last")
        if not self.scores:
            self.keep("best")

    def look(self) -> None:
        """Reads the terms since the last look; raises Diverged. Also this attempt's sign of life."""
        terms, spent = self.trainer.flush(), self.trainer.spent
        if terms:
            self.losses.append({"step": self.trainer.step, "images": spent.images, **terms})
        rate = spent.images / spent.seconds if spent.seconds else 0.0
        fid = self.scores[-1][SELECTION] if self.scores else None
        told = {"step": self.trainer.step, "progress": self.trainer.progress, "rate": rate}
        self.attempt.tell(**told, fid=fid, terms=finite([terms])[0])

    def score(self) -> None:
        """One point of the learning curve; the best so far is kept, by samples that are not reported."""
        self.look()
        metrics = (SELECTION, *self.yardstick.data.watch)
        found = values(self.yardstick.measure(self.fakes(), metrics))
        if SELECTION not in found:
            raise Diverged(self.trainer.step, {"samples": math.nan})
        best = min((score[SELECTION] for score in self.scores), default=math.inf)
        self.scores.append({"step": self.trainer.step, **asdict(self.trainer.spent), **found})
        self.attempt.tell(step=self.trainer.step, scores=found)
        if found[SELECTION] < best:
            self.keep("best")
        self.trainer.restart_clock()

    def fakes(self) -> Fakes:
        """Samples that checkpoints are chosen by, and that are never reported; raises Diverged."""
        sources, trainer = self.yardstick.split.held_out, self.trainer
        found = sampled(trainer.game, trainer.sampler(), sources, self.streams, "selection")
        if not bool(found.images.isfinite().all()):
            raise Diverged(trainer.step, {"samples": math.nan})
        return found

    def keep(self, checkpoint: str) -> None:
        state = {k: v.contiguous().cpu() for k, v in self.trainer.sampler().state_dict().items()}
        write_bytes(self.folder.sampler(checkpoint), save(state))

    def save(self) -> None:
        """A checkpoint: tensors and plain data, so that reading it cannot run code."""
        self.look()
        began, content = time.monotonic(), io.BytesIO()
        seen = {"losses": self.losses, "scores": self.scores, "made_by": self.trial.made_by()}
        torch.save({"trainer": self.trainer.state_dict(), **seen}, content)
        write_bytes(self.folder.checkpoint, content.getvalue())
        self.saved = time.monotonic()
        self.patience = max(SAVE_EVERY, SAVE_COST * (self.saved - began))
        self.trainer.restart_clock()

    def resume(self) -> None:
        """Goes on from the checkpoint, unless other code made it: a training is of one piece."""
        state = self.checkpoint()
        if state and state["made_by"] == self.trial.made_by():
            self.trainer.load_state_dict(state["trainer"])
            self.losses, self.scores = state["losses"], state["scores"]

    def checkpoint(self) -> dict[str, Any] | None:
        """What was saved, or nothing if that cannot be read: then the trial begins again."""
        try:
            found = torch.load(self.folder.checkpoint, self.device, weights_only=True)
        except (OSError, EOFError, RuntimeError, UnpicklingError):
            return None
        return found if isinstance(found, dict) else None

    def commit(self, outcome: str, reason: str = "", step: int | None = None) -> None:
        """Writes what there is to keep, and the result last: it is what makes the trial finished."""
        curve = {"losses": finite(self.losses), "scores": self.scores}
        write_json(self.folder.curve, curve | {"floor": self.yardstick.watched_floor})
        result = {
            "schema": SCHEMA,
            "id": self.trial.id,
            "outcome": outcome,
            "reason": reason,
            "step": step,  # at which it diverged
            "spent": asdict(self.trainer.spent),
            "costs": self.costs() if outcome == "done" else {},
            "provenance": self.trial.made_by() | versions(),
        }
        write_json(self.folder.result, result)
        self.folder.checkpoint.unlink(missing_ok=True)

    def costs(self) -> dict[str, float | None]:
        """What the trial cost, in the units of COSTS."""
        spent, game = self.trainer.spent, self.trainer.game
        memory = peak_memory(self.device)
        began = time.perf_counter()
        count = len(self.fakes().images.cpu())  # the copy waits for the device
        seconds = time.perf_counter() - began
        return {
            "train_seconds": spent.seconds,
            "train_images_per_second": spent.images / spent.seconds if spent.images else None,
            "sample_images_per_second": count / seconds,
            "peak_memory": memory,
            "generator_parameters": parameters(game.generators),
            "discriminator_parameters": parameters(game.discriminators),
        }


def parameters(networks: nn.Module) -> int:
    return sum(parameter.numel() for parameter in networks.parameters())


def finite(rows: list[dict[str, float]]) -> list[dict[str, float | None]]:
    """Rows as JSON can hold them: what is not a finite number is null."""
    return [{k: v if math.isfinite(v) else None for k, v in row.items()} for row in rows]
