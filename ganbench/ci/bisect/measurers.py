"""Measurements of a commit in fresh processes: a command, a suite, or a benchmark."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ganbench.analysis.metric_scale import MetricScale
from ganbench.ci.performance.benchmark_names import (
    benchmark_kinds,
    find_benchmark,
    kind_of,
    subject_words,
)
from ganbench.ci.performance.interleaving import log_ratio
from ganbench.ci.performance.process import (
    COUNTS,
    TIMES,
    BenchmarkReading,
    CannotRun,
    HarnessRunner,
    ProcessMeasurements,
)
from ganbench.ci.performance.revisions import RevisionSide, harness_environment
from ganbench.ci.performance.verdicts import EXACT_COUNT_MARGIN
from ganbench.errors import GanbenchError

from .exact import CanaryTest, CountTest, ExactTest
from .journal import Numbers

HARNESS_FOLDER = Path(__file__).parent / "harness"
LOSS_TRACE_FILE = Path(__file__).parents[1] / "quality" / "loss_trace.py"
SUITE_PROGRAM = "measure_suite.py"
MAX_SECONDS = 3600.0  # of one process
SKIP_EXIT_CODE = 125  # as for `git bisect run`
COUNTS_OF_SPEED = ("instructions", "operators", "allocated")  # they decide for times, if counted
FIRST_BISECT_SEED = 2_000_000  # of trainings; gates and baselines use smaller seeds


class CannotMeasure(GanbenchError, RuntimeError):
    """A commit cannot be measured; the search skips it."""


class Measurer(Protocol):
    """One way to measure a commit."""

    @property
    def title(self) -> str:
        """The name of the measure in sentences."""

    @property
    def scale(self) -> MetricScale:
        """The better direction and the scale on which values are averaged."""

    @property
    def has_exact(self) -> bool:
        """Whether `exact` can answer."""

    def exact(self, side: RevisionSide) -> Numbers:
        """Returns numbers that the same code repeats exactly; raises CannotMeasure."""

    def exact_test(self, good: Numbers, bad: Numbers, any_digit: bool) -> ExactTest | None:
        """Returns the test of exact numbers, or None if they do not show a worsening.

        With `any_digit` the smallest difference counts.
        """

    def value(self, side: RevisionSide, number: int) -> float:
        """Returns one noisy value; infinity for a failed training; raises CannotMeasure."""


# A command of the user


@dataclass
class CommandMeasurer:
    """Reads the number on the last line that a shell command prints in the commit's tree."""

    command: str
    better: str = "lower"
    seconds: float = MAX_SECONDS
    has_exact: bool = False

    @property
    def title(self) -> str:
        return f"the number of `{self.command}`"

    @property
    def scale(self) -> MetricScale:
        return MetricScale(self.better, "none")

    def exact(self, side: RevisionSide) -> Numbers:
        raise CannotMeasure("a command has no exact numbers")

    def exact_test(self, good: Numbers, bad: Numbers, any_digit: bool) -> ExactTest | None:
        return None

    def value(self, side: RevisionSide, number: int) -> float:
        around = command_environment(side, number)
        code, output, errors = run_process(self.command, side.root, around, self.seconds)
        if code == SKIP_EXIT_CODE:
            raise CannotMeasure(f"the command skipped it (exit code {SKIP_EXIT_CODE})")
        if code:
            raise CannotMeasure(f"the command failed with code {code}: {last_line(errors)}")
        return parse_score(output)


def command_environment(side: RevisionSide, number: int) -> dict[str, str]:
    """Returns the environment of a user's command: the commit's modules come first."""
    paths = [*map(str, side.import_path), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "GANBENCH_BISECT_COMMIT": side.revision,
        "GANBENCH_BISECT_SEED": str(number),
    }


def parse_score(output: str) -> float:
    """Returns the number on the last line; raises CannotMeasure without one."""
    last = last_line(output)
    try:
        return float(last)
    except ValueError:
        raise CannotMeasure(
            f"the command's last line is {last!r}: print one number on it"
        ) from None


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "nothing was printed"


def run_process(
    command: str | Sequence[str], folder: Path, around: dict[str, str], seconds: float
) -> tuple[int, str, str]:
    """Runs a process; returns its exit code, output and errors.

    Raises CannotMeasure after a time limit. The limit and Ctrl-C also end the children of a shell.
    """
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=around,
        shell=isinstance(command, str),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise CannotMeasure(f"it did not end within {seconds:g} s") from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    return process.returncode, output, errors


# The cells of a suite


@dataclass
class SuiteMeasurer:
    """Trains cells of a suite by the commit's own ganbench, in a fresh process."""

    suite: Path
    metric: str
    cells: tuple[str, ...]  # labels
    profile: str
    device: str
    scale: MetricScale
    scratch: Path
    here: Path  # the folder whose counterpart in the trees is the current one
    trust: bool = False
    seconds: float = MAX_SECONDS
    has_exact: bool = True
    count: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.harness = self.scratch / "bisect_harness"
        shutil.copytree(HARNESS_FOLDER, self.harness, ignore=shutil.ignore_patterns("__pycache__"))
        # The running version's canary measures all commits, so a change of the canary is no change.
        shutil.copy(LOSS_TRACE_FILE, self.harness / "loss_trace.py")

    @property
    def title(self) -> str:
        where = self.cells[0] if len(self.cells) == 1 else f"{len(self.cells)} cells"
        return f"{self.metric} of {where}"

    def exact(self, side: RevisionSide) -> Numbers:
        numbers: Numbers = self.run(side, "trace", 0)["numbers"]
        return numbers

    def exact_test(self, good: Numbers, bad: Numbers, any_digit: bool) -> ExactTest | None:
        return CanaryTest.of(good, bad, any_digit)

    def value(self, side: RevisionSide, number: int) -> float:
        values = self.run(side, "train", FIRST_BISECT_SEED + number)["values"]
        if None in values.values():
            return math.inf
        return self.scale.mean([float(value) for value in values.values()])

    def run(self, side: RevisionSide, work: str, seed: int) -> dict[str, Any]:
        """Runs the harness's program in a process; raises CannotMeasure."""
        self.count += 1
        place = self.scratch / f"{self.count:03}-{side.name}"
        place.mkdir()
        order = {
            "home": side.home_text,
            "suite": str(self.place_suite(side)),
            "work": work,
            "seed": seed,
            "metric": self.metric,
            "cells": list(self.cells),
            "profile": self.profile,
            "device": self.device,
            "trust": self.trust,
            "results": str(place / "results"),
            "answer": str(place / "answer.json"),
        }
        (place / "order.json").write_text(json.dumps(order), "utf-8")
        around = harness_environment(side, self.scratch, place / "order.json")
        command = [sys.executable, str(self.harness / SUITE_PROGRAM), str(place / "order.json")]
        code, _, errors = run_process(command, side.root, around, self.seconds)
        if code or not (place / "answer.json").exists():
            raise CannotMeasure(last_line(errors))
        answer: dict[str, Any] = json.loads((place / "answer.json").read_text("utf-8"))
        shutil.rmtree(place, ignore_errors=True)
        return answer

    def place_suite(self, side: RevisionSide) -> Path:
        """Writes today's suite into a tree, beside the commit's own local files."""
        inside = self.suite.resolve()
        if inside.is_relative_to(self.here.resolve()):
            place = side.root / inside.relative_to(self.here.resolve())
        else:
            place = self.scratch / "suite" / self.suite.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(self.suite.read_bytes())
        return place


# A benchmark of the performance gate


@dataclass
class BenchmarkMeasurer:
    """Counts or times one benchmark of the performance gate, in fresh processes.

    A time is a multiple of the time of the good end, whose windows took turns with it on one core.
    """

    benchmark: str  # as given, such as step[dcgan]
    runner: HarnessRunner
    open_good: Callable[[], RevisionSide] = field(init=False)
    names: tuple[str, ...] = ()  # of the exact counts, found by `resolve`
    timed: str = ""  # name of the benchmark of times, empty for a count
    has_exact: bool = True

    @property
    def title(self) -> str:
        return self.timed or self.names[0]

    @property
    def scale(self) -> MetricScale:
        return MetricScale("lower", "log")

    def resolve(self, open_good: Callable[[], RevisionSide]) -> None:
        """Finds the full names of the benchmark in the tree of the good end.

        Raises NoSuchBenchmark and CannotRun.
        """
        self.open_good = open_good
        collected = self.runner.measure(open_good(), (COUNTS, TIMES), names=()).collected
        chosen = find_benchmark(self.benchmark, collected)
        if kind_of(chosen) in benchmark_kinds(COUNTS):
            self.names = (chosen,)
            return
        self.timed, wanted = chosen, subject_words(chosen)
        counted = [f"{kind}[{wanted}]" for kind in COUNTS_OF_SPEED]
        self.names = tuple(name for name in counted if name in collected)
        self.has_exact = bool(self.names)

    def exact(self, side: RevisionSide) -> Numbers:
        return {**self.count(side)}

    def exact_test(self, good: Numbers, bad: Numbers, any_digit: bool) -> ExactTest | None:
        margin = EXACT_COUNT_MARGIN if self.timed and not any_digit else 0.0
        return CountTest.of(good, bad, margin)

    def value(self, side: RevisionSide, number: int) -> float:
        if not self.timed:
            return self.count(side)[self.names[0]]
        sides = [self.open_good(), side]
        with skipped_if_it_cannot_run():
            pair = self.runner.measure_together(sides, names=(self.timed,), number=number)
        return math.exp(log_ratio(*(reading_of(one, self.timed) for one in pair)))

    def count(self, side: RevisionSide) -> dict[str, float]:
        with skipped_if_it_cannot_run():
            measured = self.runner.measure(side, (COUNTS,), names=self.names)
        return {name: reading_of(measured, name).value for name in self.names}


@contextmanager
def skipped_if_it_cannot_run() -> Iterator[None]:
    try:
        yield
    except CannotRun as error:
        raise CannotMeasure(str(error)) from error


def reading_of(measured: ProcessMeasurements, name: str) -> BenchmarkReading:
    """Returns the reading of a benchmark; raises CannotMeasure without one."""
    if name not in measured.readings:
        raise CannotMeasure(measured.reason_for(name) or f"it has no benchmark {name}")
    return measured.readings[name]
