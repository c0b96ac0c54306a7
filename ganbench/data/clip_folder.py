"""Clip folder: a user's videos, each a folder of frames.

`clips/a/000.png`, `clips/a/001.png` and so on are the frames of clip `a`. Names are sorted, and numbers in
them count as numbers: frame 9 comes before frame 10. All clips have equally many frames, or are cut to
the first `frames`.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path, PurePosixPath
from typing import ClassVar

import torch

from ganbench.counts import count_of
from ganbench.files import expand_home

from .base import IMAGE, Data, Examples, NotDownloaded, Split
from .image_files import ImageFiles
from .image_ops import check_image_size
from .image_settings import check_channels, check_held_out
from .image_sources import open_image_files
from .memory import data_memory_limit
from .read_images import ReadImages, read_squares
from .split_order import share_smallest

MIN_TRAIN_CLIPS, MIN_HELD_OUT_CLIPS = 8, 2
MAX_CLIP_SIDE_PIXELS = 256
MIN_CLIP_FRAMES, MAX_CLIP_FRAMES = 2, 128
NUMBER = re.compile("([0-9]+)")


class ChosenFrames(ImageFiles):
    """Some images of a folder or archive, in their order within the clips."""

    def __init__(self, opened: ImageFiles, names: list[str]):
        self.opened = opened
        self.name, self.files, self.notes = opened.name, names, opened.notes

    def read(self, name: str) -> bytes:
        return self.opened.read(name)


@dataclass(frozen=True)
class ClipFolder(Data):
    """All folders with images in the folder or archive `path`; there are no labels.

    The bytes of its frames decide whether a clip is held out. Clips with the same pixels are on the same
    side. Frames are cropped to central squares.

    Settings: `frames` is the number of frames (2 to 128); with 0 it is that of the clips, which must be
    equal. `size` is the side in pixels (8 to 256), `channels` is 1 or 3, and `held_out` is the share of
    held-out clips in (0, 1).
    """

    extractor: ClassVar[str] = "frame_features"

    path: str
    frames: int = 0
    size: int = 64
    channels: int = 3
    held_out: float = 0.1

    def __post_init__(self) -> None:
        check_channels(self.channels)
        check_held_out(self.held_out)
        if self.frames and not MIN_CLIP_FRAMES <= self.frames <= MAX_CLIP_FRAMES:
            raise ValueError(
                f"frames must lie in {MIN_CLIP_FRAMES}..{MAX_CLIP_FRAMES}, or be 0, not {self.frames}"
            )
        if not self.root_path.exists():
            raise ValueError(f"there is no folder {self.root_path}")
        side = check_image_size(self.size, MAX_CLIP_SIDE_PIXELS)
        frames = self.frames or self.count_frames()
        object.__setattr__(self, "shapes", {IMAGE: (self.channels, frames, side, side)})

    @property
    def root_path(self) -> Path:
        return expand_home(self.path)

    @cached_property
    def image_files(self) -> ImageFiles:
        """The opened folder or archive; raises ValueError if it cannot be read."""
        return open_image_files(str(self.root_path))

    @cached_property
    def clips(self) -> dict[str, list[str]]:
        """The names of the frames of each clip, in order, by the name of its folder."""
        clips: dict[str, list[str]] = {}
        for name in sorted(self.image_files.files, key=split_numbers_in_name):
            clips.setdefault(str(PurePosixPath(name).parent), []).append(name)
        if stray := clips.get("."):
            raise ValueError(
                f"{self.root_path / stray[0]} is in no folder of a clip: move it into one"
            )
        return clips

    def count_frames(self) -> int:
        """Returns the number of frames of all clips; raises ValueError if they differ."""
        counts = {name: len(frames) for name, frames in self.clips.items()}
        least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
        if counts[least] != counts[most]:
            raise ValueError(
                f"clip {least!r} has {count_of(counts[least], 'frame')} and {most!r} has {counts[most]}: set frames "
                "to cut all to one number"
            )
        if not MIN_CLIP_FRAMES <= counts[most] <= MAX_CLIP_FRAMES:
            raise ValueError(
                f"clips have {count_of(counts[most], 'frame')}: set frames in {MIN_CLIP_FRAMES}..{MAX_CLIP_FRAMES}"
            )
        return counts[most]

    def load(self) -> Split:
        try:
            read = self.read_frames()
        except ValueError as error:  # Unreadable among them
            raise NotDownloaded(str(error)) from error
        frames = self.shapes[IMAGE][1]
        clips = read.images.unflatten(0, (-1, frames)).transpose(1, 2).contiguous()
        numbers = self.numbers_of_clips(read, frames)
        order = sorted(range(len(numbers)), key=lambda n: (numbers[n], read.numbers[n * frames]))
        count = sum(number < self.held_out for number in numbers)
        self.require_counts(len(order) - count, count)
        held_out, train = (
            Examples(clips[torch.tensor(side)]) for side in (order[:count], order[count:])
        )
        return Split({IMAGE: train}, {IMAGE: held_out}, notes=read.notes)

    def read_frames(self) -> ReadImages:
        """Decodes the frames, clip by clip; raises NotDownloaded if a clip has too few."""
        frames, shape = self.shapes[IMAGE][1], self.shapes[IMAGE]
        if short := [name for name, own in self.clips.items() if len(own) < frames]:
            own = count_of(len(self.clips[short[0]]), "frame")
            more = f", and {len(short) - 1} more have too few" if len(short) > 1 else ""
            raise NotDownloaded(
                f"clip {short[0]!r} has {own}, fewer than {frames}{more}: set frames lower"
            )
        if len(self.clips) * prod(shape) > data_memory_limit():
            raise NotDownloaded(
                f"{count_of(len(self.clips), 'clip')} in {self.root_path} take more than a quarter of the memory: "
                "choose a smaller size or fewer frames"
            )
        chosen = [name for own in self.clips.values() for name in own[:frames]]
        return read_squares(
            ChosenFrames(self.image_files, chosen), (shape[0], *shape[2:]), skip=False
        )

    def numbers_of_clips(self, read: ReadImages, frames: int) -> list[float]:
        """Returns a number in [0, 1) per clip; clips with the same pixels share the smallest one."""
        parts = range(0, len(read.names), frames)
        digests = [tuple(read.digests[n : n + frames]) for n in parts]
        numbers = [sum(read.numbers[n : n + frames]) % 1 for n in parts]
        return share_smallest(numbers, digests)

    def require_counts(self, train: int, held_out: int) -> None:
        if train < MIN_TRAIN_CLIPS or held_out < MIN_HELD_OUT_CLIPS:
            raise NotDownloaded(
                f"{self.root_path} has {count_of(train + held_out, 'clip')}, {held_out} of them held out: add clips "
                f"or change held_out, to have at least {MIN_TRAIN_CLIPS} for training and {MIN_HELD_OUT_CLIPS} "
                "held out"
            )


def split_numbers_in_name(name: str) -> list[tuple[int, str]]:
    """Returns a sorting key in which numbers in a name count as numbers."""
    return [(int(part), "") if n % 2 else (-1, part) for n, part in enumerate(NUMBER.split(name))]
