"""SNGAN's residual networks (Miyato et al., 2018): batch norm up, no norm down; spectral norm is a trick.

As published for 32x32 every block of the generator has `width` channels, and of the discriminator half as
many, of whose four blocks two halve. Larger images have pyramids as published for 128x128: a quarter of
the width at the largest maps, and twice as many channels with every halving. With classes each norm has
its scales and shifts for each, and scores are projections (Miyato and Koyama, 2018).
"""

from dataclasses import dataclass

from .residual import ResNetFamily, falling_widths, rising_widths

MAX_SMALL_DOUBLINGS = 3  # doublings, from 4x4 to 32x32


@dataclass(frozen=True)
class SNGAN(ResNetFamily):
    """`width` is that of the generator's blocks for small images; the published one is 256."""

    width: int = 256

    def generator_widths(self, doublings: int) -> list[int]:
        if doublings > MAX_SMALL_DOUBLINGS:
            return rising_widths(max(1, self.width // 4), doublings)
        return [self.width] * (doublings + 1)

    def discriminator_widths(self, halvings: int) -> list[tuple[int, bool]]:
        if halvings > MAX_SMALL_DOUBLINGS:
            return falling_widths(max(1, self.width // 4), halvings)
        return [(max(1, self.width // 2), block < 2) for block in range(4)]
