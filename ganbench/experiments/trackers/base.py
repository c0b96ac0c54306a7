"""A tracker shows the course of trials in another program, one way: nothing is ever read back from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from ganbench.errors import GanbenchError


class TrackerUnavailable(GanbenchError, RuntimeError):
    """Why a tracker cannot be used, and what to do about it."""


@dataclass(frozen=True)
class TrackedTrial:
    """A trial as trackers know it."""

    id: str  # 16 digits
    label: str
    settings: Mapping[str, str | int | float]  # what it is made of, as its spec says


class Tracker:
    """What a tracker must do. `begin` comes before the rest, once a trial and process."""

    version: ClassVar[int] = 1
    neutral: ClassVar[dict[str, Any]] = {}

    def open(self, suite: str, folder: Path) -> None:
        """Before all: the suite's name and its folder. Raises TrackerUnavailable if a package is missing."""

    def begin(self, trial: TrackedTrial) -> None:
        raise NotImplementedError

    def log(self, trial: TrackedTrial, step: int, values: Mapping[str, float]) -> None:
        """Numbers of a training after so many steps; steps of a trial never fall."""
        raise NotImplementedError

    def end(
        self, trial: TrackedTrial, outcome: str, values: Mapping[str, float], picture: Path
    ) -> None:
        """How a trial ended, what was measured of it, and where its samples lie if there are any."""
        raise NotImplementedError

    def close(self) -> None:
        """After all: what is still held is written."""


def import_tracker_package(name: str, extra: str) -> Any:
    """The package behind a tracker; raises TrackerUnavailable with the command that installs it."""
    try:
        return import_module(name)
    except ImportError as error:
        raise TrackerUnavailable(
            f"{error.name} is not installed: pip install 'ganbench[{extra}]'"
        ) from None
