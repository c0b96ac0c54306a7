"""Pictures of the page: each stored once, in few bytes without visible loss."""

import base64
import hashlib
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MAX_PICTURE_BYTES = 60_000  # larger pictures are compressed with loss
MAX_ALBUM_BYTES = 1_000_000  # of all pictures of a page; further pictures stay in files beside it


class PictureAlbum:
    """Pictures as data URIs by content hash, up to a total size."""

    def __init__(self) -> None:
        self.pictures: dict[str, str] = {}  # data URIs by name
        self.bytes = 0

    def add(self, path: Path) -> str | None:
        """Adds a picture and returns its name; None if there is no such file or no room."""
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        name = hashlib.sha256(content).hexdigest()[:12]
        if name not in self.pictures:
            kind, content = shrink_picture(content)
            if self.bytes + len(content) > MAX_ALBUM_BYTES:
                return None
            self.bytes += len(content)
            self.pictures[name] = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
        return name


def shrink_picture(content: bytes) -> tuple[str, bytes]:
    """Encodes a picture in few bytes: without repeated pixels, and in grey if it is grey.

    Browsers enlarge it again. Returns the format and the bytes.
    """
    image = Image.open(io.BytesIO(content)).convert("RGB")
    pixels = own_pixels(np.asarray(image))
    grey = bool((pixels == pixels[..., :1]).all())
    small = Image.fromarray(pixels[..., 0] if grey else pixels)
    png = encode_picture(small, "PNG", optimize=True)
    return (
        ("png", png)
        if len(png) <= MAX_PICTURE_BYTES
        else ("webp", encode_picture(small, "WEBP", quality=80))
    )


def own_pixels(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Removes the repetition of pixels that enlarged a small picture."""
    for times in range(min(16, *pixels.shape[:2]), 1, -1):
        if pixels.shape[0] % times == 0 and pixels.shape[1] % times == 0:
            few = pixels[::times, ::times]
            if (few.repeat(times, axis=0).repeat(times, axis=1) == pixels).all():
                return few
    return pixels


def encode_picture(image: Image.Image, kind: str, **how: int | bool) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **how)
    return content.getvalue()
