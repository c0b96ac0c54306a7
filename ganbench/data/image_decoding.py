"""Decodes image files by formats that cannot run code: one decoder for training data and for evaluation.

Pillow's other formats are not opened, whatever a file is called: PostScript, for one, is a program.
"""

import io
from dataclasses import dataclass
from enum import IntFlag
from functools import cache

from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from ganbench.errors import GanbenchError

DECODED_FORMATS = (
    *("PNG", "JPEG", "MPO", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF", "QOI"),
)
IMAGE_SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".avif", ".jp2", ".j2k"),
    *(".bmp", ".dib", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".qoi"),
)
UNSUPPORTED_SUFFIXES = (  # images too, but of formats that are not decoded
    *(".heic", ".heif", ".jxl", ".psd", ".svg", ".eps", ".tga", ".ico", ".dds"),
    *(".dng", ".cr2", ".nef", ".arw", ".exr", ".hdr"),
)
DEEP_MODES = ("I", "F")  # modes of more than 8 bits begin so: Pillow would clip, not scale them
EXIF_ORIENTATION = 0x0112
MAX_IMAGE_PIXELS = 89_478_485  # where Pillow begins to warn of an attack
TOO_MANY_PIXELS = f"more than {MAX_IMAGE_PIXELS:,} pixels: it looks like an attack"


class Unreadable(GanbenchError, ValueError):
    """Why a source of images, or one image of it, cannot be read, in a sentence."""


class Odd(IntFlag):
    """The changes that were made to an image besides decoding it."""

    NOTHING = 0
    ALPHA = 1
    TURNED = 2
    ANIMATED = 4
    CMYK = 8


@dataclass(frozen=True, eq=False)
class OpenedImage:
    """A decoded image file: upright, the first frame of several."""

    image: Image.Image
    extent: tuple[int, int]  # width and height as stored
    odd: Odd


def decode_image(name: str, content: bytes) -> OpenedImage:
    """Decodes a file's bytes; raises Unreadable, with the name, for what is no image of 8 bits."""
    if not content:
        raise Unreadable(f"{name} is empty: it has no bytes")
    try:
        return _decode(content)
    except Unreadable as reason:
        raise Unreadable(f"{name} {reason}") from reason
    except Image.DecompressionBombError as error:
        raise Unreadable(f"{name} has {TOO_MANY_PIXELS}") from error
    except UnidentifiedImageError as error:
        raise Unreadable(f"{name} is no image, whatever its name says") from error
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
    """Raises Unreadable for an image that would be decoded to something else than it is."""
    width, height = file.size
    if width * height > MAX_IMAGE_PIXELS:
        raise Unreadable(f"has {TOO_MANY_PIXELS}")
    if file.mode.startswith(DEEP_MODES) or any(";16" in str(part[3]) for part in file.tile):
        raise Unreadable("has more than 8 bits a channel: convert it to 8")


def find_oddities(image: Image.Image) -> Odd:
    odd = Odd.NOTHING
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        odd |= Odd.ALPHA
    if image.getexif().get(EXIF_ORIENTATION, 1) not in (0, 1):
        odd |= Odd.TURNED
    if getattr(image, "is_animated", False):
        odd |= Odd.ANIMATED
    return odd | (Odd.CMYK if image.mode == "CMYK" else Odd.NOTHING)
