"""Encoded images of a source, read and decoded on demand."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from ganbench.data.image_decoding import Unreadable, decode_image

from .base import DecodedImage, Frame, fit_to_frame


@dataclass(frozen=True)
class EncodedItem:
    """An image in a file or archive. Each access reads it again."""

    name: str
    read: Callable[[], bytes]

    def content(self) -> bytes:
        try:
            return self.read()
        except OSError as error:
            raise Unreadable(f"{self.name} cannot be read: {error.strerror or error}") from error

    def digest(self) -> bytes:
        return hashlib.sha256(self.content()).digest()

    def decode(self, frame: Frame) -> DecodedImage:
        opened = decode_image(self.name, self.content())
        return DecodedImage(fit_to_frame(opened.image, frame), opened.extent, opened.odd)
