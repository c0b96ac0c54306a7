"""Nearest training examples of generated images, in the extractor's feature space."""

from dataclasses import dataclass

import torch

from ganbench.evaluation.metrics.authenticity import find_nearest
from ganbench.evaluation.metrics.copying import held_out_distances
from ganbench.image_grid import GRID_COLUMNS, arrange_grid, encode_png

from .trained_generator import CannotVisualize, SavedGenerator


@dataclass(frozen=True)
class NearestNeighbours:
    """The nearest training examples of fakes, in the extractor's feature space."""

    picture: bytes
    fakes: int
    reals: int  # training examples that were searched
    distance: float  # median of the fakes' distances to the nearest
    held_out: float  # that of held-out examples: what is new should be no nearer
    copies: int  # fakes with the very features of a training example


def find_neighbours(generator: SavedGenerator, count: int | None = None) -> NearestNeighbours:
    """The ten fakes that are nearest to a training example, and the first ten, each above its nearest.

    It compares all fakes that were measured, or the first of them, with the training examples that
    fakes are measured against. Raises CannotVisualize for what are no images.
    """
    evaluator = generator.evaluator
    if not generator.has_images:
        raise CannotVisualize(
            f"{generator.trial.data} is {generator.modality.name}: neighbours are shown of images"
        )
    fakes = generator.load_stored_images()[:count]
    squared, which = find_nearest(evaluator.extract(fakes), evaluator.real_features)
    order = squared.argsort(stable=True)[:GRID_COLUMNS]
    rows = []
    for chosen in (order, torch.arange(min(GRID_COLUMNS, len(fakes)), device=order.device)):
        rows += [fakes[chosen].cpu(), evaluator.reference[which[chosen].cpu()]]
    held_out_squared = held_out_distances(evaluator.real_features)
    return NearestNeighbours(
        picture=encode_png(arrange_grid(torch.cat(rows), len(order))),
        fakes=len(fakes),
        reals=len(evaluator.real_features),
        distance=float(squared.sqrt().median()),
        held_out=float(held_out_squared.sqrt().median()),
        copies=int((squared == 0).sum()),
    )
