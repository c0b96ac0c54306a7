"""Rows, jobs and errors of the stages of the GPU check."""

import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]
ERROR_LINES = 8  # of a traceback


@dataclass(frozen=True)
class Row:
    """A measured value, or the sentence why it is missing (`note`); `low` and `high` bound it."""

    what: str
    value: float | None = None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    note: str = ""
    text: str = ""  # several lines, such as a leaderboard


@dataclass(frozen=True)
class Job:
    """The settings of a stage. `known` holds the rows that an earlier attempt measured.

    `folder` is empty and temporary; `out` is that of the record.
    """

    device: torch.device
    tiny: bool
    seconds: float
    folder: Path
    out: Path
    known: frozenset[str] = frozenset()
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds_left(self) -> float:
        return self.seconds - (time.monotonic() - self.began)

    def synchronize(self) -> None:
        """Waits for the device. Raises the error of a broken GPU, on which nothing more can run."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def attempt(job: Job, what: str, measure: Callable[[], Iterator[Row]]) -> Iterator[Row]:
    """Yields the rows of a measurement, or a row with its error; a broken GPU ends the stage."""
    try:
        yield from measure()
    except Exception as error:
        yield Row(what, note=describe_error(error), text=last_lines(traceback.format_exc()))
        job.synchronize()
    release_memory(job.device)


def describe_error(error: Exception) -> str:
    """Returns the kind and the first line of an error."""
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"


def last_lines(text: str, count: int = ERROR_LINES) -> str:
    return "\n".join(text.strip().splitlines()[-count:])


def release_memory(device: torch.device) -> None:
    """Returns unused memory of the GPU, for the next measurement."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
