"""Moving MNIST (Srivastava et al., 2015): the published clips of two digits that bounce.

`path` is the file `mnist_test_seq.npy` of the authors: uint8 [20, 10000, 64, 64], frames first. Its clips
are split by their order, so the last tenth is held out. Sides below 64 are means of pixels.
"""

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ganbench.counts import format_bytes
from ganbench.files import expand_home

from .base import IMAGE, Data, Examples, NotDownloaded, Split
from .image_ops import resize_by_area
from .memory import data_memory_limit

PUBLISHED_FRAMES, PUBLISHED_SIDE = 20, 64
MIN_SEQUENCES = 20
MNIST_SIDES = (16, 32, 64)
MIN_FRAMES_READ = 8  # that the classifier of clips reads
CLIPS_AT_ONCE = 500
HELD_OUT_SHARE = 0.1


@dataclass(frozen=True)
class MovingMNIST(Data):
    """Clips [1, frames, size, size] without labels; the first `frames` of 20 are shown."""

    extractor: ClassVar[str] = "clip_classifier(classes=false)"

    path: str
    frames: int = 16
    size: int = 64

    def __post_init__(self) -> None:
        if not MIN_FRAMES_READ <= self.frames <= PUBLISHED_FRAMES:
            raise ValueError(
                f"frames must lie in {MIN_FRAMES_READ}..{PUBLISHED_FRAMES}, not {self.frames}"
            )
        if self.size not in MNIST_SIDES:
            raise ValueError(f"size must be 16, 32 or 64, not {self.size}")
        object.__setattr__(self, "shapes", {IMAGE: (1, self.frames, self.size, self.size)})

    @property
    def file_path(self) -> Path:
        return expand_home(self.path)

    def load(self) -> Split:
        rows = self.open_rows()
        if (needed := rows.shape[1] * prod(self.shapes[IMAGE])) > data_memory_limit():
            raise NotDownloaded(
                f"{self.file_path} takes {format_bytes(needed)} at this size, more than a quarter of the memory: "
                "choose a smaller size or fewer frames"
            )
        parts = (
            reduce_clips(rows[: self.frames, start : start + CLIPS_AT_ONCE], self.size)
            for start in range(0, rows.shape[1], CLIPS_AT_ONCE)
        )
        clips = torch.cat(list(parts))
        train, held_out = clips.tensor_split([len(clips) - round(HELD_OUT_SHARE * len(clips))])
        return Split({IMAGE: Examples(train)}, {IMAGE: Examples(held_out)})

    def open_rows(self) -> np.ndarray[Any, Any]:
        """Maps the file into memory; raises NotDownloaded for any other than the published form."""
        path = self.file_path
        if not path.is_file():
            raise NotDownloaded(
                f"there is no file {path}: get mnist_test_seq.npy from the authors' page, "
                "www.cs.toronto.edu/~nitish/unsupervised_video"
            )
        try:
            rows = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise NotDownloaded(
                f"{path} is no NumPy file without pickled objects: {error}"
            ) from error
        if problem := describe_wrong_rows(rows):
            raise NotDownloaded(f"{path} {problem}")
        return np.asarray(rows)


def describe_wrong_rows(rows: Any) -> str:
    """Returns what is wrong with an array, or nothing if it has the published form."""
    wanted = f"not uint8 [{PUBLISHED_FRAMES}, clips, {PUBLISHED_SIDE}, {PUBLISHED_SIDE}]"
    if not isinstance(rows, np.ndarray):
        return "is an archive of arrays, not one .npy file"
    found = f"has {rows.dtype} {list(rows.shape)}, {wanted}"
    if rows.dtype != np.uint8 or rows.ndim != 4:
        return found
    frames, count, *sides = rows.shape
    if sides != [PUBLISHED_SIDE] * 2 or frames != PUBLISHED_FRAMES:
        clips_first = sides == [PUBLISHED_SIDE] * 2 and count == PUBLISHED_FRAMES
        return f"{found}: swap its first two axes" if clips_first else found
    return (
        f"has {count} clips: at least {MIN_SEQUENCES} are needed" if count < MIN_SEQUENCES else ""
    )


def reduce_clips(rows: np.ndarray[Any, Any], size: int) -> Tensor:
    """Reduces clips by means: [T, N, 64, 64] => uint8 [N, 1, T, size, size]."""
    clips = torch.from_numpy(rows.swapaxes(0, 1).copy())[:, None]
    if size == PUBLISHED_SIDE:
        return clips
    frames = resize_by_area(clips.flatten(0, 2)[:, None], size)
    return frames.view(*clips.shape[:3], size, size)
