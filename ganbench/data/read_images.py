"""Reads a user's image files into one tensor, and reports the files that cannot be read."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from ganbench.counts import count_of

from .base import NotDownloaded
from .image_decoding import Unreadable, decode_image, explained_errors
from .image_files import ImageFiles
from .image_ops import crop_and_resize

MAX_PROBLEMS_SHOWN = 10  # files per message

# an image, channels and size => its pixels, uint8 [channels, size, size]; raises Unreadable
Crop = Callable[[Image.Image, int, int], Tensor]


@dataclass(frozen=True, eq=False)
class ReadImages:
    """Images [N, C, S, S] with their names, and notes on the files that were left out."""

    images: Tensor
    names: list[str]
    numbers: list[float]  # of the bytes of each file, in [0, 1)
    digests: list[str]  # of the pixels of each image
    notes: tuple[str, ...]


def read_squares(
    files: ImageFiles,
    shape: tuple[int, ...],
    skip: bool,
    remedy: str = "",
    crop: Crop = crop_and_resize,
) -> ReadImages:
    """Decodes all files as squares of this shape (channels, size, size).

    Raises NotDownloaded, with all broken files in one message, unless `skip` is set.
    """
    images = torch.empty(len(files.files), *shape, dtype=torch.uint8)
    names: list[str] = []
    numbers: list[float] = []
    digests: list[str] = []
    problems: list[str] = []
    for name in files.files:
        place = f"{files.name}/{name}"
        try:
            content = files.read(name)
            picture = decode_image(place, content).image
            with explained_errors(place):
                images[len(names)] = crop(picture, shape[0], shape[1])
        except OSError as error:
            problems.append(f"{place} cannot be read: {error.strerror}")
            continue
        except Unreadable as error:
            problems.append(str(error))
            continue
        digests.append(hashlib.sha256(images[len(names)].numpy().tobytes()).hexdigest())
        names.append(name)
        numbers.append(content_number(content))
    if problems and not skip:
        raise NotDownloaded(sentence_of_problems(problems, len(files.files), remedy))
    notes = (*files.notes, *notes_on_broken(problems, len(problems), len(files.files)))
    return ReadImages(images[: len(names)], names, numbers, digests, notes)


def notes_on_broken(problems: Sequence[str], count: int, total: int) -> list[str]:
    """Returns a note on `count` broken images with the first problem, if there is any."""
    if not problems:
        return []
    return [f"{count} of {count_of(total, 'image')} left out: {problems[0]}"]


def sentence_of_problems(problems: list[str], count: int, remedy: str) -> str:
    """Returns one message for all broken files."""
    shown = "; ".join(problems[:MAX_PROBLEMS_SHOWN])
    more = len(problems) - MAX_PROBLEMS_SHOWN
    rest = f"; and {more} more" if more > 0 else ""
    if len(problems) == 1:
        skip = f". {remedy} leaves it out" if remedy else ""
        return f"{shown}{skip}"
    skip = f". {remedy} leaves them out" if remedy else ""
    return f"{len(problems)} of {count} images cannot be read: {shown}{rest}{skip}"


def content_number(content: bytes) -> float:
    """Returns the hash of a file's bytes as a number in [0, 1)."""
    digest = hashlib.sha256(content).digest()
    return int.from_bytes(digest[:6], "big") / (1 << 48)
