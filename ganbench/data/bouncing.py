"""Bouncing: uniform motion between two walls, in closed form.

A place starts at `s` and moves by `v` in each frame. It stays in [0, w] because it is reflected at
both ends. At time `t` it is at `w − |((s + v t) mod 2w) − w|`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

DIRECTIONS = ("right", "left", "down", "up")


def bounce(start: Tensor, velocity: Tensor, time: Tensor, width: int) -> Tensor:
    """Returns the place at a time of a point that bounces between 0 and `width`.

    The arguments broadcast. Whole numbers stay whole.
    """
    return width - ((start + velocity * time).remainder(2 * width) - width).abs()


@dataclass(frozen=True)
class BouncingLaw:
    """The law of clips in which one thing moves along an axis and bounces.

    It moves in one of the `DIRECTIONS`, by one of the `speeds`, between 0 and `width`.
    """

    frames: int
    width: int  # pixels
    speeds: tuple[int, ...]  # pixels per frame

    def paths(self) -> Tensor:
        """Returns every path along an axis in the positive direction: float64 [paths, frames].

        The first frame is at least a step away from the wall, so that the direction is visible.
        """
        time = torch.arange(self.frames, dtype=torch.float64)
        starts = [
            (start, speed) for speed in self.speeds for start in range(self.width - speed + 1)
        ]
        start, speed = torch.tensor(starts, dtype=torch.float64).T[:, :, None]
        return bounce(start, speed, time, self.width)


def velocity_of(direction: Tensor, speed: Tensor) -> Tensor:
    """Returns the velocity along rows and columns: directions [N], speeds [N] => [N, 2]."""
    sign = 1 - 2 * (direction % 2)
    is_vertical = direction >= 2
    return torch.stack([is_vertical * sign * speed, ~is_vertical * sign * speed], 1)
