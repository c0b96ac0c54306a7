"""Shelves on the disk: what was made of real examples is kept for every later process on this machine.

A folder is named by the hash of all that decides what is in it: the data's content, the extractor, its
weights and the extractors' sources, torch, the device. What metrics derive from features lies in one more
folder, named by the hash of the metrics' sources. Everything may be deleted at any time, and is made again.
"""

import hashlib
from collections.abc import Hashable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from ganbench.data.paths import cache_root
from ganbench.evaluation.metrics.feature_set import Cache, Tensors
from ganbench.files import hash_json, write_bytes
from ganbench.registry import Registry
from ganbench.source_hash import hash_file, path_of


class DiskCache(Cache):
    """Keeps in a folder what has a text for a name, and the rest in memory.

    A file that is damaged is as good as none; a folder that cannot be written costs time only.
    """

    def __init__(self, folder: Path, device: torch.device):
        super().__init__()
        self.folder, self.device = folder, device

    def path_of_entry(self, name: str) -> Path:
        return self.folder / f"{quote(name, safe='()=, ')}.safetensors"

    def get(self, name: Hashable) -> Tensors | None:
        tensors = super().get(name)
        if tensors is None and isinstance(name, str):
            tensors = self.read_entry(name)
            if tensors is not None:
                super().put(name, tensors)
        return tensors

    def put(self, name: Hashable, tensors: Tensors) -> None:
        super().put(name, tensors)
        if isinstance(name, str):
            self.write_entry(name, tensors)

    def read_entry(self, name: str) -> Tensors | None:
        try:
            tensors = load(self.path_of_entry(name).read_bytes())
        except (OSError, SafetensorError):
            return None
        return {key: tensor.to(self.device) for key, tensor in tensors.items()}

    def write_entry(self, name: str, tensors: Tensors) -> None:
        try:
            content = save({key: tensor.contiguous().cpu() for key, tensor in tensors.items()})
            write_bytes(self.path_of_entry(name), content)
        except OSError:  # a full disk, or a place that others own
            pass


def cache_folder_of(facts: dict[str, Any]) -> Path:
    """The folder for what these facts decide, with the numerics that decide the last digits."""
    numerics = {"torch": torch.__version__, "threads": torch.get_num_threads()}
    return cache_root() / hash_json({**facts, **numerics}, digits=32)


@cache
def hash_sources_of_kind(registry: Registry) -> str:
    """The hash of the sources of a kind of parts, plugins' included: what they see, or derive, is theirs."""
    package = find_spec(registry.package)
    assert package
    own = (Path(place).glob("*.py") for place in package.submodule_search_locations or ())
    files = {path for paths in own for path in paths}
    files |= {path_of(target.partition(":")[0]) for target in registry.modules().values()}
    hashes = sorted(hash_file(path) for path in files)
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()[:16]
