"""Looking: pictures of what a kept sampler makes, of walks between its latents, and of whom it resembles."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .data.base import IMAGE, Missing, as_stored
from .evaluate import Fakes, Yardstick, yardstick
from .games.base import Asked
from .interpolation import WALKS
from .metrics.authenticity import nearest
from .metrics.copying import held_out_distances
from .pictures import COLUMNS, drawn, grid, picture
from .store import Damaged, Store, TrialFolder, read_json, write_bytes
from .streams import Streams
from .trial import Trial, dealt, kept_game, kept_samples, portrait, read_trial, settle

WALKED, STEPS = 8, 10  # walks in a picture, and images of each
SEARCHED_BY = 200  # fakes whose neighbours a report searches: extraction may be dear
SMOOTH = 400  # points of a walk in the plane


class Unseen(ValueError):
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
        return self.measured.reference.ndim == 4

    def fakes(self) -> Fakes:
        """The very fakes that were measured."""
        return kept_samples(self.trial, self.folder, self.measured, self.checkpoint)

    def images(self) -> Tensor:
        """The same as stored: uint8 [N, C, H, W], or points [N, D]."""
        return as_stored(self.fakes().images)


@dataclass(frozen=True)
class Resemblance:
    """The nearest training examples of fakes, in the extractor's feature space."""

    picture: bytes
    fakes: int
    reals: int  # training examples that were searched
    distance: float  # median of the fakes' distances to the nearest
    held_out: float  # that of held-out examples: what is new should be no nearer
    copies: int  # fakes with the very features of a training example


def kept(trial: Trial, store: Store, checkpoint: str = "last") -> Kept:
    """Raises Unseen if the trial has no such sampler."""
    folder = store.trial(trial.id)
    result = read_json(folder.result)
    if result is None or result["outcome"] != "done":
        told = "not done" if result is None else result["outcome"]
        raise Unseen(f"trial {trial.id[:16]} is {told}: no sampler of it was kept")
    if not folder.sampler(checkpoint).exists():
        raise Unseen(f"{folder.sampler(checkpoint)} is missing: train the trial again")
    settle()
    return Kept(here(trial), folder, checkpoint)


def here(trial: Trial) -> Trial:
    """The trial on its own device, or on the CPU of a machine that has none such: other latents, then."""
    there = trial.device == "cpu" or getattr(torch, trial.device).is_available()
    return trial if there else replace(trial, device="cpu")


def samples(sampler: Kept, count: int = COLUMNS**2) -> bytes:
    """A PNG of the first fakes that were measured; of points their density.

    Translations stand beside what they were made from, and what they should be. Of fakes that were
    asked to show a class there are ten of each class, or as many as of all.
    """
    fakes = sampler.fakes()
    if not sampler.on_images or fakes.source is not None:
        return portrait(fakes, sampler.measured.reference)
    images, labels = as_stored(fakes.images), fakes.labels
    return drawn(grid(images[:count] if labels is None else by_class(images, labels)))


def by_class(images: Tensor, labels: Tensor) -> Tensor:
    """A row a class, of the first fakes that were asked to show it; as many of each as there are of all."""
    classes = labels.unique()  # ascending
    count = min(COLUMNS, int(labels.bincount()[classes].min()))
    chosen = [(labels == name).nonzero()[:count, 0] for name in classes]
    rows = images[torch.cat(chosen)].unflatten(0, (len(classes), count))
    blank = rows.new_zeros(len(classes), COLUMNS - count, *images.shape[1:])
    return torch.cat([rows, blank], 1).flatten(0, 1)


@torch.no_grad()
def interpolation(sampler: Kept, method: str = "spherical") -> bytes:
    """A PNG of walks between latents, a row each; of points in the plane, the paths that they take."""
    trial = sampler.trial
    game = kept_game(trial, sampler.folder, sampler.measured, sampler.checkpoint)
    latent: int = getattr(game, "latent", 0)
    if not latent or IMAGE not in game.generators:
        raise Unseen(f"{trial.variant} has no latents to walk between: it makes images from images")
    steps = STEPS if sampler.on_images else SMOOTH
    streams = Streams(trial.seed, torch.device(trial.device))
    random = streams.generator("interpolation")
    start, end = torch.randn(2, WALKED, latent, generator=random, device=random.device)
    walks = WALKS[method](start, end, steps)  # [WALKED, steps, latent]
    sources = next(dealt(sampler.measured.split.held_out, streams, WALKED))
    labels = game.asked(sources).get(IMAGE, Asked()).labels  # a walk stays within a class
    given = [] if labels is None else [labels.repeat_interleave(steps)]
    game.generators.eval()
    with streams.seeded("interpolation", "layers"):
        images = as_stored(game.generators[IMAGE](walks.flatten(0, 1), *given))
    if not sampler.on_images:
        return picture(images, sampler.measured.reference)
    return drawn(grid(images, steps))


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


def leave_pictures(identifiers: Iterable[str], store: Store) -> None:
    """Makes `interpolation.png` and `neighbours.png` beside `samples.png`, where there are none yet."""
    for identifier in identifiers:
        try:
            sampler = kept(read_trial(store, identifier), store)
            if not sampler.folder.interpolation.exists():
                write_bytes(sampler.folder.interpolation, interpolation(sampler))
            if not sampler.folder.neighbours.exists():
                write_bytes(sampler.folder.neighbours, neighbours(sampler, SEARCHED_BY).picture)
        except (Unseen, Damaged, Missing):  # of points there are no neighbours, of some no latents
            continue
