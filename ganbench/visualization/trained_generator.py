"""Loads the generator of a finished trial for pictures of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from safetensors import SafetensorError
from torch import Tensor

from ganbench.data.base import Missing, as_stored
from ganbench.data.modality import IMAGES, modality_of
from ganbench.errors import GanbenchError
from ganbench.evaluation.evaluator import Yardstick, yardstick
from ganbench.experiments.saved_generator import kept_game, kept_samples
from ganbench.experiments.store import Store, TrialFolder
from ganbench.experiments.trial import Trial
from ganbench.files import Damaged, read_json
from ganbench.gan.build import Incompatible
from ganbench.gan.tasks.base import Game
from ganbench.registry import SpecError
from ganbench.training.sampling import Fakes


class Unseen(GanbenchError, ValueError):
    """What cannot be shown of a trial, and why."""


@dataclass(frozen=True)
class Kept:
    """A sampler of a trial that is done, as it was at one checkpoint."""

    trial: Trial
    folder: TrialFolder
    checkpoint: str = "last"

    @property
    def measured(self) -> Yardstick:
        return yardstick(self.trial.data, self.trial.device)

    @property
    def on_images(self) -> bool:
        return modality_of(self.measured.reference) is IMAGES

    def fakes(self) -> Fakes:
        """The very fakes that were measured."""
        with self.brought_back():
            return kept_samples(self.trial, self.folder, self.measured, self.checkpoint)

    def game(self) -> Game:
        with self.brought_back():
            found = kept_game(self.trial, self.folder, self.measured, self.checkpoint)
        found.generators.eval()
        return found

    @contextmanager
    def brought_back(self) -> Iterator[None]:
        """Says in a sentence that a sampler is damaged, or of other networks than this code makes."""
        try:
            yield
        except (Missing, Damaged):
            raise
        except (SafetensorError, Incompatible, SpecError, RuntimeError) as error:
            path = self.folder.sampler(self.checkpoint)
            told = " ".join(str(error).split())
            raise Unseen(f"{path} cannot be brought back: {told:.200}") from error

    def images(self) -> Tensor:
        """The same as stored: uint8 [N, C, H, W], or points [N, D]."""
        return as_stored(self.fakes().images)


def kept(trial: Trial, store: Store, checkpoint: str = "last") -> Kept:
    """Raises Unseen if the trial has no such sampler."""
    folder = store.trial(trial.id)
    result = read_json(folder.result)
    if result is None or result["outcome"] != "done":
        told = "not done" if result is None else result["outcome"]
        raise Unseen(f"trial {trial.id[:16]} is {told}: no sampler of it was kept")
    if not folder.sampler(checkpoint).exists():
        raise Unseen(f"{folder.sampler(checkpoint)} is missing: train the trial again")
    trial.numerics.apply()
    return Kept(here(trial), folder, checkpoint)


def here(trial: Trial) -> Trial:
    """The trial on its own device, or on the CPU of a machine that has none such: other latents, then."""
    there = trial.device == "cpu" or getattr(torch, trial.device).is_available()
    return trial if there else replace(trial, device="cpu")
