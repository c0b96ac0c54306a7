"""Limits of the settings of points: the number of modes, and the scales of the plane."""

from collections.abc import Iterable

MAX_MODES = 10_000  # metrics compare each point with each mode
MAX_SCALE = 1e6  # of radius, spacing and std, which float32 holds with their squares


def check_point_settings(modes: int, scales: Iterable[float]) -> None:
    """Raises ValueError for more modes, or a larger scale, than metrics can measure."""
    if modes > MAX_MODES:
        raise ValueError(f"there may be at most {MAX_MODES:,} modes, not {modes:,}")
    for scale in scales:
        if abs(scale) > MAX_SCALE:
            raise ValueError(f"radius, spacing and std may be at most {MAX_SCALE:g}, not {scale}")
