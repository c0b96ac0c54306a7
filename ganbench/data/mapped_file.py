"""Memory-mapped files of images: rows are read where they lie, and memory stays flat.

As a tensor, the file is mapped. The system loads pages when they are used, and they count as memory of
the process until they are released. Rows of batches are read by calls instead. Calls need a fifth of the
time, leave no pages, and raise an error where a truncated mapping would end the process.
"""

import errno
import mmap
import os
import warnings
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

COPIED_BYTES_AT_ONCE = 2**26
CAN_READ_ROWS = hasattr(os, "preadv")

Rows = np.ndarray[Any, Any]


class MappedFile:
    """A file of rows, uint8 [N, ...], mapped for reading. Writing to it ends the process."""

    def __init__(self, path: Path, shape: Sequence[int]):
        self.path = path
        self.rows: Rows = np.memmap(path, np.uint8, mode="r", shape=tuple(shape))
        self.map: mmap.mmap = self.rows._mmap  # type: ignore[attr-defined]
        self.row_bytes = self.rows[:1].nbytes
        self.reader = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        weakref.finalize(self, os.close, self.reader)
        self.advise(0, 0, "RANDOM")

    def as_tensor(self) -> Tensor:
        """Returns the rows as a tensor that shares the mapping."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            return torch.from_numpy(np.asarray(self.rows))

    def read_rows(self, view: Rows, index: Sequence[int], targets: Sequence[Rows]) -> None:
        """Reads rows of a view of the file into arrays, in this order; raises OSError."""
        first = (view.ctypes.data - self.rows.ctypes.data) // self.row_bytes
        for number in index:  # so that the disk serves all of them at once
            self.advise((first + number) * self.row_bytes, self.row_bytes, "WILLNEED")
        for number, target in zip(index, targets, strict=True):
            offset = (first + number) * self.row_bytes
            if os.preadv(self.reader, [target.data], offset) < target.nbytes:
                raise OSError(errno.EIO, "the file is truncated", str(self.path))

    def advise(self, start: int, size: int, advice: str) -> None:
        """Announces how a part of the file is read, on systems where that is possible."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self.reader, start, size, getattr(os, f"POSIX_FADV_{advice}"))

    def copy_to(self, device: torch.device, view: Tensor) -> Tensor:
        """Returns a view of the rows on another device, copied in pieces."""
        copied = torch.empty_like(view, device=device)
        rows = max(1, COPIED_BYTES_AT_ONCE // self.row_bytes)
        for piece, target in zip(view.split(rows), copied.split(rows), strict=True):
            target.copy_(piece)
            self.release()
        return copied

    def release(self) -> None:
        """Removes the pages from the memory of this process. They are read again on demand."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self.map.madvise(mmap.MADV_DONTNEED)


def gather_rows(
    tensor: Tensor, index: Tensor, file: MappedFile | None = None, pinned: bool = False
) -> Tensor:
    """Returns the rows of a CPU tensor at an index of any shape, into pinned memory if wanted.

    Rows of a file are read in its order. The calling thread does all the work alone. Raises IndexError,
    or OSError.
    """
    flat, rows = index.flatten(), tensor.numpy()
    gathered = torch.empty(len(flat), *rows.shape[1:], dtype=tensor.dtype, pin_memory=pinned)
    if file is None or not CAN_READ_ROWS:
        gathered.numpy()[:] = rows[flat.numpy()]
    else:
        order = flat.argsort(stable=True)
        ascending, places = flat[order].tolist(), gathered.numpy()
        if ascending and not 0 <= ascending[0] <= ascending[-1] < len(rows):
            raise IndexError(f"rows {ascending[0]} to {ascending[-1]} of {len(rows)}")
        file.read_rows(rows, ascending, [places[number] for number in order.tolist()])
    return gathered.view(*index.shape, *rows.shape[1:])
