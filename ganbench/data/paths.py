"""Folders for downloaded data and weights, and for caches."""

import os
from pathlib import Path
from typing import Protocol, runtime_checkable

from ganbench.files import expand_home


def data_root() -> Path:
    """Returns the folder in GANBENCH_DATA, or `ganbench/data` in the user's cache folder."""
    return folder_from_environment("GANBENCH_DATA", "data")


def cache_root() -> Path:
    """Returns the folder in GANBENCH_CACHE, or `ganbench/references` in the user's caches.

    Its files can be deleted; ganbench recomputes them.
    """
    return folder_from_environment("GANBENCH_CACHE", "references")


def folder_from_environment(variable: str, name: str) -> Path:
    if given := os.environ.get(variable):
        return expand_home(given)
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "ganbench" / name


@runtime_checkable
class Downloadable(Protocol):
    """Anything that `ganbench download` can download. No other command downloads."""

    def download(self) -> None: ...
