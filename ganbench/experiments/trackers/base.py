"""The interface of trackers, which log trials to other programs (write-only)."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from ganbench.errors import GanbenchError, install_command


class TrackerUnavailable(GanbenchError, RuntimeError):
    """A tracker's package is missing; the message names the command that installs it."""


@dataclass(frozen=True)
class TrackedTrial:
    """The name and the settings of a trial, for trackers."""

    id: str  # 16 digits
    label: str
    settings: Mapping[str, str | int | float]  # from its spec.json, with flat keys


class Tracker:
    """The base class of trackers.

    `begin` is called before `log` and `end`, once per trial and process.
    """

    version: ClassVar[int] = 1
    neutral: ClassVar[dict[str, Any]] = {}

    def open(self, suite: str, folder: Path) -> None:
        """Prepares the tracker for a suite; called first.

        Raises TrackerUnavailable if a package is missing.
        """

    def begin(self, trial: TrackedTrial) -> None:
        raise NotImplementedError

    def log(self, trial: TrackedTrial, step: int, values: Mapping[str, float]) -> None:
        """Logs numbers of a training at a step; the steps of a trial never decrease."""
        raise NotImplementedError

    def end(
        self, trial: TrackedTrial, outcome: str, values: Mapping[str, float], picture: Path
    ) -> None:
        """Logs the outcome of a trial and its measured values; `picture` may not exist."""
        raise NotImplementedError

    def close(self) -> None:
        """Writes all buffered data; called last."""


def import_tracker_package(name: str, extra: str) -> Any:
    """Imports a tracker's package; raises TrackerUnavailable with the install command."""
    try:
        return import_module(name)
    except ImportError as error:
        raise TrackerUnavailable(
            f"{error.name} is not installed: {install_command(extra)}"
        ) from None
