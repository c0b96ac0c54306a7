"""Rows of arrays in files, gathered when they are wanted: none of these formats can hold code that runs.

An array of Python objects would be a pickle, and is refused. Rows of a compressed `.npz` are read in
their order, from the stream.
"""

import io
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from .base import Unreadable

PREFERRED = ("images", "samples", "fakes", "arr_0", "x", "data")
FEATURES, LOGITS = "features", "logits"
STATISTICS = {"mu", "sigma"}  # what some libraries keep of reals
AT_ONCE = 1 << 20  # bytes that are skipped at a time


class Rows:
    """An array of which rows are gathered by their numbers, which ascend."""

    def __init__(self, shape: Sequence[int]):
        self.shape = tuple(shape)

    def __len__(self) -> int:
        return self.shape[0] if self.shape else 0

    def gather(self, index: Sequence[int]) -> Tensor:
        raise NotImplementedError


class Held(Rows):
    """Of an array that is in memory, or mapped into it."""

    def __init__(self, array: Any):
        super().__init__(array.shape)
        self.array = array

    def gather(self, index: Sequence[int]) -> Tensor:
        if isinstance(self.array, Tensor):
            return self.array[torch.as_tensor(index)]
        return torch.from_numpy(np.ascontiguousarray(self.array[np.asarray(index)]))


class Sliced(Rows):
    """Of a tensor in a safetensors file."""

    def __init__(self, path: Path, key: str):
        self.slice = safe_open(path, "pt").get_slice(key)
        super().__init__(self.slice.get_shape())

    def gather(self, index: Sequence[int]) -> Tensor:
        return torch.cat([self.slice[start:end] for start, end in runs(index)])


class Streamed(Rows):
    """Of an array in an `.npz`, that is a zip of `.npy` files, each of which is a stream."""

    def __init__(self, path: Path, key: str):
        self.archive, self.name = zipfile.ZipFile(path), f"{path}: {key}"
        self.member = f"{key}.npy"
        super().__init__(self.rewound())
        self.bytes = int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize

    def rewound(self) -> tuple[int, ...]:
        """Goes to the first row; the array's shape."""
        self.stream, self.position = self.archive.open(self.member), 0
        shape, self.dtype = header(self.stream, self.name)
        return shape

    def gather(self, index: Sequence[int]) -> Tensor:
        parts = [self.run(start, end) for start, end in runs(index)]
        return torch.from_numpy(np.concatenate(parts))

    def run(self, start: int, end: int) -> np.ndarray[Any, Any]:
        if start < self.position:  # a second pass over it
            self.rewound()
        skip = (start - self.position) * self.bytes
        while skip and (skipped := len(self.stream.read(min(skip, AT_ONCE)))):
            skip -= skipped
        content = self.stream.read((end - start) * self.bytes)
        self.position = end
        if len(content) < (end - start) * self.bytes:
            raise Unreadable(f"{self.name} is cut short")
        return np.frombuffer(bytearray(content), self.dtype).reshape(end - start, *self.shape[1:])


def runs(index: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Ascending numbers as stretches: start and end."""
    start = end = index[0]
    for number in index:
        if number != end:
            yield start, end
            start = number
        end = number + 1
    yield start, end


def header(stream: Any, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of an `.npy`; raises Unreadable for what only a pickle can hold."""
    try:
        version = np.lib.format.read_magic(stream)
        reader = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
        shape, fortran, dtype = reader[version[0]](stream)
    except (ValueError, KeyError, EOFError) as error:
        raise Unreadable(f"{name} is no array, or a damaged one: {error}") from error
    if dtype.hasobject:
        raise Unreadable(
            f"{name} holds Python objects, that is a pickle, which could run code: it is not opened"
        )
    if fortran and len(shape) > 1:
        raise Unreadable(f"{name} is in Fortran's order: save it by np.ascontiguousarray")
    return shape, dtype


def arrays(path: Path, key: str | None) -> dict[str, Rows]:
    """Those of a file that are wanted: `features` and perhaps `logits`, or `images` alone.

    Raises Unreadable if there are none, or several and no key that tells which.
    """
    found = reading(path)
    if key is not None:
        if key not in found:
            raise Unreadable(f"{path} holds no {key}; there are {', '.join(sorted(found))}")
        return {"images": found[key]}
    if FEATURES in found:
        return {name: found[name] for name in (FEATURES, LOGITS) if name in found}
    if found.keys() >= STATISTICS:
        raise Unreadable(
            f"{path} holds the mean and covariance of features (mu, sigma), of which no metric but FID "
            "could be told: name the images, or an array of features"
        )
    named = [name for name in PREFERRED if name in found] or list(found)
    if not found or (len(found) > 1 and named[0] not in PREFERRED):
        raise Unreadable(which(path, found))
    return {"images": found[named[0]]}


def which(path: Path, found: dict[str, Rows]) -> str:
    if not found:
        return f"{path} holds no arrays"
    first = next(iter(found))
    if any(name.split(".")[-1] in ("weight", "bias") for name in found):
        return (
            f"{path} holds the weights of a network, and no images: export the network by torch.export or "
            "torch.jit, or name a function of yours that makes images, as module:function"
        )
    some = ", ".join(list(found)[:5])
    return f"{path} holds several arrays, {some}: name one, as {path}:{first}"


def reading(path: Path) -> dict[str, Rows]:
    """The arrays of a file by their names; raises Unreadable if it is none that can be read."""
    try:
        return READERS[path.suffix.lower()](path)
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, SafetensorError, EOFError, ValueError, RuntimeError) as error:
        if isinstance(error, Unreadable):
            raise
        told = " ".join(str(error).split())[:200]
        raise Unreadable(f"{path} is damaged, or no file of its kind: {told}") from error


def npy(path: Path) -> dict[str, Rows]:
    with open(path, "rb") as file:
        shape, dtype = header(file, str(path))
        size = path.stat().st_size - file.tell()
    if size < np.prod(shape, dtype=np.int64) * dtype.itemsize:
        raise Unreadable(f"{path} is cut short")
    return {"images": Held(np.load(path, mmap_mode="r", allow_pickle=False))}


def npz(path: Path) -> dict[str, Rows]:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".npy")]
    return {name[:-4]: Streamed(path, name[:-4]) for name in names}


def safetensors(path: Path) -> dict[str, Rows]:
    with safe_open(path, "pt") as file:
        names = list(file.keys())
    return {name: Sliced(path, name) for name in names}


def torch_file(path: Path) -> dict[str, Rows]:
    """A tensor, or a table of them, as data only."""
    try:
        found = opened(path)
    except UnpicklingError as error:
        raise Unreadable(
            f"{path} holds more than tensors, which could run code: it is not opened; save a tensor alone"
        ) from error
    if isinstance(found, Tensor):
        return {"images": Held(found.detach())}
    if isinstance(found, dict):
        return {str(name): Held(t.detach()) for name, t in found.items() if isinstance(t, Tensor)}
    raise Unreadable(f"{path} holds a {type(found).__name__}, and no tensor")


def opened(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pickles that it does not know, which it refuses anyway
        try:
            return torch.load(path, "cpu", weights_only=True, mmap=True)
        except (RuntimeError, ValueError):  # of a format that cannot be mapped
            return torch.load(io.BytesIO(path.read_bytes()), "cpu", weights_only=True)


READERS = {
    ".npy": npy,
    ".npz": npz,
    ".safetensors": safetensors,
    ".pt": torch_file,
    ".pth": torch_file,
}
