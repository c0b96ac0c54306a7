"""Memory for data: which sets are decoded into memory, and which move to the device.

The choice affects speed alone. Examples, their order and their bits are equal either way.
"""

import os
import re
import sys
from pathlib import Path

import torch

from ganbench.errors import GanbenchError

MEMORY_VARIABLE = "GANBENCH_DATA_MEMORY"
MEMORY_SHARE = 0.25  # of the available memory that one decoded data set may fill
DEVICE_MEMORY_SHARE = 0.5  # of the free memory of a GPU: networks need the rest
MEMORY_INFO_FILE = Path("/proc/meminfo")
CGROUP_FOLDER = Path("/sys/fs/cgroup")
UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


class InvalidMemorySize(GanbenchError, ValueError):
    """A text is no amount of memory."""


def data_memory_limit() -> int:
    """Returns the largest size in bytes of a data set that is decoded into memory."""
    if given := os.environ.get(MEMORY_VARIABLE):
        return parse_memory_size(given)
    return int(MEMORY_SHARE * available_memory())


def parse_memory_size(text: str) -> int:
    """Returns the bytes of `500MB` or `2GiB`; raises InvalidMemorySize."""
    form = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    if form is None or form[2].upper() not in UNITS:
        raise InvalidMemorySize(f"{MEMORY_VARIABLE} must be a size such as 2GB, not {text!r}")
    return int(float(form[1]) * UNITS[form[2].upper()])


def available_memory() -> int:
    """Returns the bytes that this process can allocate, within the limit of its container."""
    free = read_available_memory()
    if (limit := read_cgroup_bytes("memory.max")) is None:
        return free
    return min(free, max(0, limit - (read_cgroup_bytes("memory.current") or 0)))


def read_available_memory() -> int:
    """Returns the available memory of the machine, or all its memory if it reports no more."""
    if MEMORY_INFO_FILE.exists():
        lines = MEMORY_INFO_FILE.read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        if "MemAvailable" in fields:
            return int(fields["MemAvailable"].split()[0]) * 1024
    if sys.platform == "win32":
        return 2**32
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def read_cgroup_bytes(name: str) -> int | None:
    """Returns a number of this process's control group, or None without a limit."""
    try:
        text = (CGROUP_FOLDER / name).read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


def fits_on_device(size: int, device: torch.device) -> bool:
    """Returns whether a data set of `size` bytes moves to the device."""
    if device.type != "cuda":
        return True
    return size <= DEVICE_MEMORY_SHARE * torch.cuda.mem_get_info(device)[0]
