"""PacGAN's networks for points in the plane (Lin et al., 2018), with maxout units.

The generator uses batch norm and ReLU, the discriminator maxout. The published width is 400. The
discriminator has half as many maxout units of 5 pieces. Initial weights are PyTorch's defaults; the
authors use N(0, 0.02).
"""

from dataclasses import dataclass
from itertools import pairwise
from math import prod

from torch import Tensor, nn

from ganbench.data.modality import modality_of_shape

from .base import Network, make_vector_norm
from .discriminator import Discriminator, Head, Shape

MAXOUT_PIECES = 5


class MaxoutUnits(nn.Module):
    """Maxout (Goodfellow et al., 2013): the largest piece of each unit, [N, in] => [N, units]."""

    def __init__(self, fan_in: int, units: int):
        super().__init__()
        self.linear, self.units = nn.Linear(fan_in, units * MAXOUT_PIECES), units

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).unflatten(1, (self.units, MAXOUT_PIECES)).amax(2)


@dataclass(frozen=True)
class Maxout(Network):
    """The family's settings.

    `width` is that of the generator's four hidden layers. Generators of images end in tanh; points
    are unbounded.
    """

    works_on_slices = True
    width: int = 400

    def __post_init__(self) -> None:
        if self.width < 2:
            raise ValueError(f"width must be at least 2, not {self.width}")
        make_vector_norm(self.norm, 8)

    def build_generator(self, latent: int, shape: Shape) -> nn.Module:
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise((latent, *4 * [self.width])):
            layers += [nn.Linear(fan_in, fan_out), nn.BatchNorm1d(fan_out), nn.ReLU()]
        layers += [nn.Linear(self.width, prod(shape)), nn.Unflatten(1, shape)]
        return nn.Sequential(*layers, *([nn.Tanh()] if modality_of_shape(shape).has_pixels else []))

    def build_discriminator(self, shape: Shape) -> Discriminator:
        units = self.width // 2
        layers: list[nn.Module] = [nn.Flatten()]
        for fan_in, fan_out in pairwise((prod(shape), *3 * [units])):
            layers += [MaxoutUnits(fan_in, fan_out), make_vector_norm(self.norm, fan_out)]
        return Discriminator(nn.Sequential(*layers), (units,), Head(units))
