"""MS-SSIM of two fakes (Wang et al., 2003; Odena et al., 2017): how alike they look, on average.

Lower is more diverse, but noise is more diverse than reals, whose own value is therefore the floor.
No fake is in two pairs, so pairs are independent. There are five scales, or as many as leave an image
the eleven pixels of a window, and their weights add up to one; an image that is smaller than that has
one scale, and a smaller window. Windows, borders, and zero for what is below it are as torchmetrics
has them.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from .base import Measurement, Metric, mean
from .feature_set import FeatureSet, Tensors

SEED = 2017
WINDOW = 11  # pixels
SIGMA = 1.5  # of the window's Gaussian
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, the finest first
LUMINANCE, CONTRAST = (0.01 * 255) ** 2, (0.03 * 255) ** 2  # what keeps quotients from 0 / 0
PIXELS = 2**20  # at most of one side of the pairs that are compared at a time


@dataclass(frozen=True)
class MsSsim(Metric):
    direction = "lower"
    transform = "none"
    needs = ("features", "images")

    pairs: int = 1000

    def __post_init__(self) -> None:
        if self.pairs < 1:
            raise ValueError(f"there must be at least 1 pair, not {self.pairs}")

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        found = self.of_pairs(fake)
        return mean(found) if len(found) > 1 else Measurement(float(found))

    def of_pairs(self, sample: FeatureSet) -> Tensor:
        """Of disjoint pairs, float64 [P]."""
        assert sample.images is not None
        count = min(self.pairs, len(sample) // 2)
        chosen = torch.from_numpy(np.random.RandomState(SEED).permutation(len(sample)))
        first, second = chosen[: 2 * count].view(-1, 2).T
        held = max(1, PIXELS // sample.images[0].numel())
        parts = [
            ms_ssim(*(sample.images[side].to(sample.features.device) for side in sides))
            for sides in zip(first.split(held), second.split(held), strict=True)
        ]
        return torch.cat(parts)

    def expected_floor(self, real: FeatureSet, count: int) -> float:
        """That of the reals."""

        def make() -> Tensors:
            return {"pairs": self.of_pairs(real)}

        return float(real.derived(f"ms_ssim(pairs={self.pairs})", make)["pairs"].mean())


def ms_ssim(x: Tensor, y: Tensor) -> Tensor:
    """Of images in 0 to 255 [P, C, H, W], pair by pair: float64 [P]."""
    x, y = x.double(), y.double()
    weights = weights_for(min(x.shape[2:]))
    found = x.new_ones(len(x))
    for weight in weights[:-1]:
        found = found * similarity(x, y, luminance=False).clamp(min=0) ** weight
        x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
    return found * similarity(x, y, luminance=True).clamp(min=0) ** weights[-1]


def weights_for(size: int) -> list[float]:
    """Those of the scales that an image of so many pixels has."""
    scales = sum(size >> scale >= WINDOW for scale in range(len(WEIGHTS))) or 1
    return [weight / sum(WEIGHTS[:scales]) for weight in WEIGHTS[:scales]]


def similarity(x: Tensor, y: Tensor, luminance: bool) -> Tensor:
    """The mean of contrast and structure over windows that lie inside; or with luminance, over all [P].

    Pixels are mirrored at the border for those that do not lie inside.
    """
    window = gaussian(min(WINDOW, (min(x.shape[2:]) - 1) // 2 * 2 + 1)).to(x)
    if luminance:
        x, y = (F.pad(side, [len(window) // 2] * 4, mode="reflect") for side in (x, y))
    a, b, aa, bb, ab = blurred(torch.cat([x, y, x * x, y * y, x * y]), window).chunk(5)
    found = (2 * (ab - a * b) + CONTRAST) / (aa - a * a + bb - b * b + CONTRAST)
    if luminance:
        found = found * (2 * a * b + LUMINANCE) / (a * a + b * b + LUMINANCE)
    return found.flatten(1).mean(1)


def gaussian(size: int) -> Tensor:
    """A window of so many pixels, as narrow as it is small, that adds up to one: float64 [size]."""
    places = torch.arange(size, dtype=torch.float64) - size // 2
    window = (-0.5 * (places * WINDOW / (SIGMA * size)).square()).exp()
    return window / window.sum()


def blurred(maps: Tensor, window: Tensor) -> Tensor:
    """Means under the window wherever it lies inside: products with bands are faster than convolutions."""
    rows, columns = (band(window, size) for size in maps.shape[2:])
    return rows @ maps @ columns.T


def band(window: Tensor, size: int) -> Tensor:
    """The window at each of its places among so many pixels: [places, size]."""
    last = size - len(window)
    return torch.stack([F.pad(window, (place, last - place)) for place in range(last + 1)])
