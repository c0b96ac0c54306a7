"""Pictures of the page: each stored once, in few bytes without visible loss."""

import base64
import hashlib
import io
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from ganbench.picture_parts import encode_animation, read_part_names

MAX_PICTURE_BYTES = 60_000  # larger pictures are compressed with loss
MAX_PAGE_FRAMES = 128  # of an animation that is not shown as a still picture
MAX_ALBUM_BYTES = 1_000_000  # of all pictures of a page; further pictures stay in files beside it
MAX_THUMBNAIL_PIXELS = 170  # width of a thumbnail that is cut from a grid
MAX_THUMBNAIL_TILES = 5  # images in a row of a thumbnail, and most rows


class PictureAlbum:
    """Pictures as data URIs by content hash, up to a total size.

    A picture for which there is no room is named by its path beside the page.
    """

    def __init__(self) -> None:
        self.pictures: dict[str, str] = {}  # data URIs by name
        self.outside: set[str] = set()  # paths relative to the page, as in links
        self.bytes = 0

    def add(self, path: Path, is_thumbnail: bool = False) -> str | None:
        """Adds a picture, or its upper left corner, and returns its name; None without a file."""
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        name = hashlib.sha256(content).hexdigest()[:12] + ("t" if is_thumbnail else "")
        if name in self.pictures:
            return name
        kind, content = shrink_picture(content, thumbnail_size(path) if is_thumbnail else None)
        if self.bytes + len(content) > MAX_ALBUM_BYTES:
            return self.name_outside(path)
        self.bytes += len(content)
        self.pictures[name] = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
        return name

    def name_outside(self, path: Path) -> str:
        """Returns the link from the page to a picture that remains a file."""
        link = quote(f"{path.parent.name}/{path.name}")
        self.outside.add(link)
        return link


def thumbnail_size(path: Path) -> tuple[int, int] | None:
    """Returns width and height of the upper left images of a grid; None for other pictures."""
    tile = read_part_names(path, "tile")
    if len(tile) != 2 or not all(side.isdecimal() and int(side) for side in tile):
        return None
    versions = len(set(read_part_names(path, "columns"))) or 1  # of one example
    width, height = map(int, tile)
    count = max(2, min(MAX_THUMBNAIL_TILES, MAX_THUMBNAIL_PIXELS // width))
    columns = max(versions, count // versions * versions)
    return columns * width + 1, count * height + 1


def shrink_picture(content: bytes, corner: tuple[int, int] | None = None) -> tuple[str, bytes]:
    """Encodes a picture in few bytes: without repeated pixels, and in grey if it is grey.

    Browsers enlarge it again. `corner` is the width and height of the part to keep, in pixels that are not
    repeated. Returns the format and the bytes.
    """
    image = Image.open(io.BytesIO(content))
    if not corner and 1 < getattr(image, "n_frames", 1) <= MAX_PAGE_FRAMES:
        return shrink_animation(image)
    pixels = own_pixels(np.asarray(image.convert("RGB")))
    if corner:
        pixels = pixels[: corner[1], : corner[0]]
    grey = bool((pixels == pixels[..., :1]).all())
    small = Image.fromarray(pixels[..., 0] if grey else pixels)
    png = encode_picture(small, "PNG", optimize=True)
    return (
        ("png", png)
        if len(png) <= MAX_PICTURE_BYTES
        else ("webp", encode_picture(small, "WEBP", quality=80))
    )


def shrink_animation(image: Image.Image) -> tuple[str, bytes]:
    """Encodes an animation in few bytes, as `shrink_picture` does with a still picture."""
    frames = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]
    rows = own_pixels(np.concatenate(frames))
    grey = bool((rows == rows[..., :1]).all())
    small = [
        Image.fromarray(part) for part in np.split(rows[..., 0] if grey else rows, len(frames))
    ]
    png = encode_animation(small, "PNG")
    if len(png) <= MAX_PICTURE_BYTES:
        return "png", png
    return "webp", encode_animation(small, "WEBP", quality=80)


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
