"""Change points: where a series of measurements went over to another level.

The optimal segmentation under a penalty a change (PELT, Killick et al., 2012) by a kernel (KernelCPD,
Arlot et al., 2019), as the library `ruptures` computes it. Values are taken as logarithms where all are
above 0, and in units of their noise: 1.4826 MAD of their differences / √2, which steps hardly touch.
A Gaussian kernel, unlike squares, does not count how far out an outlier lies; as it sees a change of
the spread too, a change is told only if the medians beside it differ for sure. Penalty and kernel were
chosen by simulation, see `operating`; that noise is independent is assumed: drift is told as steps.
"""

import importlib
from collections.abc import Sequence
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from ganbench.errors import GanbenchError

Values = NDArray[np.float64]

KERNEL = 0.1  # its gamma: values a few times the noise apart count as unlike
PENALTY = 1.5  # a change must gain so much
SURE = 2.5  # standard errors between two medians that are two levels
LEAST = 3  # points a level; one or two that are off are no level yet
FLOOR = 1e-3  # the least noise, of the level: what is always the same is never exactly that


class Missing(GanbenchError, RuntimeError):
    """The library that finds change points is not installed."""


def change_points(values: Sequence[float] | Values) -> list[int]:
    """The place of the first value of each new level, in order; raises Missing without `ruptures`."""
    found = detector()
    if len(values) < 2 * LEAST:
        return []
    scaled = in_noise(np.asarray(values, dtype=np.float64))
    made = found.KernelCPD(kernel="rbf", min_size=LEAST, params={"gamma": KERNEL})
    edges = [0, *made.fit(scaled[:, None]).predict(pen=PENALTY)]
    parts = zip(edges, edges[1:], edges[2:], strict=False)
    return [int(b) for a, b, c in parts if differ(scaled[a:b], scaled[b:c])]


def differ(before: Values, after: Values) -> bool:
    """Do their medians, by more than the noise, which is 1, makes of so few?"""
    error = np.sqrt(1 / len(before) + 1 / len(after))
    return bool(abs(np.median(after) - np.median(before)) > SURE * error)


def detector() -> ModuleType:
    try:
        return importlib.import_module("ruptures")
    except ImportError:
        raise Missing(
            "change points are not looked for: `pip install ruptures` does it, on Python before 3.14"
        ) from None


def in_noise(values: Values) -> Values:
    """Distances from the median, in units of the noise."""
    positive = bool((values > 0).all())
    values = np.log(values) if positive else values / (np.abs(values).max() or 1.0)
    level = 1.0 if positive else float(np.median(np.abs(values)))
    least = max(FLOOR * level, 1e-9)
    return (values - np.median(values)) / max(noise(values), least)


def noise(values: Values) -> float:
    """The standard deviation of a normal distribution whose differences have the same MAD."""
    differences = np.diff(values)
    spread = np.median(np.abs(differences - np.median(differences)))
    return float(1.4826 * spread / np.sqrt(2))
