"""An examination of the machine: what is here, and what to do about what is missing."""

import os
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from ganbench.data import DATA
from ganbench.data.base import Missing
from ganbench.data.paths import references
from ganbench.evaluation.evaluator import yardstick
from ganbench.evaluation.extractors import DISTANCES, EXTRACTORS
from ganbench.evaluation.extractors.base import Extractor
from ganbench.experiments.provenance import PACKAGES
from ganbench.registry import Index, SpecError

LEAST_DISK = 1 << 30  # bytes: a large suite's samplers and logs


def examination() -> list[dict[str, Any]]:
    """Findings: `what`, whether it is `ok`, whether runs need it, and what is `told` of it."""
    return [*packages(), *devices(), disk(), cache(), *extractors(), *data_sets()]


def finding(what: str, ok: bool, told: str, needed: bool = True) -> dict[str, Any]:
    return {"what": what, "ok": ok, "told": told, "needed": needed}


def packages() -> Iterator[dict[str, Any]]:
    for name in PACKAGES:
        try:
            yield finding(name, True, version(name))
        except PackageNotFoundError:
            yield finding(name, False, f"pip install {name}")


def devices() -> Iterator[dict[str, Any]]:
    yield finding("cpu", True, f"{os.cpu_count()} cores; a worker trains on one")
    if torch.cuda.is_available():
        yield finding("cuda", True, torch.cuda.get_device_name(0), needed=False)
    else:
        told = "no NVIDIA GPU that this PyTorch sees: suites run with their cpu budget"
        yield finding("cuda", False, told, needed=False)


def disk() -> dict[str, Any]:
    free = shutil.disk_usage(Path.cwd()).free
    told = f"{free / (1 << 30):.0f} GiB free here"
    return finding("disk", free > LEAST_DISK, told if free > LEAST_DISK else f"{told}: make room")


def cache() -> dict[str, Any]:
    """What is kept of real examples, which anybody may delete."""
    size = sum(path.stat().st_size for path in references().rglob("*.safetensors"))
    told = f"{size / (1 << 20):.0f} MiB of features and the like in {references()}"
    return finding("references", True, told, needed=False)


def extractors() -> Iterator[dict[str, Any]]:
    """Those that see any images, and LPIPS: what is made of one data set is told with it."""
    for name in EXTRACTORS:
        if needs_settings(EXTRACTORS, name):
            continue
        try:
            made: Extractor = EXTRACTORS.make(name)
            told = f"SHA-256 {sha256[:8]}..." if (sha256 := made.weights()) else "has no weights"
            yield finding(made.known_as(name), True, told, needed=False)
        except Missing as missing:
            yield finding(name, False, str(missing), needed=False)
    for name in DISTANCES:
        try:
            DISTANCES.make(name)
            yield finding(name, True, "its weights are here", needed=False)
        except Missing as missing:
            yield finding(name, False, str(missing), needed=False)


def data_sets() -> Iterator[dict[str, Any]]:
    for name in DATA:
        if needs_settings(DATA, name):
            continue  # a folder of one's own: nobody knows which
        try:
            measured = yardstick(name, "cpu")
            counts = f"{measured.protocol.real} reals, {measured.protocol.fake} held out"
            yield finding(name, True, f"{counts}; {measured.protocol.extractor}", needed=False)
        except Missing as missing:
            yield finding(name, False, str(missing), needed=False)


def needs_settings(index: Index, name: str) -> bool:
    try:
        index.resolve(name)
    except SpecError:
        return True
    return False
