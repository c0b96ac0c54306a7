"""Nearest training examples of generated images, in the extractor's feature space."""

from dataclasses import dataclass

import torch

from ganbench.evaluation.metrics.authenticity import nearest
from ganbench.evaluation.metrics.copying import held_out_distances
from ganbench.image_grid import COLUMNS, drawn, grid

from .trained_generator import Kept, Unseen


@dataclass(frozen=True)
class Resemblance:
    """The nearest training examples of fakes, in the extractor's feature space."""

    picture: bytes
    fakes: int
    reals: int  # training examples that were searched
    distance: float  # median of the fakes' distances to the nearest
    held_out: float  # that of held-out examples: what is new should be no nearer
    copies: int  # fakes with the very features of a training example


def neighbours(sampler: Kept, count: int | None = None) -> Resemblance:
    """The ten fakes that are nearest to a training example, and the first ten, each above its nearest.

    It looks at all fakes that were measured, or at the first of them, and searches the training
    examples that fakes are measured against. Raises Unseen for points.
    """
    measured = sampler.measured
    if not sampler.on_images:
        raise Unseen(f"{sampler.trial.data} is points: neighbours are shown of images")
    fakes = sampler.images()[:count]
    squared, which = nearest(measured.sample(fakes), measured.real)
    order = squared.argsort(stable=True)[:COLUMNS]
    rows = []
    for chosen in (order, torch.arange(min(COLUMNS, len(fakes)), device=order.device)):
        rows += [fakes[chosen].cpu(), measured.reference[which[chosen].cpu()]]
    theirs = held_out_distances(measured.real)
    return Resemblance(
        picture=drawn(grid(torch.cat(rows), len(order))),
        fakes=len(fakes),
        reals=len(measured.real),
        distance=float(squared.sqrt().median()),
        held_out=float(theirs.sqrt().median()),
        copies=int((squared == 0).sum()),
    )
