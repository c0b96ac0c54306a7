"""Arrays of images: rows of a file or a tensor, as bytes by one stated rule."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ..data.base import Mixture
from .base import Item, Pixels, Source, Unreadable, Vectors
from .levels import AUTO, Span, arranged, as_bytes, channels_first, check_dtype, range_of, span_of
from .rows import Held, Rows

AT_ONCE = 1 << 26  # values that are looked through at a time


class Array(Source):
    """Images as rows: uint8, or floats in a range that is told by their span or by its name."""

    def __init__(self, name: str, rows: Rows, range_name: str = AUTO):
        super().__init__(name)
        if not len(rows):
            raise Unreadable(f"{name} is empty: its shape is {list(rows.shape)}")
        first = rows.gather([0])
        check_dtype(first, name)
        channels_first(rows.shape, name)
        if 0 in rows.shape:
            raise Unreadable(f"{name} holds images without pixels: its shape is {list(rows.shape)}")
        self.rows, self.range = rows, ""
        if first.is_floating_point():
            self.range = range_of(self.span(), range_name, name)
            self.notes = (f"floats in [{self.range.replace(',', ', ')}]",)

    def span(self) -> Span:
        """Of all rows, so many at a time."""
        step = max(1, AT_ONCE // self.rows.gather([0]).numel())
        spans = [
            span_of(self.rows.gather(range(start, min(start + step, len(self)))), self.name)
            for start in range(0, len(self), step)
        ]
        return Span(min(s.low for s in spans), max(s.high for s in spans))

    def __len__(self) -> int:
        return len(self.rows)

    def blocks(self, chosen: Sequence[int], size: int) -> Iterator[list[Item]]:
        for start in range(0, len(chosen), size):
            index = chosen[start : start + size]
            images = arranged(self.rows.gather(index), self.name)
            images = as_bytes(images, self.range) if self.range else images
            yield [
                Pixels(f"{self.name}[{n}]", image) for n, image in zip(index, images, strict=True)
            ]


def source_of(found: dict[str, Rows], name: str, range_name: str = AUTO) -> Source:
    """Images, or vectors: `features` of a file, and rows of one dimension."""
    if "features" in found:
        features, *logits = (rows.gather(range(len(rows))) for rows in found.values() if len(rows))
        return Vectors(name, features, logits[0] if logits else None)
    rows = found["images"]
    if len(rows.shape) == 2 and len(rows):
        return Vectors(name, rows.gather(range(len(rows))))
    return Array(name, rows, range_name)


def of_examples(images: Tensor, name: str, mixture: Mixture | None = None) -> Source:
    """A data set's images, or its points."""
    found = source_of({"images": Held(images)}, name)
    found.mixture = mixture
    return found


def of_array(given: object, name: str, range_name: str = AUTO) -> Source:
    """A tensor or a NumPy array of Python's."""
    rows = Held(given.detach().cpu() if isinstance(given, Tensor) else torch.as_tensor(given))
    return source_of({"images": rows}, name, range_name)
