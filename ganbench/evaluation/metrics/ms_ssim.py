"""MS-SSIM of two fakes (Wang et al., 2003; Odena et al., 2017): their mean similarity.

Lower is more diverse. Noise is more diverse than reals, so the reals' own value is the floor. No
fake is in two pairs, so the pairs are independent; `pairs` limits their number.

There are up to five scales, each with images of at least the eleven pixels of a window. Their
weights sum to one. A smaller image has one scale and a smaller window. Windows, borders and the
clamping of negative values at zero are those of torchmetrics.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from .base import Measurement, Metric, mean_measurement
from .feature_set import FeatureSet, Tensors

PAIRING_SEED = 2017
WINDOW_PIXELS = 11
WINDOW_SIGMA = 1.5  # in pixels
MS_SSIM_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # finest scale first
LUMINANCE, CONTRAST = (0.01 * 255) ** 2, (0.03 * 255) ** 2  # they avoid 0 / 0
MAX_MS_SSIM_PIXELS_AT_ONCE = 2**20  # values of one side in memory at once


@dataclass(frozen=True)
class MSSSIM(Metric):
    direction = "lower"
    transform = "none"
    needs = ("features", "images")

    pairs: int = 1000

    def __post_init__(self) -> None:
        if self.pairs < 1:
            raise ValueError(f"there must be at least 1 pair, not {self.pairs}")

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        similarities = self.similarities_of_pairs(fake)
        return (
            mean_measurement(similarities)
            if len(similarities) > 1
            else Measurement(float(similarities))
        )

    def similarities_of_pairs(self, sample: FeatureSet) -> Tensor:
        """Returns the MS-SSIM of disjoint random pairs, float64 [P]."""
        assert sample.images is not None
        count = min(self.pairs, len(sample) // 2)
        chosen = torch.from_numpy(np.random.RandomState(PAIRING_SEED).permutation(len(sample)))
        first, second = chosen[: 2 * count].view(-1, 2).T
        held = max(1, MAX_MS_SSIM_PIXELS_AT_ONCE // sample.images[0].numel())
        parts = [
            compute_ms_ssim(*(sample.images[side].to(sample.features.device) for side in sides))
            for sides in zip(first.split(held), second.split(held), strict=True)
        ]
        return torch.cat(parts)

    def expected_floor(self, real: FeatureSet, count: int) -> float:
        """Returns the value of the reals, computed once per reference."""

        def make() -> Tensors:
            return {"pairs": self.similarities_of_pairs(real)}

        return float(real.cached(f"ms_ssim(pairs={self.pairs})", make)["pairs"].mean())


def compute_ms_ssim(x: Tensor, y: Tensor) -> Tensor:
    """Returns the MS-SSIM of pairs of images in 0 to 255 [P, C, H, W]: float64 [P]."""
    x, y = x.double(), y.double()
    weights = scale_weights_for(min(x.shape[2:]))
    product = x.new_ones(len(x))
    for weight in weights[:-1]:
        product = product * structural_similarity(x, y, luminance=False).clamp(min=0) ** weight
        x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
    return product * structural_similarity(x, y, luminance=True).clamp(min=0) ** weights[-1]


def scale_weights_for(size: int) -> list[float]:
    """Returns the weights of the scales for an image side of `size` pixels."""
    scales = sum(size >> scale >= WINDOW_PIXELS for scale in range(len(MS_SSIM_SCALE_WEIGHTS))) or 1
    return [
        weight / sum(MS_SSIM_SCALE_WEIGHTS[:scales]) for weight in MS_SSIM_SCALE_WEIGHTS[:scales]
    ]


def structural_similarity(x: Tensor, y: Tensor, luminance: bool) -> Tensor:
    """Returns the mean over windows of contrast times structure, per pair [P].

    Without luminance, only windows inside the image count. With luminance, the luminance term is
    included and all windows count; pixels are mirrored at the border.
    """
    window = gaussian_window(min(WINDOW_PIXELS, (min(x.shape[2:]) - 1) // 2 * 2 + 1)).to(x)
    if luminance:
        x, y = (F.pad(side, [len(window) // 2] * 4, mode="reflect") for side in (x, y))
    a, b, aa, bb, ab = blur_maps(torch.cat([x, y, x * x, y * y, x * y]), window).chunk(5)
    maps = (2 * (ab - a * b) + CONTRAST) / (aa - a * a + bb - b * b + CONTRAST)
    if luminance:
        maps = maps * (2 * a * b + LUMINANCE) / (a * a + b * b + LUMINANCE)
    return maps.flatten(1).mean(1)


def gaussian_window(size: int) -> Tensor:
    """Returns a Gaussian window that sums to one: float64 [size].

    Its standard deviation is proportional to its size.
    """
    places = torch.arange(size, dtype=torch.float64) - size // 2
    window = (-0.5 * (places * WINDOW_PIXELS / (WINDOW_SIGMA * size)).square()).exp()
    return window / window.sum()


def blur_maps(maps: Tensor, window: Tensor) -> Tensor:
    """Returns the weighted means under each window inside the maps.

    Products with band matrices are faster than convolutions.
    """
    rows, columns = (band_matrix(window, size) for size in maps.shape[2:])
    return rows @ maps @ columns.T


def band_matrix(window: Tensor, size: int) -> Tensor:
    """Returns the window at each of its positions in `size` pixels: [positions, size]."""
    last = size - len(window)
    return torch.stack([F.pad(window, (place, last - place)) for place in range(last + 1)])
