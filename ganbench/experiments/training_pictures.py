"""Pictures of a training: grids from the same latents at six points of its curve.

The grids show the first samples of those that select checkpoints. Drawing them thus needs no further
samples and no random numbers, and the numbers of a training do not depend on it. One PNG per trial
holds the grids side by side, with their steps as the names of its frames. Translations have their
inputs before the grids, and their targets after them.
"""

import math
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ganbench.data.base import to_uint8
from ganbench.data.modality import IMAGES, UnknownModality, modality_of
from ganbench.files import write_bytes
from ganbench.image_grid import arrange_samples, make_sizes_equal, to_pil_image
from ganbench.picture_parts import INPUT, TARGET, encode_named_png, read_part_names
from ganbench.training.sampling import GeneratedSamples

from .session import TrainingRecord

MAX_GRIDS = 6  # of a training
MAX_GRID_PIXELS = 140  # width of a grid of several images, before lines of the grid
MIN_COLUMNS, MAX_COLUMNS = 2, 6  # images in a row, and as many rows


class PicturedRecord(TrainingRecord):
    """A record that also draws the strip of the training, beside the trial's other files."""

    grids: dict[str, Tensor]  # uint8 [3, H, W] by step, and of inputs and targets

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        self.grids = {}
        self.pictured = choose_points(self.trial.points)

    def load_checkpoint(self) -> dict[str, Any] | None:
        """Loads the checkpoint and the grids before it; deletes the strip of another training."""
        state = super().load_checkpoint()
        known = {INPUT, TARGET, *(str(score["step"]) for score in self.scores)}
        drawn = self.read_grids() if self.scores else {}
        self.grids = {name: grid for name, grid in drawn.items() if name in known}
        if not self.scores:
            self.folder.training_path.unlink(missing_ok=True)
        return state

    def read_grids(self) -> dict[str, Tensor]:
        """Returns the grids of the strip, by name; empty if the file is missing or damaged."""
        names = read_part_names(self.folder.training_path, "frames")
        if not names:
            return {}
        try:
            with Image.open(self.folder.training_path) as image:
                pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
        except (OSError, SyntaxError, ValueError):
            return {}
        return dict(zip(names, pixels.tensor_split(len(names), 2), strict=True))

    def draw_selection_samples(self) -> GeneratedSamples:
        """Draws the samples, and adds their grid to the strip at the chosen points."""
        samples = super().draw_selection_samples()
        if len(self.scores) in self.pictured:
            with suppress(UnknownModality):
                self.add_grids(self.draw_grids(samples))
                self.write_strip()
        return samples

    def add_grids(self, drawn: dict[str, Tensor]) -> None:
        """Adds grids; those of a file with grids of another size are dropped."""
        (shape,) = {grid.shape for grid in drawn.values()}
        self.grids = {name: x for name, x in self.grids.items() if x.shape == shape} | drawn

    def draw_grids(self, samples: GeneratedSamples) -> dict[str, Tensor]:
        """Returns the grid of samples, with those of inputs and targets, by name."""
        versions = {
            INPUT: samples.source,
            str(self.training.step): samples.images,
            TARGET: samples.truth,
        }
        columns = count_columns(samples.images)
        shown = {
            name: to_uint8(order_by_class(x, samples.labels, columns**2)).cpu()
            for name, x in versions.items()
            if x is not None
        }
        reals = self.evaluator.reference
        alike = make_sizes_equal(list(shown.values())) if len(shown) > 1 else shown.values()
        return {
            name: arrange_samples(x, reals, columns) for name, x in zip(shown, alike, strict=True)
        }

    def write_strip(self) -> None:
        """Writes the strip; on a full disk training goes on without it."""
        names = sorted(self.grids, key=place_in_strip)
        strip = torch.cat([self.grids[name] for name in names], 2)
        content = encode_named_png(to_pil_image(strip), {"frames": names}, is_small=False)
        try:
            write_bytes(self.folder.training_path, content)
        except OSError as error:
            self.attempt.append_event(step=self.training.step, picture_error=str(error))


def choose_points(points: int) -> set[int]:
    """Returns the numbers of the pictured points: the first, the last, and even between."""
    count = min(points, MAX_GRIDS)
    return {round(n * (points - 1) / max(1, count - 1)) for n in range(count)}


def count_columns(samples: Tensor) -> int:
    """Returns the number of images in a row of a grid, fewer if they are large."""
    if modality_of(samples) is not IMAGES:
        return 1
    return max(MIN_COLUMNS, min(MAX_COLUMNS, MAX_GRID_PIXELS // samples.shape[3]))


def order_by_class(samples: Tensor, labels: Tensor | None, count: int) -> Tensor:
    """Returns the first images in the order of their classes, or all points."""
    if modality_of(samples) is not IMAGES:
        return samples
    return samples[:count] if labels is None else samples[labels[:count].argsort(stable=True)]


def place_in_strip(name: str) -> float:
    """Returns the place of a grid in the order of a strip: inputs, steps, targets."""
    return {INPUT: -1.0, TARGET: math.inf}.get(name) or float(name)
