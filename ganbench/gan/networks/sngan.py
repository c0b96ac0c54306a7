"""SNGAN's residual networks (Miyato et al., 2018): batch norm in the generator only.

Spectral norm is a separate trick. For images up to 32x32, as published for 32x32, every generator
block has `width` channels. The discriminator has four blocks with half as many channels, and its
first two blocks halve maps. Larger images use the pyramid that is published for 128x128: a quarter
of `width` at the largest maps, doubled with every halving. With classes, each norm has scales and
shifts per class, and scores are projections (Miyato and Koyama, 2018).
"""

from dataclasses import dataclass

from .residual import ResNetFamily, falling_widths, rising_widths

MAX_SMALL_DOUBLINGS = 3  # from 4x4 to 32x32


@dataclass(frozen=True)
class SNGAN(ResNetFamily):
    """The family's settings.

    `width` is that of the generator's blocks for small images; the published one is 256.
    """

    works_on_slices = True
    width: int = 256

    def generator_widths(self, doublings: int) -> list[int]:
        if doublings > MAX_SMALL_DOUBLINGS:
            return rising_widths(max(1, self.width // 4), doublings)
        return [self.width] * (doublings + 1)

    def discriminator_widths(self, halvings: int) -> list[tuple[int, bool]]:
        if halvings > MAX_SMALL_DOUBLINGS:
            return falling_widths(max(1, self.width // 4), halvings)
        return [(max(1, self.width // 2), block < 2) for block in range(4)]
