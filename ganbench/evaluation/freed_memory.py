"""Keeps freed memory in the process while a network computes features.

The GNU C library returns a large block to the system as soon as it is freed. The system then clears the
pages of the next block. Networks of 224x224 pixels and more spent up to two thirds of their time so.
"""

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4  # parameters of mallopt, from malloc.h
LARGEST_THRESHOLD = 2**25  # bytes; glibc itself raises its threshold to this on 64-bit systems
MAPPED_BLOCKS = 65_536  # glibc's default


@contextmanager
def keep_freed_memory() -> Iterator[None]:
    """Keeps freed blocks for the next ones, and returns them to the system at the end.

    It changes nothing in values, and does nothing without the GNU C library. It applies to the whole process:
    the first of two overlapping contexts that ends costs the other one its speed alone.
    """
    if not has_glibc():
        yield
        return
    library = ctypes.CDLL(None)
    library.mallopt(MMAP_MAX, 0)
    library.mallopt(TRIM_THRESHOLD, -1)  # never
    try:
        yield
    finally:
        library.mallopt(MMAP_MAX, MAPPED_BLOCKS)
        library.mallopt(MMAP_THRESHOLD, LARGEST_THRESHOLD)
        library.mallopt(TRIM_THRESHOLD, 2 * LARGEST_THRESHOLD)
        library.malloc_trim(0)


@cache
def has_glibc() -> bool:
    return platform.libc_ver()[0] == "glibc"
