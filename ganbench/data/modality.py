"""Modalities: the kinds of examples, such as images and points.

Code that treats images and points differently uses this module. A new modality is one line in
MODALITIES. Metrics, networks, tricks and pictures that support only images or points then reject it by name.

Clips are [channel, frame, height, width] everywhere, as 3-D convolutions take them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ganbench.errors import GanbenchError

if TYPE_CHECKING:
    from torch import Tensor


class UnknownModality(GanbenchError, ValueError):
    """Examples have a shape that no modality describes."""


@dataclass(frozen=True)
class Modality:
    """A kind of example, defined by the axes of one example."""

    name: str  # plural, for messages
    axes: tuple[str, ...]
    has_pixels: bool = False  # stored as uint8, in [-1, 1] for networks

    def describe(self, shape: Sequence[int]) -> str:
        """Describes examples of a shape: `images of 8x8`, `points of 2 numbers`."""
        if self is POINTS:
            return f"points of {shape[0]} numbers"
        extents = [n for axis, n in zip(self.axes, shape, strict=True) if axis != "channel"]
        return f"{self.name} of {'x'.join(map(str, extents))}"


POINTS = Modality("points", ("coordinate",))
IMAGES = Modality("images", ("channel", "height", "width"), has_pixels=True)
CLIPS = Modality("clips", ("channel", "frame", "height", "width"), has_pixels=True)
MODALITIES = (POINTS, IMAGES, CLIPS)


def modality_of_shape(shape: Sequence[int]) -> Modality:
    """Returns the modality of examples of a shape; raises UnknownModality if there is none."""
    for modality in MODALITIES:
        if len(modality.axes) == len(shape):
            return modality
    known = ", ".join(f"{modality.name} [{', '.join(modality.axes)}]" for modality in MODALITIES)
    raise UnknownModality(f"examples of shape {tuple(shape)} are none of {known}")


def modality_of(batch: "Tensor") -> Modality:
    """Returns the modality of a batch [N, ...]; raises UnknownModality if there is none."""
    return modality_of_shape(batch.shape[1:])


def refuse_other_than_images(subject: str, shape: Sequence[int]) -> str | None:
    """Returns a reason if a shape is not that of images, otherwise None."""
    return refuse_other_modality(IMAGES, subject, shape)


def refuse_other_than_clips(subject: str, shape: Sequence[int]) -> str | None:
    """Returns a reason if a shape is not that of clips, otherwise None."""
    return refuse_other_modality(CLIPS, subject, shape)


def refuse_other_modality(wanted: Modality, subject: str, shape: Sequence[int]) -> str | None:
    """Returns a reason if a shape is not that of a modality, otherwise None."""
    modality = modality_of_shape(shape)
    return None if modality is wanted else f"{subject}, and the data are {modality.describe(shape)}"


def frames_of(clips: "Tensor") -> "Tensor":
    """Returns all frames of clips, clip by clip: [N, C, T, H, W] => [N * T, C, H, W]."""
    return clips.transpose(1, 2).flatten(0, 1)
