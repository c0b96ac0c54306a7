"""The disk cache of real examples: derived tensors for later processes on this machine.

The name of a folder is a hash of everything that determines its content:

- the data's content
- the extractor, its weights and the extractors' sources
- torch and the device

Tensors that metrics derive from features are in a subfolder, named by the hash of the metrics'
sources. All files may be deleted at any time and are computed again.
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
from ganbench.files import hash_json, sweep_temporary_files, write_bytes
from ganbench.local_files import used_digests
from ganbench.registry import Registry
from ganbench.source_hash import hash_file, package_modules, path_of


class DiskCache(Cache):
    """A cache that stores entries with a text as name in a folder, and others in memory.

    A damaged file counts as missing. A folder without write access costs time only.
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
            sweep_temporary_files(self.folder)  # of a process that died while it wrote this entry
            write_bytes(self.path_of_entry(name), content)
        except OSError:  # a full disk, or no write access
            pass


def cache_folder_of(facts: dict[str, Any]) -> Path:
    """Returns the cache folder for a set of facts.

    The torch version and the number of threads are added, because they change the last digits.
    """
    numerics = {"torch": torch.__version__, "threads": torch.get_num_threads()}
    return cache_root() / hash_json({**facts, **numerics}, digits=32)


def hash_sources_of_kind(registry: Registry) -> str:
    """Returns the hash of the sources of a registry's parts, plugins and local files.

    A change of these sources invalidates the features or tensors that they computed.
    """
    installed, local = _hash_installed_sources(registry), used_digests(registry.kind)
    if not local:
        return installed
    return hashlib.sha256(" ".join([installed, *local]).encode()).hexdigest()[:16]


@cache
def _hash_installed_sources(registry: Registry) -> str:
    package = find_spec(registry.package)
    assert package
    own = (Path(place).glob("*.py") for place in package.submodule_search_locations or ())
    files = {path for paths in own for path in paths}
    files |= {
        path_of(module)
        for target in registry.plugin_targets()
        for module in package_modules(target.partition(":")[0])
    }
    hashes = sorted(hash_file(path) for path in files)
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()[:16]
