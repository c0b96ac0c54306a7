"""Loads the generator of a finished trial to draw pictures."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from safetensors import SafetensorError
from torch import Tensor

from ganbench.data.base import NotDownloaded, to_uint8
from ganbench.data.modality import IMAGES, Modality, modality_of
from ganbench.errors import GanbenchError
from ganbench.evaluation.evaluator import Evaluator, evaluator_for
from ganbench.experiments.plan_names import short_id
from ganbench.experiments.saved_generator import draw_saved_samples, load_saved_task
from ganbench.experiments.store import Store, TrialFolder
from ganbench.experiments.trial import Trial
from ganbench.files import CorruptFile, read_json
from ganbench.gan.build import Incompatible
from ganbench.gan.tasks.base import Task
from ganbench.registry import SpecError
from ganbench.training.sampling import GeneratedSamples


class CannotVisualize(GanbenchError, ValueError):
    """A trial that cannot be visualized, with the reason."""


@dataclass(frozen=True)
class SavedGenerator:
    """The generator of a finished trial at one checkpoint."""

    trial: Trial
    folder: TrialFolder
    checkpoint: str = "last"

    @property
    def evaluator(self) -> Evaluator:
        return evaluator_for(self.trial.data, self.trial.device, self.trial.curve_protocol)

    @property
    def modality(self) -> Modality:
        return modality_of(self.evaluator.reference)

    @property
    def has_images(self) -> bool:
        return self.modality is IMAGES

    def load_samples(self) -> GeneratedSamples:
        """Draws the same fakes that were measured."""
        self.require_same_data()
        with self.explaining_load_errors():
            return draw_saved_samples(self.trial, self.folder, self.evaluator, self.checkpoint)

    def load_task(self) -> Task:
        self.require_same_data()
        with self.explaining_load_errors():
            task = load_saved_task(self.trial, self.folder, self.evaluator, self.checkpoint)
        task.generators.eval()
        return task

    def require_same_data(self) -> None:
        """Raises CannotVisualize if the data set changed: its labels may mean other things."""
        if self.evaluator.fingerprint != self.trial.fingerprint:
            raise CannotVisualize(
                f"the data set {self.trial.data_name} changed after this training: restore it, or train again"
            )

    @contextmanager
    def explaining_load_errors(self) -> Iterator[None]:
        """Raises CannotVisualize if the generator cannot be loaded.

        Its file may be damaged, or its networks may differ from those of this code.
        """
        try:
            yield
        except (NotDownloaded, CorruptFile):
            raise
        except (SafetensorError, Incompatible, SpecError, RuntimeError) as error:
            path = self.folder.generator_path(self.checkpoint)
            cause = " ".join(str(error).split())
            raise CannotVisualize(f"{path} cannot be loaded: {cause:.200}") from error

    def load_stored_images(self) -> Tensor:
        """Returns the measured fakes as stored: uint8 [N, C, H, W], or points [N, D]."""
        return to_uint8(self.load_samples().images)


def find_saved_generator(trial: Trial, store: Store, checkpoint: str = "last") -> SavedGenerator:
    """Returns the saved generator of a trial.

    Raises CannotVisualize if the trial has no such generator.
    """
    folder = store.trial_folder(trial.id)
    result = read_json(folder.result_path)
    if result is None or result["outcome"] != "done":
        state = "not done" if result is None else result["outcome"]
        raise CannotVisualize(f"trial {short_id(trial.id)} is {state}: it has no saved generator")
    if not folder.generator_path(checkpoint).exists():
        raise CannotVisualize(
            f"{folder.generator_path(checkpoint)} is missing: train the trial again"
        )
    trial.numerics.apply()
    return SavedGenerator(on_available_device(trial), folder, checkpoint)


def on_available_device(trial: Trial) -> Trial:
    """Returns the trial with its own device if it is available here, else with the CPU.

    The CPU draws other latents than the trial's device.
    """
    is_available = trial.device == "cpu" or getattr(torch, trial.device).is_available()
    return trial if is_available else replace(trial, device="cpu")
