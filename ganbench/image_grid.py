"""Pictures of samples: a grid of images, strips of clips, or a density of 2-D points."""

import math
import textwrap
from collections.abc import Mapping, Sequence

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn.functional import interpolate, pad

from ganbench.data.modality import CLIPS, IMAGES, POINTS, UnknownModality, modality_of
from ganbench.picture_parts import encode_animation, encode_named_png

GRID_COLUMNS, MIN_PICTURE_PIXELS = 10, 400  # images per row; minimal width of a picture
MIN_STRIPS = 6  # clips in a column
MAX_EXAMPLES_PER_KIND = 50  # examples that are shown in several versions
MAX_STRIP_EXAMPLES = 20  # of clips, one below the other
LINE_GREY = 64  # of 255, between images
# Animations of clips:
ANIMATED_COLUMNS, MAX_ANIMATED, MIN_ANIMATED = 5, 20, 5  # clips in a row, and in all
MAX_ANIMATED_VALUES = 1_000_000  # pixels by channels and frames, before they are enlarged
# Captions below images:
CAPTIONED_COLUMNS, MAX_CAPTIONED = 8, 40
CAPTIONED_STRIPS = 2  # in a row
MIN_TILE_PIXELS, MIN_STRIP_PIXELS = 96, 288  # of an image or strip, enlarged by a whole factor
TEXT_PIXELS, LINE_PIXELS, LINE_LETTERS, LINES = 10, 12, 19, 3
GROUND, INK = 32, (235, 235, 235)
DENSITY_REACH = 1.5  # range of the plot, relative to the largest coordinate of the reals


def draw_picture(samples: Tensor, reals: Tensor) -> bytes:
    """Draws a PNG of the first 100 images, uint8 [N, C, H, W], of clips, or of points [N, 2].

    The density of points is drawn over that of the reals [M, 2]. Raises UnknownModality for samples of another kind.
    """
    return encode_png(arrange_samples(samples, reals), {"tile": tile_size(samples)})


def arrange_samples(samples: Tensor, reals: Tensor, columns: int = GRID_COLUMNS) -> Tensor:
    """Arranges a square of images, or film strips, or draws a density: uint8 [3, H', W'].

    Raises UnknownModality for samples of another kind.
    """
    modality = modality_of(samples)
    if modality is IMAGES:
        return arrange_grid(samples[: columns**2], columns)
    if modality is CLIPS:
        beside = max(1, 2 * columns // samples.shape[2])
        return arrange_grid(film_strips(samples[: beside * max(columns, MIN_STRIPS)]), beside)
    if modality is POINTS:
        return draw_density(samples, reals)
    raise UnknownModality(f"ganbench can draw images, clips and points, but not {modality.name}")


def film_strips(clips: Tensor) -> Tensor:
    """Returns the frames of each clip side by side: [N, C, T, H, W] => [N, C, H, T * W]."""
    return clips.transpose(2, 3).flatten(3)


def animate_clips(clips: Tensor) -> bytes:
    """Encodes clips, uint8 [N, C, T, H, W], as an animated PNG: a grid in which they move.

    They are repeated for five seconds. Readers without animations show the first frames.
    """
    affordable = MAX_ANIMATED_VALUES // clips[0].numel()
    shown = clips[: max(MIN_ANIMATED, min(MAX_ANIMATED, affordable))].cpu()
    grids = [arrange_grid(frames, ANIMATED_COLUMNS) for frames in shown.unbind(2)]
    frames = [enlarge_picture(to_pil_image(grid)) for grid in grids]
    return encode_animation(frames, "PNG")


def draw_captioned(images: Tensor, sentences: Sequence[str]) -> bytes:
    """Draws a PNG of the first 40 images, uint8 [N, C, H, W], or clips, above their captions."""
    is_strip = modality_of(images) is CLIPS
    shown = film_strips(images[:MAX_CAPTIONED]) if is_strip else images[:MAX_CAPTIONED]
    shown = shown.cpu().expand(-1, 3, -1, -1)
    times = max(1, -(-(MIN_STRIP_PIXELS if is_strip else MIN_TILE_PIXELS) // shown.shape[3]))
    enlarged = shown.repeat_interleave(times, 2).repeat_interleave(times, 3)
    pairs = zip(enlarged, sentences, strict=False)
    tiles = torch.stack([add_sentence(*pair) for pair in pairs])
    picture = to_pil_image(arrange_grid(tiles, CAPTIONED_STRIPS if is_strip else CAPTIONED_COLUMNS))
    names = {"tile": [str(tiles.shape[3] + 1), str(tiles.shape[2] + 1)]}
    return encode_named_png(picture, names)


def add_sentence(image: Tensor, sentence: str) -> Tensor:
    """Returns an image uint8 [3, H, W] with its sentence below, in up to three lines."""
    strip = Image.new("RGB", (image.shape[2], LINES * LINE_PIXELS), (GROUND,) * 3)
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(TEXT_PIXELS)
    letters = LINE_LETTERS * image.shape[2] // MIN_TILE_PIXELS
    for number, line in enumerate(textwrap.wrap(sentence, letters)[:LINES]):
        draw.text((2, number * LINE_PIXELS), line, INK, font)
    pixels = torch.frombuffer(bytearray(strip.tobytes()), dtype=torch.uint8)
    below = pixels.view(strip.height, strip.width, 3).permute(2, 0, 1)
    return torch.cat([image, below], 1)


def tile_size(images: Tensor) -> list[str]:
    """Returns width and height of a grid image with its line as texts; empty for points."""
    if images.ndim == 5:
        return tile_size(film_strips(images[:1]))
    return [str(side + 1) for side in images.shape[:1:-1]]


def arrange_by_class(images: Tensor, labels: Tensor) -> Tensor:
    """Returns ten images of each of the first ten classes, ordered by class.

    Black images fill up classes with fewer than ten images.
    """
    chosen = [images[labels == label][:GRID_COLUMNS] for label in labels.unique()[:GRID_COLUMNS]]
    missing = [row.new_zeros(GRID_COLUMNS - len(row), *row.shape[1:]) for row in chosen]
    return torch.cat([part for pair in zip(chosen, missing, strict=True) for part in pair])


def draw_side_by_side(versions: Mapping[str, Tensor]) -> bytes:
    """Draws a PNG of the first 50 examples in several versions, by name.

    Each version is uint8 [N, C, H, W], or clips, which become film strips. The versions of one example
    are next to each other.
    """
    alike = make_sizes_equal([images[:MAX_EXAMPLES_PER_KIND] for images in versions.values()])
    if alike[0].ndim == 5:
        alike = [film_strips(clips[:MAX_STRIP_EXAMPLES]) for clips in alike]
    rows = torch.stack(alike, 1).flatten(0, 1)  # [N * versions, C, H, W]
    beside = 1 if next(iter(versions.values())).ndim == 5 else GRID_COLUMNS // len(alike)
    columns = min(len(alike) * beside, len(rows))
    heads = list(versions) * (columns // len(alike))
    return encode_png(arrange_grid(rows, columns), {"columns": heads, "tile": tile_size(rows)})


def make_sizes_equal(groups: Sequence[Tensor]) -> list[Tensor]:
    """Enlarges images uint8 [N, C, H, W] to the largest height and the most channels of all.

    Clips get as many frames as those of the last group, in equally many rows.
    """
    if groups[0].ndim == 5:
        frames = groups[-1].shape[2]
        rows = max(math.ceil(group.shape[2] / frames) for group in groups)
        return [wrap_clips(group, rows, frames) for group in groups]
    side, channels = (max(group.shape[axis] for group in groups) for axis in (2, 1))
    return [interpolate(group, size=side).expand(-1, channels, -1, -1) for group in groups]


def wrap_clips(clips: Tensor, rows: int, frames: int) -> Tensor:
    """Puts later frames of clips below the first ones, and grey where there are none.

    [N, C, T, H, W] => [N, C, frames, rows * H, W].
    """
    missing = rows * frames - clips.shape[2]
    padded = pad(clips, (0, 0, 0, 0, 0, missing), value=LINE_GREY)
    return padded.unflatten(2, (rows, frames)).transpose(2, 3).flatten(3, 4)


def encode_png(pixels: Tensor, names: Mapping[str, Sequence[str]] | None = None) -> bytes:
    """Encodes uint8 [3, H, W] as a PNG, enlarged by a factor, with names of its parts."""
    return encode_named_png(enlarge_picture(to_pil_image(pixels)), names or {})


def enlarge_picture(image: Image.Image) -> Image.Image:
    """Enlarges a small picture by a whole factor."""
    times = max(1, MIN_PICTURE_PIXELS // image.width)
    return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)


def to_pil_image(pixels: Tensor) -> Image.Image:
    """Converts uint8 [3, H, W]."""
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())


def arrange_grid(images: Tensor, columns: int = GRID_COLUMNS) -> Tensor:
    """Arranges uint8 [N, C, H, W] in a grid with grey lines: uint8 [3, H', W'].

    The result equals that of torchvision's `make_grid`, but importing torchvision takes a second. A single
    image has no lines.
    """
    images = images.cpu().expand(-1, 3, -1, -1)
    if len(images) == 1:
        return images[0]
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    tiles = pad(images, (1, 0, 1, 0), value=LINE_GREY)  # a line above and to the left
    missing = tiles.new_full((rows * columns - len(tiles), *tiles.shape[1:]), LINE_GREY)
    grid = torch.cat([tiles, missing]).unflatten(0, (rows, columns)).permute(2, 0, 3, 1, 4)
    return pad(grid.flatten(3, 4).flatten(1, 2), (0, 1, 0, 1), value=LINE_GREY)


def draw_density(points: Tensor, reals: Tensor) -> Tensor:
    """Draws the logarithmic density of points [N, 2] in orange and of reals [M, 2] in blue.

    Returns uint8 [3, 200, 200].
    """
    reach = DENSITY_REACH * float(reals.abs().max())
    fake, real = (log_histogram(side[:, :2], reach) for side in (points, reals))
    return torch.stack([fake, 0.6 * fake + 0.3 * real, real]).clamp(0, 255).to(torch.uint8)


def log_histogram(points: Tensor, reach: float) -> Tensor:
    """Returns the logarithmic histogram [200, 200] in 0..255 of points [N, 2]."""
    inside = points.double().cpu().flip(1)
    edges = torch.linspace(-reach, reach, 201, dtype=torch.float64)
    counts, _ = torch.histogramdd(inside, [edges, edges])
    return counts.flip(0).log1p() / counts.log1p().max().clamp(min=1) * 255
