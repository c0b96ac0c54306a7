"""Arrays of images: rows of a file or a tensor, as bytes by one stated rule.

So few are gathered at a time that their size does not matter, and none may have more pixels than an image file.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from torch import Tensor

from ganbench.data.base import Examples, Mixture
from ganbench.data.image_decoding import MAX_IMAGE_PIXELS, TOO_MANY_PIXELS, Unreadable

from .array_files import Held, Rows
from .base import Item, Pixels, Source, Vectors
from .pixel_range import (
    AUTO,
    Span,
    arranged,
    as_bytes,
    channels_first,
    check_dtype,
    range_of,
    span_of,
)

AT_ONCE = 2**26  # bytes of rows that are gathered at a time, or else one row


class Array(Source):
    """Images as rows: uint8, or floats in a range that is told by their span or by its name."""

    def __init__(self, name: str, rows: Rows, range_name: str = AUTO):
        super().__init__(name)
        if not len(rows):
            raise Unreadable(f"{name} is empty: its shape is {list(rows.shape)}")
        self.shape = shape_of(rows, name)
        first = rows.gather([0])
        check_dtype(first, name)
        self.rows, self.range = rows, ""
        self.step = max(1, AT_ONCE // first.nbytes)  # rows that are gathered at a time
        if first.is_floating_point():
            self.range = range_of(self.span(), range_name, name)
            self.notes = (f"floats in [{self.range.replace(',', ', ')}]",)

    def span(self) -> Span:
        """Of all rows, so many at a time."""
        spans = [
            span_of(self.rows.gather(range(start, min(start + self.step, len(self)))), self.name)
            for start in range(0, len(self), self.step)
        ]
        return Span(min(s.low for s in spans), max(s.high for s in spans))

    def __len__(self) -> int:
        return len(self.rows)

    def blocks(self, chosen: Sequence[int], size: int) -> Iterator[list[Item]]:
        step = min(size, self.step)
        for start in range(0, len(chosen), step):
            index = chosen[start : start + step]
            images = arranged(self.rows.gather(index), self.name)
            images = as_bytes(images, self.range) if self.range else images
            yield [
                Pixels(f"{self.name}[{n}]", image) for n, image in zip(index, images, strict=True)
            ]


def shape_of(rows: Rows, name: str) -> tuple[int, int, int]:
    """Of each image [C, H, W]; raises Unreadable for what is none, before any row is read."""
    first, (_, *own) = channels_first(rows.shape, name), rows.shape
    channels, height, width = (1, *own) if first is None else own if first else (own[2], *own[:2])
    if 0 in own:
        raise Unreadable(f"{name} holds images without pixels: its shape is {list(rows.shape)}")
    if height * width > MAX_IMAGE_PIXELS:
        raise Unreadable(f"{name} holds images of {width:,}x{height:,}, {TOO_MANY_PIXELS}")
    return channels, height, width


def source_of(found: dict[str, Rows], name: str, range_name: str = AUTO) -> Source:
    """Images, or vectors: `features` of a file, and rows of one dimension."""
    if "features" in found:
        if not all(map(len, found.values())):
            raise Unreadable(f"{name} is empty: it holds no features")
        features, *logits = (rows.gather(range(len(rows))) for rows in found.values())
        return Vectors(name, features, logits[0] if logits else None)
    rows = found["images"]
    if len(rows.shape) == 2 and len(rows):
        return Vectors(name, rows.gather(range(len(rows))))
    return Array(name, rows, range_name)


def of_examples(examples: Examples, count: int, name: str, mixture: Mixture | None) -> Source:
    """The first images of a data set, or its points, and their classes if they have some."""
    found = source_of({"images": Held(examples.images[:count], name)}, name)
    found.mixture = mixture
    found.labels = None if examples.labels is None else examples.labels[:count]
    return found


def of_array(given: object, name: str, range_name: str = AUTO) -> Source:
    """A tensor or a NumPy array of Python's."""
    rows = given.detach().cpu() if isinstance(given, Tensor) else np.asarray(given)
    return source_of({"images": Held(rows, name)}, name, range_name)
