"""Pictures of samples: a grid of images, or the density of points in the plane."""

import io
from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.utils import make_grid

from ganbench.data.modality import IMAGES, POINTS, UnknownModality, modality_of

GRID_COLUMNS, MIN_PICTURE_PIXELS = 10, 400  # images a row; pixels that a picture is at least wide
MAX_EXAMPLES_PER_KIND = 50  # examples of which several pictures are shown
DENSITY_REACH = 1.5  # how far beyond the reals' extent points are shown


def draw_picture(samples: Tensor, reals: Tensor) -> bytes:
    """A PNG of stored images [N, C, H, W], the first hundred, or of points [N, 2] beside the reals.

    Raises UnknownModality for samples of another kind.
    """
    modality = modality_of(samples)
    if modality is IMAGES:
        return encode_png(arrange_grid(samples[: GRID_COLUMNS**2]))
    if modality is POINTS:
        return encode_png(draw_density(samples, reals))
    raise UnknownModality(f"pictures are drawn of images and of points, not of {modality.name}")


def arrange_by_class(images: Tensor, labels: Tensor) -> Tensor:
    """Ten images of each of the first ten classes, one class after the other, black where there are fewer."""
    chosen = [images[labels == label][:GRID_COLUMNS] for label in labels.unique()[:GRID_COLUMNS]]
    missing = [row.new_zeros(GRID_COLUMNS - len(row), *row.shape[1:]) for row in chosen]
    return torch.cat([part for pair in zip(chosen, missing, strict=True) for part in pair])


def draw_side_by_side(groups: Sequence[Tensor]) -> bytes:
    """A PNG of stored images of several kinds, each [N, C, H, W]: the first fifty, kinds next to each other."""
    side, channels = (max(group.shape[axis] for group in groups) for axis in (2, 1))
    alike = [
        interpolate(group[:MAX_EXAMPLES_PER_KIND], size=side).expand(-1, channels, -1, -1)
        for group in groups
    ]
    rows = torch.stack(alike, 1).flatten(0, 1)  # [N * kinds, C, H, W]
    return encode_png(arrange_grid(rows, len(groups) * (GRID_COLUMNS // len(groups))))


def encode_png(pixels: Tensor) -> bytes:  # uint8 [3, H, W]
    """A PNG, of whole multiples of the pixels."""
    times = max(1, MIN_PICTURE_PIXELS // pixels.shape[2])
    image = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    image = image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    return content.getvalue()


def arrange_grid(
    images: Tensor, columns: int = GRID_COLUMNS
) -> Tensor:  # uint8 [N, C, H, W] => uint8 [3, H', W']
    return make_grid(images.cpu(), nrow=columns, padding=1, pad_value=64)


def draw_density(points: Tensor, reals: Tensor) -> Tensor:  # [N, 2], [M, 2] => uint8 [3, 200, 200]
    """Counts on a logarithmic scale: fakes in orange over the reals' places in blue."""
    reach = DENSITY_REACH * float(reals.abs().max())
    fake, real = (log_histogram(side[:, :2], reach) for side in (points, reals))
    return torch.stack([fake, 0.6 * fake + 0.3 * real, real]).clamp(0, 255).to(torch.uint8)


def log_histogram(points: Tensor, reach: float) -> Tensor:  # [N, 2] => [200, 200] in 0..255
    inside = points.double().cpu().flip(1)
    edges = torch.linspace(-reach, reach, 201, dtype=torch.float64)
    counts, _ = torch.histogramdd(inside, [edges, edges])
    return counts.flip(0).log1p() / counts.log1p().max().clamp(min=1) * 255
