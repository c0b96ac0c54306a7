"""Pictures of a saved generator: samples, walks between latents, styles, and nearest neighbours."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial

import torch

from ganbench.data.base import NotDownloaded, to_uint8
from ganbench.experiments.saved_generator import draw_sample_picture
from ganbench.experiments.store import Store
from ganbench.experiments.trial import read_trial
from ganbench.files import CorruptFile, write_bytes
from ganbench.gan.networks.style_mapping import StyledGenerator
from ganbench.image_grid import GRID_COLUMNS, arrange_grid, encode_png
from ganbench.rng import RngStreams

from .interpolation import draw_interpolation
from .neighbours import find_neighbours
from .style_mixing import STYLE_PICTURES
from .trained_generator import CannotVisualize, SavedGenerator, find_saved_generator

MAX_NEIGHBOUR_SAMPLES = 200  # fakes whose neighbours a report searches: extraction may be dear


def draw_samples(generator: SavedGenerator, count: int = GRID_COLUMNS**2) -> bytes:
    """A PNG of the first fakes that were measured; of points their density.

    Translations stand beside what they were made from, and what they should be. Of
    class-conditional fakes there are ten of each of the first ten classes.
    """
    fakes = generator.load_samples()
    if not generator.has_images or fakes.source is not None or fakes.labels is not None:
        return draw_sample_picture(fakes, generator.evaluator.reference)
    return encode_png(arrange_grid(to_uint8(fakes.images[:count])))


def draw_styles(saved: SavedGenerator, kind: str) -> bytes:
    """A PNG of styles, mixed or truncated; raises CannotVisualize if the generator has none."""
    generator, *_ = saved.load_task().generators.values()
    if not isinstance(generator, StyledGenerator):
        raise CannotVisualize(
            f"{saved.trial.variant} has no styles: its network maps no latents to them"
        )
    streams = RngStreams(saved.trial.seed, torch.device(saved.trial.device))
    return STYLE_PICTURES[kind](generator, streams)


# What a report shows of an arm beside its samples
CLOSER_PICTURES: dict[str, Callable[[SavedGenerator], bytes]] = {
    "interpolation": draw_interpolation,
    "neighbours": lambda saved: find_neighbours(saved, MAX_NEIGHBOUR_SAMPLES).picture,
    **{kind: partial(draw_styles, kind=kind) for kind in STYLE_PICTURES},
}


def write_closer_pictures(identifiers: Iterable[str], store: Store) -> None:
    """Makes closer pictures beside `samples.png`: those that are not there yet, of what can be shown."""
    for identifier in identifiers:
        with suppress(CannotVisualize, CorruptFile, NotDownloaded):
            write_missing_pictures(find_saved_generator(read_trial(store, identifier), store))


def write_missing_pictures(saved: SavedGenerator) -> None:
    for kind, draw in CLOSER_PICTURES.items():
        path = saved.folder.folder / f"{kind}.png"
        if not path.exists():
            with suppress(CannotVisualize):  # of points no neighbours, of most no styles
                write_bytes(path, draw(saved))
