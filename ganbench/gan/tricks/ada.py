"""ADA (Karras et al., 2020): augments images with a probability that follows overfitting.

Each augmentation changes an image with probability p. The discriminator's mean sign on reals is
averaged over `every` steps. p rises if this mean exceeds `target` and falls otherwise, and crosses
[0, 1] in `kimg` thousand reals. `groups` are those that the paper found helpful: b (blitting), g
(geometry) and c (colour). The paper's filters and corruptions, which did not help, are left out.
Resampling is bilinear, without the paper's wavelets.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import pi
from typing import Literal

import torch
from torch import Tensor

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.batch_slices import count_whole_rows, draw_rows, mean_over_slices
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.losses.base import Loss
from ganbench.gan.tasks.base import Task

from .augmentation_base import refuse_colours_of_pairs, refuse_non_images
from .base import Trick

Groups = Literal["b", "g", "c", "bg", "bc", "gc", "bgc"]
Move = tuple[Tensor, Tensor]  # matrix [N, 2, 2], offset [N, 2, 1]: place => matrix (place + offset)


class ADA(Trick):
    works_on_slices = True
    phase = "augment"
    p: Tensor
    signs: Tensor  # mean sign, of the discriminator steps since p was last adjusted
    turns: Tensor

    def __init__(
        self, target: float = 0.6, kimg: float = 500.0, every: int = 4, groups: Groups = "bgc"
    ):
        super().__init__()
        if not -1 < target < 1 or kimg <= 0 or every < 1:
            raise ValueError("target must lie in (-1, 1), kimg be above 0 and every at least 1")
        self.target, self.kimg, self.every, self.groups = target, kimg, every, groups
        for name in ("p", "signs", "turns"):
            self.register_buffer(name, torch.zeros(()))

    def incompatibility(self, config: BuildConfig) -> str | None:
        if config.network.energy:
            return "ada reads the signs of scores, and reconstruction errors have only one sign"
        if not separates_at_zero(config.loss):
            return "ada needs a loss that separates reals from fakes at a score of 0, and this loss does not"
        if refusal := refuse_non_images("ada", config):
            return refusal
        if "c" not in self.groups:
            return None
        return refuse_colours_of_pairs("ada", "set groups to 'bg'", config)

    def transform_discriminator_input(self, x: Tensor, role: str) -> Tensor:
        if self.context is None:
            return x
        dice = AugmentationDraws(len(x), self.p, self.context.of(role).random)
        if moves := [move(dice, x.shape) for name, move in MOVES.items() if name in self.groups]:
            x = apply_moves(x, moves)
        return transform_colours(x, dice) if "c" in self.groups else x

    @torch.no_grad()
    def after_discriminator_step(self, task: Task, pairs: Sequence[AdversarialBatch]) -> None:
        score = torch.cat([pair.real_score.flatten() for pair in pairs])
        self.signs += mean_over_slices(score.sign().mean()) / self.every
        self.turns += 1
        due = self.turns == self.every  # a tensor, so that the step does not wait for the device
        step = self.every * count_whole_rows(len(pairs[0].real)) / (1000 * self.kimg)
        self.p += due * step * (self.signs - self.target).sign()
        self.p.clamp_(0, 1)
        self.signs *= ~due
        self.turns *= ~due


def separates_at_zero(loss: Loss) -> bool:
    """Returns whether a loss separates reals from fakes at a score of 0.

    Such a loss stays the same if scores are mirrored at 0 and the sides exchanged, and changes if
    scores are shifted.
    """
    real, fake = torch.tensor([2.0, -0.5]), torch.tensor([0.25, -1.0])
    values, mirrored, along = (
        loss.discriminator_loss(*scores)
        for scores in ((real, fake), (-fake, -real), (real + 1, fake + 1))
    )
    return bool(values.isclose(mirrored) and not values.isclose(along))


@dataclass(frozen=True)
class AugmentationDraws:
    """Draws for N images: a number with probability p, and else 0, which changes nothing."""

    count: int
    p: Tensor
    random: torch.Generator

    def draw_uniform(self, *size: int) -> Tensor:  # in [-1, 1), [*size, N]
        return self.with_probability(2 * self.rand(*size) - 1)

    def draw_normal(self, *size: int) -> Tensor:  # [*size, N]
        return self.with_probability(self.draw(torch.randn, *size))

    def draw_coin(self) -> Tensor:  # 1 with probability p / 2, else 0, [N]
        return (self.draw_uniform() < 0).float()

    def with_probability(self, drawn: Tensor) -> Tensor:
        return torch.where(self.rand() < self.p, drawn, 0.0)

    def rand(self, *size: int) -> Tensor:
        return self.draw(torch.rand, *size)

    def draw(self, function: Callable[..., Tensor], *size: int) -> Tensor:
        shape, options = (*size, self.count), {"generator": self.random}
        return draw_rows(function, shape, dim=-1, device=self.random.device, **options)


def blit_transforms(dice: AugmentationDraws, shape: Sequence[int]) -> Move:
    """Draws mirroring, quarter turns, and shifts by whole pixels up to an eighth of the side."""
    mirror = 1 - 2 * dice.draw_coin()
    turn = rotation_matrix(pi / 2 * (2 * dice.draw_uniform()).floor())
    matrix = stretch_matrix(mirror, torch.ones_like(mirror)) @ turn
    return matrix, pixel_steps(dice.draw_uniform(2), shape).round()


def geometric_transforms(dice: AugmentationDraws, shape: Sequence[int]) -> Move:
    """Draws scales, stretches in any direction, rotations, and shifts by parts of pixels."""
    # At least one of the two rotations has probability p.
    tilted = replace(dice, p=1 - (1 - dice.p).sqrt())
    scale, thin = (0.2 * dice.draw_normal()).exp2(), (0.2 * dice.draw_normal()).exp2()
    first, second = (rotation_matrix(pi * tilted.draw_uniform()) for _ in range(2))
    matrix = scale[:, None, None] * first @ stretch_matrix(thin, 1 / thin) @ second
    return matrix, pixel_steps(dice.draw_normal(2), shape)


# Moves map a place of the result to a place of the image, so the last move comes first. The distribution
# of each move is also that of its inverse.
MOVES: dict[str, Callable[[AugmentationDraws, Sequence[int]], Move]] = {
    "g": geometric_transforms,
    "b": blit_transforms,
}


def pixel_steps(eighths: Tensor, shape: Sequence[int]) -> Tensor:
    """Converts eighths of the sides to steps right and down: [2, N] => [N, 2, 1], in pixels."""
    right, down = eighths
    return torch.stack([right * shape[3] / 8, down * shape[2] / 8], 1)[:, :, None]


def rotation_matrix(angle: Tensor) -> Tensor:  # [N] => [N, 2, 2]
    cosine, sine = angle.cos(), angle.sin()
    return torch.stack([cosine, -sine, sine, cosine], 1).unflatten(1, (2, 2))


def stretch_matrix(right: Tensor, down: Tensor) -> Tensor:  # [N], [N] => [N, 2, 2]
    return torch.diag_embed(torch.stack([right, down], 1))


def apply_moves(x: Tensor, moves: Sequence[Move]) -> Tensor:
    """Resamples images at the places that moves map to, around the middle of each image."""
    height, width = x.shape[2:]
    sides = [torch.arange(side, device=x.device, dtype=x.dtype) for side in (height, width)]
    rows, columns = torch.meshgrid(*sides, indexing="ij")
    place = torch.stack([columns - (width - 1) / 2, rows - (height - 1) / 2]).flatten(1)
    for matrix, offset in moves:
        place = matrix @ (place + offset)  # [N, 2, H * W]
    return resample_bilinear(x, place[:, 1] + (height - 1) / 2, place[:, 0] + (width - 1) / 2)


def resample_bilinear(x: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Interpolates images at given places: [N, C, H, W], [N, H * W] twice => [N, C, H, W].

    It replaces grid_sample, which cannot be differentiated twice, as gradient penalties do.
    """
    rows, height = neighbouring_pixels(row, x.shape[2])
    columns, width = neighbouring_pixels(column, x.shape[3])
    place = (rows[:, :, None] * x.shape[3] + columns[:, None]).flatten(1)  # [N, 4 * H * W]
    weight = (height[:, :, None] * width[:, None]).flatten(1, 2)  # [N, 4, H * W]
    values = x.flatten(2).gather(2, place[:, None].expand(-1, x.shape[1], -1))
    return (values.unflatten(2, (4, -1)) * weight[:, None]).sum(2).view_as(x)


def neighbouring_pixels(place: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Returns the two pixels around each place, and their weights: 2x [N, 2, P].

    Places are mirrored at the borders.
    """
    last = side - 1
    place = last - (place.remainder(2 * last) - last).abs()
    near = place.floor()[:, None] + torch.arange(2, device=place.device)[:, None]
    return near.clamp(max=last).long(), 1 - (place[:, None] - near).abs()


def transform_colours(x: Tensor, dice: AugmentationDraws) -> Tensor:
    """Changes brightness, contrast, inversion of luma, and for colours saturation and hue."""
    channels = x.shape[1]
    one = torch.eye(channels, device=x.device)
    luma = torch.full_like(one, 1 / channels)  # projects on the axis of greys
    brightness, contrast = 0.2 * dice.draw_normal(), (0.5 * dice.draw_normal()).exp2()
    flip, saturation = 2 * dice.draw_coin(), dice.draw_normal().exp2()
    change = contrast[:, None, None] * (one - flip[:, None, None] * luma)
    change = change @ (one + (saturation - 1)[:, None, None] * (one - luma))
    if channels == 3:
        change = change @ hue_rotation(pi * dice.draw_uniform())
    return torch.einsum("nij,njhw->nihw", change, x + brightness[:, None, None, None])


def hue_rotation(angle: Tensor) -> Tensor:
    """Returns rotations around the axis of greys (Rodrigues' formula): [N] => [N, 3, 3]."""
    one = torch.eye(3, device=angle.device)
    across = (one.roll(1, 0) - one.roll(-1, 0)) / 3**0.5
    cosine, sine = angle.cos()[:, None, None], angle.sin()[:, None, None]
    return cosine * one + sine * across + (1 - cosine) / 3
