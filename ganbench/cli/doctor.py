"""Checks of this machine: packages, devices, disk, data sets and extractor weights."""

import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from ganbench.counts import count_of, format_bytes
from ganbench.data import DATA
from ganbench.data.base import NotDownloaded
from ganbench.data.paths import cache_root
from ganbench.devices import usable_cpus
from ganbench.evaluation.evaluator import evaluator_for
from ganbench.evaluation.extractors import DISTANCES, EXTRACTORS
from ganbench.evaluation.extractors.base import Extractor
from ganbench.experiments.provenance import PACKAGES
from ganbench.registry import Registry, SpecError

MIN_FREE_BYTES = 1 << 30  # for the generators and logs of a large suite


def examine_machine() -> list[dict[str, Any]]:
    """Returns findings: a name, whether it is ok and needed, and its version or the remedy."""
    return [
        *examine_packages(),
        *examine_devices(),
        examine_disk(),
        examine_cache(),
        *examine_extractors(),
        *examine_data_sets(),
    ]


def make_finding(item: str, ok: bool, detail: str, needed: bool = True) -> dict[str, Any]:
    return {"item": item, "ok": ok, "detail": detail, "needed": needed}


def make_optional_finding(item: str, purpose: str, missing: NotDownloaded) -> dict[str, Any]:
    """Returns the finding of an optional item that is not on this machine."""
    return make_finding(
        item, False, f"optional, needed for {purpose}: {missing.one_line()}", needed=False
    )


def examine_packages() -> Iterator[dict[str, Any]]:
    for name in PACKAGES:
        try:
            yield make_finding(name, True, version(name))
        except PackageNotFoundError:
            yield make_finding(name, False, f"pip install {name}")


def examine_devices() -> Iterator[dict[str, Any]]:
    yield make_finding(
        "cpu", True, f"{count_of(usable_cpus(), 'usable core')}; a worker trains on one"
    )
    if torch.cuda.is_available():
        yield make_finding("cuda", True, torch.cuda.get_device_name(0), needed=False)
    else:
        text = "optional: PyTorch finds no NVIDIA GPU, so suites run with their cpu budget"
        yield make_finding("cuda", False, text, needed=False)


def examine_disk() -> dict[str, Any]:
    free = shutil.disk_usage(Path.cwd()).free
    text = f"{format_bytes(free)} free here"
    return make_finding(
        "disk", free > MIN_FREE_BYTES, text if free > MIN_FREE_BYTES else f"{text}: make room"
    )


def examine_cache() -> dict[str, Any]:
    """Reports the size of the reference cache, which can be deleted at any time."""
    size = sum(path.stat().st_size for path in cache_root().rglob("*.safetensors"))
    text = f"{format_bytes(size)} of cached features in {cache_root()}"
    return make_finding("references", True, text, needed=False)


def examine_extractors() -> Iterator[dict[str, Any]]:
    """Checks the extractors of any images, and LPIPS.

    Classifiers are listed with their data sets.
    """
    for name in EXTRACTORS:
        if has_required_settings(EXTRACTORS, name):
            continue
        try:
            part: Extractor = EXTRACTORS.make(name)
            text = (
                f"SHA-256 {sha256[:8]}..." if (sha256 := part.weights_hash()) else "has no weights"
            )
            yield make_finding(part.label_with_weights(name), True, text, needed=False)
        except NotDownloaded as missing:
            yield make_optional_finding(name, f"extractor='{name}'", missing)
    for name in DISTANCES:
        try:
            DISTANCES.make(name)
            yield make_finding(name, True, "its weights are here", needed=False)
        except NotDownloaded as missing:
            yield make_optional_finding(
                name, "metrics of perceptual distances, such as ppl", missing
            )


def examine_data_sets() -> Iterator[dict[str, Any]]:
    for name in DATA:
        if has_required_settings(DATA, name):
            continue  # such as `folder`: it needs a path
        try:
            evaluator = evaluator_for(name, "cpu")
            reals = count_of(evaluator.protocol.real, "real")
            counts = f"{reals}, {evaluator.protocol.fake:,} held out"
            yield make_finding(
                name, True, f"{counts}; {evaluator.protocol.extractor}", needed=False
            )
        except NotDownloaded as missing:
            yield make_optional_finding(name, f"suites with the data set {name}", missing)


def has_required_settings(registry: Registry, name: str) -> bool:
    try:
        registry.resolve(name)
    except SpecError:
        return True
    return False
