"""Looking: pictures of what a kept sampler makes, of walks between its latents, of styles, and of whom it resembles."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial

import torch

from ganbench.data.base import Missing, as_stored
from ganbench.experiments.saved_generator import portrait
from ganbench.experiments.store import Store
from ganbench.experiments.trial import read_trial
from ganbench.files import Damaged, write_bytes
from ganbench.gan.networks.style_mapping import StyledGenerator
from ganbench.image_grid import COLUMNS, drawn, grid
from ganbench.rng import Streams

from .interpolation import interpolation
from .neighbours import neighbours
from .style_mixing import STYLES
from .trained_generator import Kept, Unseen, kept

SEARCHED_BY = 200  # fakes whose neighbours a report searches: extraction may be dear


def samples(sampler: Kept, count: int = COLUMNS**2) -> bytes:
    """A PNG of the first fakes that were measured; of points their density.

    Translations stand beside what they were made from, and what they should be. Of fakes that were
    asked to show a class there are ten of each of the first ten classes.
    """
    fakes = sampler.fakes()
    if not sampler.on_images or fakes.source is not None or fakes.labels is not None:
        return portrait(fakes, sampler.measured.reference)
    return drawn(grid(as_stored(fakes.images[:count])))


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
