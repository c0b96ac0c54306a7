"""Decodes image files, for training data and for evaluation alike.

Only formats that cannot run code are opened, independent of the file name. PostScript, for example, is a
program and is not opened.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntFlag
from functools import cache
from typing import IO

from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from ganbench.errors import GanbenchError

DECODED_FORMATS = (
    *("PNG", "JPEG", "MPO", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF", "QOI"),
)
IMAGE_SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".avif", ".jp2", ".j2k"),
    *(".bmp", ".dib", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".qoi"),
)
UNSUPPORTED_SUFFIXES = (  # images in formats that are not decoded
    *(".heic", ".heif", ".jxl", ".psd", ".svg", ".eps", ".tga", ".ico", ".dds"),
    *(".dng", ".cr2", ".nef", ".arw", ".exr", ".hdr"),
)
DEEP_MODES = ("I", "F")  # prefixes of modes with more than 8 bits, which Pillow would clip
EXIF_ORIENTATION = 0x0112
MAX_IMAGE_PIXELS = 89_478_485  # the limit above which Pillow warns of an attack
TOO_MANY_PIXELS = f"more than {MAX_IMAGE_PIXELS:,} pixels: it looks like an attack"


class Unreadable(GanbenchError, ValueError):
    """A source of images, or one of its images, cannot be read."""


class Odd(IntFlag):
    """Properties of an image file that decoding discards or changes."""

    NOTHING = 0
    ALPHA = 1
    TURNED = 2
    ANIMATED = 4
    CMYK = 8


@dataclass(frozen=True, eq=False)
class OpenedImage:
    """A decoded image file: upright, and the first frame of an animation."""

    image: Image.Image
    extent: tuple[int, int]  # width and height as stored
    odd: Odd


def decode_image(name: str, content: bytes) -> OpenedImage:
    """Decodes a file's bytes; raises Unreadable for anything but an image of 8 bits or fewer."""
    with explained_errors(name):
        refuse_empty(content)
        return _decode(content)


def check_header(name: str, file: IO[bytes]) -> None:
    """Raises Unreadable if the beginning of a file shows that it cannot be decoded."""
    with explained_errors(name):
        refuse_empty(file.read(1))
        file.seek(0)
        with Image.open(file, formats=available_formats()) as image:
            refuse_what_would_change(image)


def refuse_empty(content: bytes) -> None:
    if not content:
        raise Unreadable("is empty: it has no bytes")


@contextmanager
def explained_errors(name: str) -> Iterator[None]:
    """Raises Unreadable, with the file's name, for any error of a decoder."""
    try:
        yield
    except Unreadable as reason:
        raise Unreadable(f"{name} {reason}") from reason
    except Image.DecompressionBombError as error:
        raise Unreadable(f"{name} has {TOO_MANY_PIXELS}") from error
    except UnidentifiedImageError as error:
        raise Unreadable(f"{name} is not an image, despite its name") from error
    except Exception as error:  # damaged files make decoders raise almost anything
        cause = " ".join(str(error).split()) or type(error).__name__
        raise Unreadable(f"{name} is damaged: {cause}") from error


def _decode(content: bytes) -> OpenedImage:
    with Image.open(io.BytesIO(content), formats=available_formats()) as file:
        extent = file.size
        refuse_what_would_change(file)
        odd = find_oddities(file)
        file.load()
        upright = ImageOps.exif_transpose(file) if Odd.TURNED in odd else file
        return OpenedImage(upright, extent, odd)


@cache
def available_formats() -> tuple[str, ...]:
    """Returns the decoded formats that this build of Pillow has."""
    Image.init()
    return tuple(name for name in DECODED_FORMATS if name in Image.OPEN)


def refuse_what_would_change(file: ImageFile.ImageFile) -> None:
    """Raises Unreadable for images that are too large or have more than 8 bits per channel."""
    width, height = file.size
    if width * height > MAX_IMAGE_PIXELS:
        raise Unreadable(f"has {TOO_MANY_PIXELS}")
    if file.mode.startswith(DEEP_MODES) or any(";16" in str(part[3]) for part in file.tile):
        raise Unreadable("has more than 8 bits per channel: convert it to 8 bits")


def find_oddities(image: Image.Image) -> Odd:
    odd = Odd.NOTHING
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        odd |= Odd.ALPHA
    if image.getexif().get(EXIF_ORIENTATION, 1) not in (0, 1):
        odd |= Odd.TURNED
    if getattr(image, "is_animated", False):
        odd |= Odd.ANIMATED
    return odd | (Odd.CMYK if image.mode == "CMYK" else Odd.NOTHING)
