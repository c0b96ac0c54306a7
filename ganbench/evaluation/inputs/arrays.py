"""Sources from arrays of images, in files or in memory, as uint8.

Each read covers few rows, so arrays may be larger than memory. The pixel limit of image files applies
to arrays too. `pixel_range` converts floats to uint8.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from torch import Tensor

from ganbench.data.base import Examples, Mixture
from ganbench.data.image_decoding import MAX_IMAGE_PIXELS, TOO_MANY_PIXELS, Unreadable

from .array_files import MemoryRows, RowTable
from .base import PixelItem, Source, SourceItem, StatisticsSource, VectorSource
from .object_images import to_tensor
from .pixel_range import (
    AUTO_RANGE,
    ValueSpan,
    arrange_channels_first,
    check_pixel_dtype,
    describe_range,
    detect_range,
    floats_to_uint8,
    has_channels_first,
    measure_span,
)

MAX_ARRAY_BYTES_AT_ONCE = 2**26  # bytes per read, but at least one row


class ArraySource(Source):
    """A source of images in an array: uint8, or floats in a detected or given range."""

    def __init__(self, name: str, rows: RowTable, range_name: str = AUTO_RANGE):
        super().__init__(name)
        if not len(rows):
            raise Unreadable(f"{name} is empty: its shape is {list(rows.shape)}")
        self.shape = image_shape_of(rows, name)
        first = rows.gather([0])
        check_pixel_dtype(first, name)
        self.rows, self.range = rows, ""
        self.step = max(1, MAX_ARRAY_BYTES_AT_ONCE // first.nbytes)  # rows per read
        if first.is_floating_point():
            span = self.value_span()
            self.range = detect_range(span, range_name, name)
            self.notes = (describe_range(self.range, span),)

    def value_span(self) -> ValueSpan:
        """Returns the least and the greatest value of all rows, read in steps."""
        spans = [
            measure_span(
                self.rows.gather(range(start, min(start + self.step, len(self)))), self.name
            )
            for start in range(0, len(self), self.step)
        ]
        return ValueSpan(min(s.low for s in spans), max(s.high for s in spans))

    def __len__(self) -> int:
        return len(self.rows)

    def iter_blocks(self, chosen: Sequence[int], size: int) -> Iterator[list[SourceItem]]:
        step = min(size, self.step)
        for start in range(0, len(chosen), step):
            index = chosen[start : start + step]
            images = arrange_channels_first(self.rows.gather(index), self.name)
            images = floats_to_uint8(images, self.range) if self.range else images
            yield [
                PixelItem(f"{self.name}[{n}]", image)
                for n, image in zip(index, images, strict=True)
            ]


def image_shape_of(rows: RowTable, name: str) -> tuple[int, int, int]:
    """Returns each image's [C, H, W] without reading rows; raises Unreadable if it is invalid."""
    first, (_, *own) = has_channels_first(rows.shape, name), rows.shape
    channels, height, width = (1, *own) if first is None else own if first else (own[2], *own[:2])
    if 0 in own:
        raise Unreadable(f"{name} holds images with no pixels: its shape is {list(rows.shape)}")
    if height * width > MAX_IMAGE_PIXELS:
        raise Unreadable(f"{name} holds images of {width:,}x{height:,}, {TOO_MANY_PIXELS}")
    return channels, height, width


def source_of_arrays(
    tables: dict[str, RowTable], name: str, range_name: str = AUTO_RANGE
) -> Source:
    """Returns an ArraySource, or a VectorSource for `features` and for arrays [N, D].

    Returns a StatisticsSource for `mu` and `sigma`.
    """
    if "sigma" in tables:
        mean, covariance = (
            tables[part].gather(range(len(tables[part]))) for part in ("mu", "sigma")
        )
        return StatisticsSource(name, mean, covariance)
    if "features" in tables:
        if not all(map(len, tables.values())):
            raise Unreadable(f"{name} is empty: it has no features")
        features, *logits = (rows.gather(range(len(rows))) for rows in tables.values())
        return VectorSource(name, features, logits[0] if logits else None)
    rows = tables["images"]
    if len(rows.shape) == 2 and len(rows):
        return VectorSource(name, rows.gather(range(len(rows))))
    return ArraySource(name, rows, range_name)


def source_of_examples(
    examples: Examples, count: int, name: str, mixture: Mixture | None
) -> Source:
    """Returns the first `count` examples of a data set as a source, with any labels."""
    source = source_of_arrays({"images": MemoryRows(examples.images[:count], name)}, name)
    source.mixture = mixture
    source.labels = None if examples.labels is None else examples.labels[:count]
    return source


def source_of_array(given: object, name: str, range_name: str = AUTO_RANGE) -> Source:
    """Returns a tensor, NumPy array or array-like object as a source."""
    rows = to_tensor(given, name).cpu() if isinstance(given, Tensor) else np.asarray(given)
    return source_of_arrays({"images": MemoryRows(rows, name)}, name, range_name)
