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

KERNEL_GAMMA = 0.1  # its gamma: values a few times the noise apart count as unlike
CHANGE_PENALTY = 1.5  # a change must gain so much
MIN_CHANGE_IN_NOISE = 2.5  # standard errors between two medians that are two levels
MIN_LEVEL_POINTS = 3  # points a level; one or two that are off are no level yet
MIN_RELATIVE_NOISE = (
    1e-3  # the least noise, of the level: what is always the same is never exactly that
)


class DetectorNotInstalled(GanbenchError, RuntimeError):
    """The library that finds change points is not installed."""


def find_change_points(values: Sequence[float] | Values) -> list[int]:
    """The place of the first value of each new level, in order; raises NotDownloaded without `ruptures`."""
    library = import_detector()
    if len(values) < 2 * MIN_LEVEL_POINTS:
        return []
    scaled = in_units_of_noise(np.asarray(values, dtype=np.float64))
    algorithm = library.KernelCPD(
        kernel="rbf", min_size=MIN_LEVEL_POINTS, params={"gamma": KERNEL_GAMMA}
    )
    edges = [0, *algorithm.fit(scaled[:, None]).predict(pen=CHANGE_PENALTY)]
    parts = zip(edges, edges[1:], edges[2:], strict=False)
    return [int(b) for a, b, c in parts if has_level_change(scaled[a:b], scaled[b:c])]


def has_level_change(before: Values, after: Values) -> bool:
    """Do their medians, by more than the noise, which is 1, makes of so few?"""
    error = np.sqrt(1 / len(before) + 1 / len(after))
    return bool(abs(np.median(after) - np.median(before)) > MIN_CHANGE_IN_NOISE * error)


def import_detector() -> ModuleType:
    try:
        return importlib.import_module("ruptures")
    except ImportError:
        raise DetectorNotInstalled(
            "change points are not looked for: `pip install ruptures` does it, on Python before 3.14"
        ) from None


def in_units_of_noise(values: Values) -> Values:
    """Distances from the median, in units of the noise."""
    positive = bool((values > 0).all())
    values = np.log(values) if positive else values / (np.abs(values).max() or 1.0)
    level = 1.0 if positive else float(np.median(np.abs(values)))
    least = max(MIN_RELATIVE_NOISE * level, 1e-9)
    return (values - np.median(values)) / max(estimate_noise(values), least)


def estimate_noise(values: Values) -> float:
    """The standard deviation of a normal distribution whose differences have the same MAD."""
    differences = np.diff(values)
    spread = np.median(np.abs(differences - np.median(differences)))
    return float(1.4826 * spread / np.sqrt(2))
