"""Detects change points: positions where a series of measurements moves to another level.

The segmentation is optimal under a penalty per change point (PELT, Killick et al., 2012) and a kernel
cost (KernelCPD, Arlot et al., 2019). The library `ruptures` computes it. If all values are positive,
their logarithms are used. Values are scaled by their noise, 1.4826 MAD of their differences / √2,
because single steps hardly affect that estimate.

The kernel is Gaussian: in contrast to a squared error, it bounds the influence of an outlier. It also
reacts to changes of the spread. A change is therefore reported only if the medians on both sides differ
clearly. Penalty and kernel were chosen by simulation, see `detector_error_rates`. The method assumes
independent noise, so it reports a drift as steps.
"""

import importlib
from collections.abc import Sequence
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from ganbench.errors import GanbenchError

Values = NDArray[np.float64]

KERNEL_GAMMA = 0.1  # gamma of the kernel: values a few noise units apart count as dissimilar
CHANGE_PENALTY = 1.5  # minimum gain of the cost per change point
MIN_CHANGE_IN_NOISE = 2.5  # minimum standard errors between two medians
MIN_LEVEL_POINTS = 3  # minimum points per level; one or two outliers are no level
MIN_RELATIVE_NOISE = 1e-3  # lower bound of the noise, relative to the level


class DetectorNotInstalled(GanbenchError, RuntimeError):
    """The library that finds change points is not installed."""


def find_change_points(values: Sequence[float] | Values) -> list[int]:
    """Returns the index of the first value of each new level, in order.

    Raises DetectorNotInstalled without `ruptures`.
    """
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
    """Returns whether the medians differ by more than noise of standard deviation 1 explains."""
    error = np.sqrt(1 / len(before) + 1 / len(after))
    return bool(abs(np.median(after) - np.median(before)) > MIN_CHANGE_IN_NOISE * error)


def import_detector() -> ModuleType:
    try:
        return importlib.import_module("ruptures")
    except ImportError:
        raise DetectorNotInstalled(
            "change points were not searched for: run `pip install ruptures` (Python before 3.14)"
        ) from None


def in_units_of_noise(values: Values) -> Values:
    """Returns the differences from the median, in units of the noise."""
    positive = bool((values > 0).all())
    values = np.log(values) if positive else values / (np.abs(values).max() or 1.0)
    level = 1.0 if positive else float(np.median(np.abs(values)))
    least = max(MIN_RELATIVE_NOISE * level, 1e-9)
    return (values - np.median(values)) / max(estimate_noise(values), least)


def estimate_noise(values: Values) -> float:
    """Estimates the standard deviation from the MAD of the differences, for normal noise."""
    differences = np.diff(values)
    spread = np.median(np.abs(differences - np.median(differences)))
    return float(1.4826 * spread / np.sqrt(2))
