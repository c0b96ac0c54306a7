"""The place where data and weights lie that are no part of this package."""

import os
from pathlib import Path
from typing import Protocol, runtime_checkable


def data_root() -> Path:
    """The folder that GANBENCH_DATA names, or else one among the user's caches."""
    return folder_from_environment("GANBENCH_DATA", "data")


def cache_root() -> Path:
    """The folder that GANBENCH_CACHE names, or else one among the user's caches: all in it is made again."""
    return folder_from_environment("GANBENCH_CACHE", "references")


def folder_from_environment(variable: str, name: str) -> Path:
    if given := os.environ.get(variable):
        return Path(given).expanduser()
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "ganbench" / name


@runtime_checkable
class Downloadable(Protocol):
    """What `ganbench download` fetches into that place. Nothing is ever fetched without being asked for."""

    def download(self) -> None: ...
