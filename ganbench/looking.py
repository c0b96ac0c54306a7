"""Looking: pictures of what a kept sampler makes, of walks between its latents, of styles, and of whom it resembles."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial

import torch
from safetensors import SafetensorError
from torch import Tensor

from .assemble import Incompatible
from .data.base import IMAGE, Missing, as_stored
from .games.base import Asked, Game
from .metrics.authenticity import nearest
from .metrics.copying import held_out_distances
from .metrics.sampler import Sampler, lerp, slerp
from .networks.styles import StyledGenerator
from .pictures import COLUMNS, drawn, grid, picture
from .spec import SpecError
from .store import Damaged, Store, TrialFolder, read_json, write_bytes
from .streams import Streams
from .styles import STYLES
from .trial import Trial, dealt, kept_game, kept_samples, portrait, read_trial, settle, steady
from .yardstick import Fakes, Yardstick, yardstick

WALKS = {"spherical": slerp, "linear": lerp}  # between latents (White, 2016)
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
    asked to show a class there are ten of each of the first ten classes.
    """
    fakes = sampler.fakes()
    if not sampler.on_images or fakes.source is not None or fakes.labels is not None:
        return portrait(fakes, sampler.measured.reference)
    return drawn(grid(as_stored(fakes.images[:count])))


@torch.no_grad()
def interpolation(sampler: Kept, method: str = "spherical") -> bytes:
    """A PNG of walks between latents, a row each; of points in the plane, the paths that they take."""
    game = sampler.game()
    made = game.sampler(game.generators)
    if made is None:
        raise Unseen(f"{sampler.trial.variant} draws nothing: there are no latents to walk between")
    steps = STEPS if sampler.on_images else SMOOTH
    streams = Streams(sampler.trial.seed, made.device)
    walks = walked(made, method, steps, streams.generator("interpolation"))
    sources = next(dealt(sampler.measured.split.held_out, streams, WALKED))
    labels = game.asked(sources).get(IMAGE, Asked()).labels  # a walk stays within a class
    told = None if labels is None else labels.repeat_interleave(steps)
    images = as_stored(steady(made, streams).images(walks, told))
    if not sampler.on_images:
        return picture(images, sampler.measured.reference)
    return drawn(grid(images, steps))


def walked(made: Sampler, method: str, steps: int, random: torch.Generator) -> Tensor:
    """Latents on the way from one to another, both ends included: [WALKED * steps, L]; codes stay."""
    start, end = (made.latents(WALKED, random) for _ in range(2))
    (a, codes), (b, _) = (side.tensor_split([made.gaussian], 1) for side in (start, end))
    shares = torch.linspace(0, 1, steps, device=start.device)
    ways = [torch.cat([WALKS[method](a, b, share), codes], 1) for share in shares]
    return torch.stack(ways, 1).flatten(0, 1)


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


def styles(sampler: Kept, kind: str) -> bytes:
    """A PNG of styles, mixed or truncated; raises Unseen if the generator has none."""
    generator, *_ = sampler.game().generators.values()
    if not isinstance(generator, StyledGenerator):
        raise Unseen(f"{sampler.trial.variant} has no styles: its network maps no latents to them")
    return STYLES[kind](generator, Streams(sampler.trial.seed, torch.device(sampler.trial.device)))


CLOSER: dict[str, Callable[[Kept], bytes]] = {  # what a report shows of an arm beside its samples
    "interpolation": interpolation,
    "neighbours": lambda sampler: neighbours(sampler, SEARCHED_BY).picture,
    **{kind: partial(styles, kind=kind) for kind in STYLES},
}


def leave_pictures(identifiers: Iterable[str], store: Store) -> None:
    """Makes closer pictures beside `samples.png`: those that are not there yet, of what can be shown."""
    for identifier in identifiers:
        with suppress(Unseen, Damaged, Missing):
            sampler = kept(read_trial(store, identifier), store)
            for kind, picture_of in CLOSER.items():
                path = sampler.folder.folder / f"{kind}.png"
                if not path.exists():
                    with suppress(Unseen):  # of points no neighbours, of most no styles
                        write_bytes(path, picture_of(sampler))
