"""Arrays in files (.npy, .npz, .safetensors, .pt), read row by row on demand.

Reading never runs code from a file. Arrays of Python objects are pickles, which can run code, so they
raise Unreadable. Rows of a compressed `.npz` are read in order from the compressed stream.
"""

import io
import math
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ganbench.data.image_decoding import Unreadable
from ganbench.data.image_files import check_expansion
from ganbench.registry import shorten

PREFERRED_ARRAY_NAMES = ("images", "samples", "fakes", "arr_0", "x", "data")
FEATURES, LOGITS = "features", "logits"
STATISTICS_ARRAY_NAMES = {"mu", "sigma"}  # precomputed FID statistics of other libraries
STREAM_CHUNK_BYTES = 1 << 20  # bytes per read from a stream
MAX_NAMES_SHOWN = 5  # of arrays, per message
NUMERIC_KINDS = "biufc"  # NumPy dtype kinds that PyTorch has, except long double

Array = np.ndarray[Any, Any]


class RowTable:
    """The base class of arrays whose rows are read by ascending indices."""

    def __init__(self, shape: Sequence[int]):
        self.shape = tuple(shape)

    def __len__(self) -> int:
        return self.shape[0] if self.shape else 0

    def gather(self, index: Sequence[int]) -> Tensor:
        raise NotImplementedError


Openers = Mapping[str, Callable[[], RowTable]]


class MemoryRows(RowTable):
    """Rows of an array that is in memory or memory-mapped."""

    def __init__(self, array: Any, name: str):
        super().__init__(array.shape)
        self.array, self.name = array, name

    def gather(self, index: Sequence[int]) -> Tensor:
        if isinstance(self.array, Tensor):
            return self.array[torch.as_tensor(index)]
        return rows_to_tensor(self.array[np.asarray(index)], self.name)


class SafetensorsRows(RowTable):
    """Rows of a tensor in a safetensors file."""

    def __init__(self, path: Path, key: str):
        self.slice = safe_open(path, "pt").get_slice(key)
        super().__init__(self.slice.get_shape())

    def gather(self, index: Sequence[int]) -> Tensor:
        return torch.cat([self.slice[start:end] for start, end in consecutive_runs(index)])


class StreamedRows(RowTable):
    """Rows of an array in an `.npz`, which is a zip of `.npy` streams."""

    def __init__(self, path: Path, key: str):
        self.archive, self.name = zipfile.ZipFile(path), f"{path}: {key}"
        self.member = f"{key}.npy"
        super().__init__(self.rewind())
        self.bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        there = self.archive.getinfo(self.member).file_size
        if there - self.stream.tell() < len(self) * self.bytes:
            raise Unreadable(f"{self.name} is truncated")
        check_expansion(self.name, there, path.stat().st_size)

    def rewind(self) -> tuple[int, ...]:
        """Moves the stream to the first row; returns the array's shape."""
        self.stream: Any = self.archive.open(self.member)
        self.position = 0
        shape, self.dtype = read_npy_header(self.stream, self.name)
        return shape

    def gather(self, index: Sequence[int]) -> Tensor:
        check_numeric(self.dtype, self.name)
        rows = np.empty((len(index), *self.shape[1:]), self.dtype)
        place = 0
        for start, end in consecutive_runs(index):
            self.read_run(start, rows[place : place + end - start])
            place += end - start
        return rows_to_tensor(rows, self.name)

    def read_run(self, start: int, rows: Array) -> None:
        """Fills `rows` with the array's rows from `start` on."""
        if start < self.position:  # a second pass over the array
            self.rewind()
        skip = (start - self.position) * self.bytes
        while skip:
            skip -= self.read_into(memoryview(bytearray(min(skip, STREAM_CHUNK_BYTES))))
        self.position = start + len(rows)
        place = rows.reshape(-1).view(np.uint8).data
        while place:
            place = place[self.read_into(place[:STREAM_CHUNK_BYTES]) :]

    def read_into(self, place: memoryview) -> int:
        """Reads from the stream into a buffer; returns the number of bytes, which may be fewer."""
        try:
            count = int(self.stream.readinto(place))
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise Unreadable(f"{self.name} is damaged: {error}") from error
        if not count:
            raise Unreadable(f"{self.name} is truncated")
        return count


def rows_to_tensor(rows: Array, name: str) -> Tensor:
    """Returns an array as a tensor, in this machine's byte order."""
    check_numeric(rows.dtype, name)
    native = rows.dtype.newbyteorder("=")
    return torch.from_numpy(np.ascontiguousarray(rows, native))


def check_numeric(dtype: np.dtype[Any], name: str) -> None:
    if dtype.kind not in NUMERIC_KINDS or dtype.type is np.longdouble:
        raise Unreadable(f"{name} has dtype {dtype}, which PyTorch does not support")


def consecutive_runs(index: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yields ascending indices as (start, end) ranges of consecutive numbers."""
    start = end = index[0]
    for number in index:
        if number != end:
            yield start, end
            start = number
        end = number + 1
    yield start, end


def read_npy_header(stream: Any, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Returns shape and dtype of an `.npy`; raises Unreadable for arrays of Python objects."""
    try:
        version = np.lib.format.read_magic(stream)
        reader = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
        shape, fortran, dtype = reader[version[0]](stream)
    except (ValueError, KeyError, EOFError) as error:
        raise Unreadable(f"{name} is not a valid array: {error}") from error
    if min(shape, default=0) < 0:
        raise Unreadable(f"{name} is not a valid array: its shape is {list(shape)}")
    if dtype.hasobject:
        raise Unreadable(
            f"{name} holds Python objects, which are a pickle and could run code: ganbench does not open it"
        )
    if fortran and len(shape) > 1:
        raise Unreadable(f"{name} is in Fortran order: save it after np.ascontiguousarray")
    return shape, dtype


class ArrayFile(Mapping[str, RowTable]):
    """The arrays of a file by name; each is opened only when it is read."""

    def __init__(self, path: Path, openers: Mapping[str, Callable[[], RowTable]]):
        self.path, self.openers = path, openers

    def __getitem__(self, name: str) -> RowTable:
        with explained_errors(self.path):
            return self.openers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self.openers)

    def __len__(self) -> int:
        return len(self.openers)


def read_arrays(path: Path, key: str | None) -> dict[str, RowTable]:
    """Returns the arrays of a file to score; `key` selects the array to score as images.

    Raises Unreadable if the file has no arrays, or several among which the choice is ambiguous.
    """
    return select_arrays(open_array_file(path), str(path), key)


def select_arrays(
    tables: Mapping[str, RowTable], name: str, key: str | None = None
) -> dict[str, RowTable]:
    """Returns `features` with optional `logits`, or `images`, or `mu` and `sigma`."""
    if key is not None:
        if key not in tables:
            raise Unreadable(f"{name} has no array {shorten(key)}; there are {list_names(tables)}")
        return {"images": tables[key]}
    if FEATURES in tables:
        return {part: tables[part] for part in (FEATURES, LOGITS) if part in tables}
    named = [array for array in PREFERRED_ARRAY_NAMES if array in tables]
    if not named and tables.keys() >= STATISTICS_ARRAY_NAMES:
        return {part: tables[part] for part in sorted(STATISTICS_ARRAY_NAMES)}
    named = named or list(tables)
    if not tables or (len(tables) > 1 and named[0] not in PREFERRED_ARRAY_NAMES):
        raise Unreadable(choose_array(name, tables))
    return {"images": tables[named[0]]}


def list_names(tables: Mapping[str, RowTable]) -> str:
    """Returns the first names of arrays, each cut to a readable length."""
    more = len(tables) - MAX_NAMES_SHOWN
    some = ", ".join(map(shorten, sorted(tables)[:MAX_NAMES_SHOWN]))
    return some + (f" and {more:,} more" if more > 0 else "")


def choose_array(name: str, tables: Mapping[str, RowTable]) -> str:
    if not tables:
        return f"{name} has no arrays that can be read"
    if any(array.split(".")[-1] in ("weight", "bias") for array in tables):
        return (
            f"{name} holds network weights, not images: export the network with torch.export or torch.jit, "
            "or pass a function that generates images, as module:function"
        )
    first = shorten(next(iter(tables)))
    return (
        f"{name} holds several arrays, {list_names(tables)}: choose one, for example {name}:{first}"
    )


def open_array_file(path: Path) -> ArrayFile:
    """Returns the arrays of a file by name; raises Unreadable if the file cannot be read."""
    with explained_errors(path):
        return ArrayFile(path, ARRAY_READERS[path.suffix.lower()](path))


@contextmanager
def explained_errors(path: Path) -> Iterator[None]:
    """Raises Unreadable for any error of reading an array file."""
    try:
        yield
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, SafetensorError, EOFError, ValueError, RuntimeError) as error:
        if isinstance(error, Unreadable):
            raise
        cause = " ".join(str(error).split())[:200]
        raise Unreadable(f"{path} is not a valid {path.suffix} file: {cause}") from error


def open_npy(path: Path) -> Openers:
    with open(path, "rb") as file:
        shape, dtype = read_npy_header(file, str(path))
        size = path.stat().st_size - file.tell()
    if size < math.prod(shape) * dtype.itemsize:
        raise Unreadable(f"{path} is truncated")
    return {"images": lambda: MemoryRows(np.load(path, "r", allow_pickle=False), str(path))}


def open_npz(path: Path) -> Openers:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".npy")]
    return {name[:-4]: partial(StreamedRows, path, name[:-4]) for name in names}


def open_safetensors(path: Path) -> Openers:
    with safe_open(path, "pt") as file:
        names = list(file.keys())
    return {name: partial(SafetensorsRows, path, name) for name in names}


def open_torch_file(path: Path) -> Openers:
    """Returns the tensor, or the dict of tensors, of a `.pt` file without running code."""
    try:
        content = load_torch_file(path)
    except UnpicklingError as error:
        raise Unreadable(
            f"{path} holds more than tensors, which could run code: ganbench does not open it; save only a tensor"
        ) from error
    if isinstance(content, Tensor):
        content = {"images": content}
    if not isinstance(content, dict):
        raise Unreadable(f"{path} holds a {type(content).__name__}, not a tensor")
    tensors = {str(name): t.detach() for name, t in content.items() if is_plain_tensor(t)}
    return {name: partial(rows_of_tensor, path, name, t) for name, t in tensors.items()}


def rows_of_tensor(path: Path, name: str, tensor: Tensor) -> MemoryRows:
    # An expanded tensor repeats its stored values.
    check_expansion(str(path), tensor.nbytes, tensor.untyped_storage().nbytes())
    return MemoryRows(tensor, f"{path}: {name}")


def is_plain_tensor(content: Any) -> bool:
    """Returns whether an object is a dense tensor: not sparse, quantized or on `meta`."""
    if not isinstance(content, Tensor) or content.is_meta or content.is_quantized:
        return False
    return content.layout == torch.strided


def load_torch_file(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings on unknown pickles, which raise below
        try:
            return torch.load(path, "cpu", weights_only=True, mmap=True)
        except (RuntimeError, ValueError):  # older files cannot be memory-mapped
            return torch.load(io.BytesIO(path.read_bytes()), "cpu", weights_only=True)


ARRAY_READERS: dict[str, Callable[[Path], Openers]] = {
    ".npy": open_npy,
    ".npz": open_npz,
    ".safetensors": open_safetensors,
    ".pt": open_torch_file,
    ".pth": open_torch_file,
}
