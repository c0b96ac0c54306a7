"""Images in Python objects: tensors, arrays, PIL images, paths and encoded bytes.

An entry of a Dataset, a list or a DataLoader holds an image alone, or beside labels in a tuple or a
dict. Two images in one entry raise Unreadable, because either could be meant.
"""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ganbench.data.image_decoding import Unreadable

from .array_files import is_plain_tensor, rows_to_tensor

IMAGE_KEYS = ("image", "images", "img", "pixel_values", "samples", "sample", "x", "data")
PICTURE_RANK, ENCODED_RANK, PATH_RANK = 3.0, 2.5, 1.5  # rank of arrays: their axes
BATCH_AXES = 4  # of images
GRAYSCALE_AXES = 2  # of an image without a channel axis
MAX_KEYS_SHOWN = 5


def is_array(content: Any) -> bool:
    return hasattr(content, "shape") and hasattr(content, "dtype")


def is_path(content: Any) -> bool:
    return isinstance(content, str | os.PathLike)


def to_tensor(content: Any, name: str) -> Tensor:
    """Returns an array of any library as a tensor without gradients."""
    if not isinstance(content, Tensor):
        array = np.asarray(content)
        return rows_to_tensor(array if array.flags.writeable else array.copy(), name)
    if not is_plain_tensor(content):
        raise Unreadable(
            f"{name}: a tensor that is sparse, quantized or on `meta` holds no images: pass a dense "
            "one, as from to_dense() or dequantize()"
        )
    return content.detach()


def has_pixel_dtype(content: Any) -> bool:
    name = str(content.dtype)
    return "uint8" in name or "float" in name


def rank_of(part: Any) -> float:
    """Returns how much a part of an entry resembles images: a batch most, labels not at all."""
    if is_array(part):
        return len(part.shape) if has_pixel_dtype(part) else 0
    if isinstance(part, list | tuple):
        ranks = [rank_of(each) for each in part]
        return 1 + min(ranks) if ranks and min(ranks) >= PATH_RANK else 0
    if isinstance(part, Image.Image):
        return PICTURE_RANK
    if isinstance(part, bytes):
        return ENCODED_RANK
    return PATH_RANK if is_path(part) else 0


def images_of_entry(entry: Any, name: str, batched: bool = False) -> list[Any]:
    """Returns the images of an entry, or of a batch that a DataLoader has collated."""
    content = find_images(entry, name, batched)
    if isinstance(content, list | tuple):
        return [image for part in content for image in images_of_entry(part, name)]
    axes = len(content.shape) if is_array(content) else 0
    if axes >= BATCH_AXES or (batched and axes > 1):
        return list(content)
    return [content[None] if axes == GRAYSCALE_AXES else content]


def find_images(entry: Any, name: str, batched: bool = False) -> Any:
    """Returns the part of an entry that holds images; raises Unreadable if it is unclear."""
    if is_array(entry) or isinstance(entry, Image.Image | bytes) or is_path(entry):
        return entry
    if isinstance(entry, Mapping):
        return find_images(find_in_mapping(entry, name), name, batched)
    if isinstance(entry, list | tuple):
        return find_in_sequence(list(entry), name, batched)
    raise Unreadable(f"{name} is a {type(entry).__name__}, not an image")


def find_in_mapping(entry: Mapping[Any, Any], name: str) -> Any:
    for key in IMAGE_KEYS:
        if entry.get(key) is not None:
            return entry[key]
    ranks = {key: rank_of(value) for key, value in entry.items()}
    best = [key for key, rank in ranks.items() if rank and rank == max(ranks.values())]
    if len(best) == 1:
        return entry[best[0]]
    keys = ", ".join(map(str, list(entry)[:MAX_KEYS_SHOWN]))
    raise Unreadable(
        f"{name} is a dict of {keys}, and its image is unclear: call its key {IMAGE_KEYS[0]}"
    )


def find_in_sequence(parts: list[Any], name: str, batched: bool) -> Any:
    ranks = [rank_of(part) for part in parts]
    best = [part for part, rank in zip(parts, ranks, strict=True) if rank and rank == max(ranks)]
    if len(best) == 1:
        return best[0]
    if best and batched and len(best) == len(parts) and max(ranks) < BATCH_AXES:
        return best  # a list of images
    if parts and not best and all(isinstance(p, Mapping | list | tuple) for p in parts):
        return [find_images(part, name) for part in parts]
    if not best:
        raise Unreadable(f"{name} holds no image, only {name_types(parts)}")
    raise Unreadable(
        f"{name} holds {len(best)} images, and which one is meant is unclear: pass a Dataset of "
        "one image per entry, alone or with labels"
    )


def name_types(parts: list[Any]) -> str:
    names = dict.fromkeys(type(part).__name__ for part in parts)
    return ", ".join(list(names)[:MAX_KEYS_SHOWN]) or "nothing"


def stack_images(content: Any, name: str) -> Tensor:
    """Returns a generator's result as one tensor: an array, or a list of arrays or PIL images."""
    if not is_array(content) and not isinstance(content, list | tuple | Mapping):
        content = getattr(content, "images", getattr(content, "sample", content))
    if is_array(content):
        return to_tensor(content, name)
    if not isinstance(content, list | tuple | Mapping):
        raise Unreadable(f"{name} returned a {type(content).__name__}, not an array of images")
    if holds_numbers(content):
        return torch.as_tensor(content)
    images = images_of_entry(content, f"the result of {name}", batched=True)
    return torch.stack([to_tensor(array_of_picture(image), name) for image in images])


def holds_numbers(content: Any) -> bool:
    """Returns whether nested lists hold Python numbers."""
    while isinstance(content, list | tuple) and content:
        content = content[0]
    return isinstance(content, int | float)


def array_of_picture(image: Any) -> Any:
    if not isinstance(image, Image.Image):
        return image
    return np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))
