"""Base classes of image sources.

A source has its images in a fixed order and reads them block by block. Image sets of any size
therefore fit into memory.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from PIL import Image
from torch import Tensor

from ganbench.data.base import Mixture
from ganbench.data.image_decoding import Odd, Unreadable
from ganbench.data.image_ops import crop_and_resize

GREY_CHANNELS, COLOUR_CHANNELS = 1, 3  # channels
SYMMETRY_TOLERANCE = 1e-4  # relative to the largest entry of a covariance


@dataclass(frozen=True)
class Frame:
    """The format of images for an extractor: 1 or 3 channels, and squares of `size` if given."""

    channels: int = COLOUR_CHANNELS
    size: int | None = None


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """A decoded image: uint8 [C, H, W], its stored width and height, and its oddities."""

    pixels: Tensor
    extent: tuple[int, int]  # width and height
    odd: Odd = Odd.NOTHING


class SourceItem(Protocol):
    """One image of a source, before decoding."""

    @property
    def name(self) -> str: ...

    def digest(self) -> bytes:
        """Returns the SHA-256 of the bytes that determine the decoded image."""

    def decode(self, frame: Frame) -> DecodedImage:
        """Returns the image in the given format; raises Unreadable if it cannot be decoded."""


class Source:
    """The base class of image sources; `len(source)` is the number of images."""

    generated: ClassVar[bool] = False  # True: the images are made, as many as are wanted
    runs_user_code: ClassVar[bool] = False  # True: reading needs the calling thread
    mixture: Mixture | None = None  # the distribution of the points
    labels: Tensor | None = None  # class labels of all images: int64 [N]
    shape: tuple[int, int, int] | None = None  # [C, H, W] of each image, where known before reading

    def __init__(self, name: str, *notes: str):
        self.name, self.notes = name, notes

    def __len__(self) -> int:
        raise NotImplementedError

    def iter_blocks(self, chosen: Sequence[int], size: int) -> Iterator[list[SourceItem]]:
        """Yields the images at ascending indices, at most `size` per block.

        Blocks of large images are smaller.
        """
        raise NotImplementedError


class VectorSource(Source):
    """A source of extracted features or points, float32 [N, D], with optional logits [N, K]."""

    def __init__(self, name: str, features: Tensor, logits: Tensor | None = None):
        super().__init__(name)
        for what, rows in (("features", features), ("logits", logits)):
            if rows is not None:
                self.check_rows(what, rows, len(features))
        self.features = features.float()
        self.logits = None if logits is None else logits.float()

    def check_rows(self, what: str, rows: Tensor, count: int) -> None:
        if rows.ndim != 2 or len(rows) != count or not rows.shape[1]:
            raise Unreadable(f"{self.name}: {what} must be [{count}, D], not {list(rows.shape)}")
        if rows.is_complex() or not rows.is_floating_point():
            raise Unreadable(
                f"{self.name}: {what} [N, D] must be floats, not {dtype_name(rows)}; images are [N, H, W, C]"
            )
        if bad := int((~rows.isfinite()).any(1).sum()):
            raise Unreadable(f"{self.name}: {bad} of {count} {what} are not finite")

    def __len__(self) -> int:
        return len(self.features)


class StatisticsSource(Source):
    """The mean [D] and covariance [D, D] of features, as other FID tools store them: float64.

    The number of examples is unknown, and its length is 0.
    """

    def __init__(self, name: str, mean: Tensor, covariance: Tensor):
        super().__init__(
            name,
            f"only the mean and covariance of {mean.numel():,} features are given: their extractor and resizing "
            "must be those of the other side",
        )
        if mean.ndim != 1 or not len(mean) or covariance.shape != (len(mean), len(mean)):
            shapes = f"{list(mean.shape)} and {list(covariance.shape)}"
            raise Unreadable(f"{name}: mu and sigma must be [D] and [D, D], not {shapes}")
        for part, values in (("mu", mean), ("sigma", covariance)):
            if not values.is_floating_point() or not values.isfinite().all():
                raise Unreadable(f"{name}: {part} must hold finite floats")
        self.mean, self.covariance = mean.double(), covariance.double()
        tolerance = SYMMETRY_TOLERANCE * float(self.covariance.abs().max())
        if float((self.covariance - self.covariance.T).abs().max()) > tolerance:
            raise Unreadable(f"{name}: sigma is not symmetric, so it is no covariance")
        if float(self.covariance.diagonal().min()) < 0:
            raise Unreadable(f"{name}: sigma has negative variances, so it is no covariance")

    def __len__(self) -> int:
        return 0


@dataclass(frozen=True, eq=False)
class PixelItem:
    """An image in memory: uint8 [1 or 3, H, W]."""

    name: str
    pixels: Tensor

    def digest(self) -> bytes:
        return hash_pixels(self.pixels)

    def decode(self, frame: Frame) -> DecodedImage:
        channels, height, width = self.pixels.shape
        if frame.size is None and channels <= frame.channels:
            pixels = self.pixels.expand(frame.channels, -1, -1)
        else:
            pixels = fit_to_frame(to_pil_image(self.pixels), frame)
        return DecodedImage(pixels, (width, height))


def fit_to_frame(picture: Image.Image, frame: Frame) -> Tensor:
    """Returns an image as uint8 [C, H, W]: without alpha, and with grey as ITU-R 601 luma."""
    if frame.size is not None:
        return crop_and_resize(picture, frame.channels, frame.size)
    picture = picture.convert("L" if frame.channels == GREY_CHANNELS else "RGB")
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return pixels.view(picture.height, picture.width, frame.channels).permute(2, 0, 1)


def to_pil_image(pixels: Tensor) -> Image.Image:
    rows = pixels.permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(rows[:, :, 0] if rows.shape[2] == GREY_CHANNELS else rows)


def hash_pixels(pixels: Tensor) -> bytes:
    shape = ",".join(map(str, pixels.shape)).encode()
    return hashlib.sha256(shape + b":" + pixels.contiguous().numpy().tobytes()).digest()


def dtype_name(rows: Tensor) -> str:
    return str(rows.dtype).removeprefix("torch.")
