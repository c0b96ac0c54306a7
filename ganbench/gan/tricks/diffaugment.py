"""DiffAugment (Zhao et al., 2020): differentiable augmentation of reals and fakes alike.

The changes are colour, then translation by up to an eighth of the side, then cutout of a square of
half the side. Each image has its own draws, and a clip has one for all of its frames. The
generator's gradient passes through the changes.
"""

from functools import partial, reduce

import torch
from torch import Tensor

from ganbench.gan.batch_slices import draw_rows
from ganbench.gan.build_config import BuildConfig

from .augmentation_base import refuse_colours_of_pairs, refuse_without_pixels, shift_images
from .base import Trick


class DiffAugment(Trick):
    works_on_slices = True
    phase = "augment"

    def __init__(self, colour: bool = True, translation: bool = True, cutout: bool = True):
        super().__init__()
        if not (colour or translation or cutout):
            raise ValueError("diffaugment needs at least one of colour, translation and cutout")
        chosen = ((colour, jitter_colours), (translation, translate_images), (cutout, cut_out))
        self.colour = colour
        self.changes = [change for wanted, change in chosen if wanted]

    def incompatibility(self, config: BuildConfig) -> str | None:
        if refusal := refuse_without_pixels("diffaugment", config):
            return refusal
        if not self.colour:
            return None
        return refuse_colours_of_pairs("diffaugment", "set colour to false", config)

    def transform_discriminator_input(self, x: Tensor, role: str) -> Tensor:
        if self.context is None:
            return x
        random = self.context.of(role).random
        return reduce(lambda x, change: change(x, random), self.changes, x)


def jitter_colours(x: Tensor, random: torch.Generator) -> Tensor:
    """Changes brightness, saturation and contrast, with one draw of each per image."""
    size = (3, len(x), *[1] * (x.ndim - 1))
    draws = draw_rows(torch.rand, size, dim=1, generator=random, device=x.device)
    brightness, saturation, contrast = draws
    x = x + (brightness - 0.5)
    grey = x.mean(1, keepdim=True)
    x = (x - grey) * (2 * saturation) + grey
    mean = x.mean(tuple(range(1, x.ndim)), keepdim=True)
    return (x - mean) * (contrast + 0.5) + mean


def translate_images(x: Tensor, random: torch.Generator) -> Tensor:
    return shift_images(x, 1 / 8, "constant", random)


def cut_out(x: Tensor, random: torch.Generator) -> Tensor:
    """Sets a square of half the side to zero.

    Its centre may be anywhere in the image, so the square may cross the border.
    """
    rows, columns = (cut_places(len(x), side, random) for side in x.shape[-2:])
    hole = (rows[:, :, None] & columns[:, None]).view(-1, *[1] * (x.ndim - 3), *x.shape[-2:])
    return x.masked_fill(hole, 0.0)


def cut_places(count: int, side: int, random: torch.Generator) -> Tensor:
    """Returns a mask of the places of a side that each image's square covers: [N, side]."""
    size = int(side / 2 + 0.5)
    # an even square is centred between two places, so it has one more position
    draw_begin = partial(torch.randint, side + 1 - size % 2)
    begin = draw_rows(draw_begin, (count, 1), generator=random, device=random.device) - size // 2
    place = torch.arange(side, device=random.device)
    return (begin <= place) & (place < begin + size)
