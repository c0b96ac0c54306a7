"""Decoding: the bytes of an image file as pixels, by formats that cannot run code.

Pillow's other formats are not opened, whatever a file is called: PostScript, for one, is a program.
"""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from .base import Frame, Odd, Seen, Unreadable, framed

FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF", "QOI")
SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".avif", ".jp2", ".j2k"),
    *(".bmp", ".dib", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".qoi"),
)
UNREAD = (
    *(".heic", ".heif", ".jxl", ".psd", ".svg", ".eps", ".tga", ".ico", ".dds"),
    *(".dng", ".cr2", ".nef", ".arw", ".exr", ".hdr"),
)  # images too, but of formats that are not read
DEEP = ("I", "F")  # modes of more than 8 bits begin so: Pillow would clip, not scale them
ORIENTATION = 0x0112  # in EXIF
PIXELS = 89_478_485  # at most: where Pillow begins to warn of an attack
SWOLLEN = f"more than {PIXELS:,} pixels: it looks like an attack"
BYTES = 2**28  # of a file, at most


@dataclass(frozen=True)
class Encoded:
    """An image in a file: read when it is wanted, and not kept."""

    name: str
    read: Callable[[], bytes]

    def content(self) -> bytes:
        try:
            return self.read()
        except OSError as error:
            raise Unreadable(f"{self.name} cannot be read: {error.strerror or error}") from error

    def digest(self) -> bytes:
        return hashlib.sha256(self.content()).digest()

    def seen(self, frame: Frame) -> Seen:
        content = self.content()
        if not content:
            raise Unreadable(f"{self.name} is empty: it has no bytes")
        try:
            return decoded(content, frame)
        except Unreadable as reason:
            raise Unreadable(f"{self.name} {reason}") from reason
        except Image.DecompressionBombError as error:
            raise Unreadable(f"{self.name} has {SWOLLEN}") from error
        except UnidentifiedImageError as error:
            raise Unreadable(f"{self.name} is no image, whatever its name says") from error
        except Exception as error:  # damaged files make decoders raise almost anything
            told = " ".join(str(error).split()) or type(error).__name__
            raise Unreadable(f"{self.name} is damaged: {told}") from error


def decoded(content: bytes, frame: Frame) -> Seen:
    """Upright as its EXIF says, the first frame of several; raises what decoders raise."""
    with Image.open(io.BytesIO(content), formats=formats()) as picture:
        extent = picture.size
        refuse(picture)
        odd = oddity(picture)
        picture.load()
        upright = ImageOps.exif_transpose(picture) if Odd.TURNED in odd else picture
        return Seen(framed(upright, frame), extent, odd)


@cache
def formats() -> tuple[str, ...]:
    """Those that this build of Pillow has."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def refuse(picture: ImageFile.ImageFile) -> None:
    """Raises Unreadable for what would be decoded to something else than it is."""
    width, height = picture.size
    if width * height > PIXELS:
        raise Unreadable(f"has {SWOLLEN}")
    if picture.mode.startswith(DEEP) or any(";16" in str(part[3]) for part in picture.tile):
        raise Unreadable("has more than 8 bits a channel: convert it to 8")


def oddity(picture: Image.Image) -> Odd:
    odd = Odd.NOTHING
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        odd |= Odd.ALPHA
    if picture.getexif().get(ORIENTATION, 1) not in (0, 1):
        odd |= Odd.TURNED
    if getattr(picture, "is_animated", False):
        odd |= Odd.ANIMATED
    return odd | (Odd.CMYK if picture.mode == "CMYK" else Odd.NOTHING)
