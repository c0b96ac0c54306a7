"""Evaluation: a protocol says what is compared with what, and a yardstick measures by it."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .data import DATA
from .data.base import IMAGE, Data, Split, as_stored
from .extractors import EXTRACTORS
from .extractors.base import Extractor, extracted
from .metrics import METRICS
from .metrics.base import Measurement, Unmeasurable, prepare
from .metrics.sample import Sample
from .store import read_json, write_json

Reading = Measurement | str  # a value, or the sentence why there is none


@dataclass(frozen=True)
class Protocol:
    """What a number means. Numbers of different protocols never share a column."""

    data: str
    fingerprint: str  # SHA-256 of the data's content
    extractor: str
    extractor_version: int
    weights: str | None  # SHA-256 of the extractor's weights
    real: int  # the first examples of the training split: the reference
    fake: int  # as many as the held-out split has, which the floor is measured on
    rounding: str = "nearest of 256 levels, clamped"
    version: int = 1

    @cached_property
    def id(self) -> str:
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def __str__(self) -> str:
        return (
            f"{self.extractor}, {self.fake} fakes against {self.real} training examples "
            f"of {self.data} [{self.id}]"
        )


class Yardstick:
    """Measures images against the training split of a data set, on its extractor's features."""

    def __init__(self, data: str, device: torch.device):
        self.name = DATA.label(data)
        self.data: Data = DATA.make(data)
        self.device = device

    @cached_property
    def split(self) -> Split:
        return self.data.load()

    @cached_property
    def fingerprint(self) -> str:
        return self.split.fingerprint()

    @cached_property
    def extractor(self) -> Extractor:
        return EXTRACTORS.make(self.data.extractor).to(self.device)

    @cached_property
    def protocol(self) -> Protocol:
        return Protocol(
            data=self.name,
            fingerprint=self.fingerprint,
            extractor=EXTRACTORS.label(self.data.extractor),
            extractor_version=self.extractor.version,
            weights=self.extractor.weights(),
            real=len(self.reference),
            fake=len(self.split.held_out[IMAGE]),
        )

    @property
    def reference(self) -> Tensor:
        """The real images that fakes are measured against."""
        return self.split.train[IMAGE].images[: self.data.reference]

    @cached_property
    def real(self) -> Sample:
        return self.sample(self.reference)

    def sample(self, images: Tensor) -> Sample:
        """What the extractor makes of stored images or points."""
        found = extracted(self.extractor, images.to(self.device))
        return replace(
            found,
            mixture=self.split.mixture,
            classes_are_modes=self.extractor.tells_the_datas_classes,
        )

    def measure(self, images: Tensor, metrics: tuple[str, ...]) -> dict[str, Reading]:
        """Each metric of fakes in [-1, 1] or points, by its label."""
        return self.readings(self.sample(as_stored(images)), metrics)

    def floor(self, metrics: tuple[str, ...]) -> dict[str, Reading]:
        """What a perfect generator would score: held-out data in the place of the fakes."""
        return self.readings(self.sample(self.split.held_out[IMAGE].images), metrics)

    @cached_property
    def watched_floor(self) -> dict[str, float]:
        """What held-out data would score in the metrics that show collapse."""
        return values(self.floor(self.data.watch))

    def readings(self, fake: Sample, metrics: tuple[str, ...]) -> dict[str, Reading]:
        prepare(map(METRICS.make, metrics), fake, self.real)
        return {METRICS.label(metric): self.reading(fake, metric) for metric in metrics}

    def reading(self, fake: Sample, metric: str) -> Reading:
        try:
            return METRICS.make(metric)(fake, self.real)
        except Unmeasurable as reason:
            return str(reason)


def values(readings: dict[str, Reading]) -> dict[str, float]:
    """Those readings that have a value."""
    return {k: r.value for k, r in readings.items() if isinstance(r, Measurement)}


@lru_cache(maxsize=8)
def yardstick(data: str, device: str) -> Yardstick:
    """One yardstick a data set and process: the real side is computed once."""
    return Yardstick(data, torch.device(device))


def unmeasured(path: Path, metrics: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the metrics that a file of readings lacks, or has from another version of the metric."""
    known = readings_in(path)
    versions = {metric: METRICS.identity(metric)["version"] for metric in metrics}
    return tuple(
        metric
        for metric, version in versions.items()
        if known.get(METRICS.label(metric), {}).get("version") != version
    )


def add_readings(path: Path, protocol: Protocol, readings: dict[str, Reading]) -> None:
    """Adds to a file of readings, which holds those of one protocol, each with its metric's version."""
    new = {
        metric: {
            "version": METRICS.identity(metric)["version"],
            **({"reason": reading} if isinstance(reading, str) else asdict(reading)),
        }
        for metric, reading in readings.items()
    }
    write_json(path, {"protocol": asdict(protocol), "metrics": readings_in(path) | new})


def readings_in(path: Path) -> dict[str, Any]:
    return dict((read_json(path) or {"metrics": {}})["metrics"])
