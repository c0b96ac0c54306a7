"""The scores file of a checkpoint under one protocol: values with errors, or reasons."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.base import Measurement
from ganbench.evaluation.protocols.record import ProtocolRecord
from ganbench.files import write_json

from .scores_record import read_scores

Reading = Measurement | str  # a value, or the reason why there is none


def values_of_readings(readings: dict[str, Reading]) -> dict[str, float]:
    """Returns the values of the readings that have one."""
    return {k: r.value for k, r in readings.items() if isinstance(r, Measurement)}


def unmeasured_metrics(path: Path, metrics: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the metrics that a scores file lacks or has from another metric version."""
    stored = read_readings(path)
    versions = {metric: METRICS.identity(metric)["version"] for metric in metrics}
    return tuple(
        metric
        for metric, version in versions.items()
        if stored.get(METRICS.label(metric), {}).get("version") != version
    )


def add_readings(
    path: Path,
    protocol: ProtocolRecord,
    readings: dict[str, Reading],
    expected: dict[str, float | None] | None = None,
) -> None:
    """Adds readings of one protocol to a scores file, each with its metric's version.

    The file of a floor also stores the expected values.
    """
    new = {
        metric: {
            "version": METRICS.identity(metric)["version"],
            **({"reason": reading} if isinstance(reading, str) else asdict(reading)),
            **({"expected": expected[metric]} if expected else {}),
        }
        for metric, reading in readings.items()
    }
    write_json(path, {"protocol": asdict(protocol), "metrics": read_readings(path) | new})


def read_readings(path: Path) -> dict[str, Any]:
    return dict((read_scores(path) or {"metrics": {}})["metrics"])
