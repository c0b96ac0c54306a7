"""Pictures of a saved generator: samples, interpolations, styles and nearest neighbours."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial

import torch

from ganbench.data.base import NotDownloaded, to_uint8
from ganbench.data.captions import split_words
from ganbench.data.modality import CLIPS
from ganbench.experiments.saved_generator import draw_sample_picture
from ganbench.experiments.store import Store
from ganbench.experiments.trial import read_trial
from ganbench.files import CorruptFile, write_bytes
from ganbench.gan.networks.style_mapping import StyledGenerator
from ganbench.image_grid import (
    CAPTIONED_STRIPS,
    GRID_COLUMNS,
    animate_clips,
    arrange_grid,
    encode_png,
    film_strips,
    tile_size,
)
from ganbench.local_files import LocalFileError
from ganbench.rng import RngStreams

from .interpolation import caption_sampler, draw_interpolation
from .neighbours import find_neighbours
from .style_mixing import STYLE_PICTURES
from .trained_generator import CannotVisualize, SavedGenerator, find_saved_generator

MAX_NEIGHBOUR_SAMPLES = 200  # fakes in a report's neighbour search: extraction may be slow


def draw_samples(generator: SavedGenerator, count: int = GRID_COLUMNS**2) -> bytes:
    """Draws the first measured fakes as a PNG; for points, their density.

    Translations are shown beside their sources and their targets. Class-conditional fakes are shown with ten
    examples for each of the first ten classes, fakes of captions above their captions.
    """
    fakes = generator.load_samples()
    if not generator.has_images or fakes.source is not None or fakes.labels is not None:
        evaluator = generator.evaluator
        return draw_sample_picture(fakes, evaluator.reference, evaluator.data.captions)
    images = to_uint8(fakes.images[:count])
    return encode_png(arrange_grid(images), {"tile": tile_size(images)})


def draw_motion(generator: SavedGenerator) -> bytes:
    """Draws the first measured clips as an animated PNG; raises CannotVisualize for others."""
    if generator.modality is not CLIPS:
        raise CannotVisualize(
            f"{generator.trial.data_name} is {generator.modality.name}, which do not move"
        )
    return animate_clips(to_uint8(generator.load_samples().images))


@torch.no_grad()
def draw_caption(generator: SavedGenerator, caption: str, count: int = GRID_COLUMNS**2) -> bytes:
    """Draws fakes of one caption as a PNG.

    Raises CannotVisualize if the generator has no captions, and UnknownCaption for another sentence.
    """
    sampler, labels = caption_sampler(generator, generator.load_task(), [caption])
    streams = RngStreams(generator.trial.seed, sampler.device)
    latents = sampler.latents(count, streams.generator("caption"))
    images = to_uint8(sampler.images(latents, labels.expand(count)))
    if generator.modality is CLIPS:
        return encode_png(arrange_grid(film_strips(images), CAPTIONED_STRIPS))
    return encode_png(arrange_grid(images))


def find_unknown_words(generator: SavedGenerator, caption: str) -> list[str]:
    """Returns the words of a caption that the generator does not tell apart."""
    captions = generator.evaluator.data.captions
    known = set() if captions is None else set(captions.words)
    return [word for word in split_words(caption) if word not in known]


def draw_styles(saved: SavedGenerator, kind: str) -> bytes:
    """Draws mixed or truncated styles as a PNG.

    Raises CannotVisualize if the generator has no styles.
    """
    generator, *_ = saved.load_task().generators.values()
    if not isinstance(generator, StyledGenerator):
        raise CannotVisualize(
            f"{saved.trial.variant} has no styles: its generator has no style mapping"
        )
    streams = RngStreams(saved.trial.seed, torch.device(saved.trial.device))
    return STYLE_PICTURES[kind](generator, streams)


# Pictures of an arm in a report, besides its samples. Most generators have no styles, so those come first:
# a trial that has the later pictures is complete, and need not be loaded again.
CLOSER_PICTURES: dict[str, Callable[[SavedGenerator], bytes]] = {
    **{kind: partial(draw_styles, kind=kind) for kind in STYLE_PICTURES},
    "motion": draw_motion,
    "interpolation": draw_interpolation,
    "neighbours": lambda saved: find_neighbours(saved, MAX_NEIGHBOUR_SAMPLES).picture,
}


def write_closer_pictures(identifiers: Iterable[str], store: Store) -> None:
    """Writes the missing pictures beside `samples.png` of each trial.

    Pictures that cannot be drawn are skipped.
    """
    for identifier in identifiers:
        with suppress(CannotVisualize, CorruptFile, LocalFileError, NotDownloaded):
            write_missing_pictures(find_saved_generator(read_trial(store, identifier), store))


def write_missing_pictures(saved: SavedGenerator) -> None:
    for kind, draw in CLOSER_PICTURES.items():
        path = saved.folder.folder / f"{kind}.png"
        if not path.exists():
            with suppress(CannotVisualize):  # points have no neighbours, most generators no styles
                write_bytes(path, draw(saved))
