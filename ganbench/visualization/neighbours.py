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
    distance: float  # median distance of fakes to the nearest example
    held_out: float  # the same for held-out examples: new images should be no nearer
    copies: int  # fakes with exactly the features of a training example


def find_neighbours(generator: SavedGenerator, count: int | None = None) -> NearestNeighbours:
    """Finds the nearest training example of each fake.

    The picture shows the ten fakes nearest to a training example, then the first ten fakes, each above its
    nearest example. The fakes are those that were measured, or the first `count` of them. The training
    examples are the reference of the measured metrics. Raises CannotVisualize if the data are not images.
    """
    evaluator = generator.evaluator
    if not generator.has_images:
        raise CannotVisualize(
            f"{generator.trial.data_name} is {generator.modality.name}: neighbours can be shown only for images"
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
