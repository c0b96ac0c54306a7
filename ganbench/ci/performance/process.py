"""Measures one side in a fresh process of the harness, by pytest-benchmark."""

import ast
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from ganbench.errors import GanbenchError
from ganbench.files import read_json_or_none

from .revisions import RevisionSide, harness_environment

HARNESS_FOLDER = Path(__file__).parent / "harness"
TIMES, COUNTS = "test_times.py", "test_counts.py"
HARNESS_PACKAGES = {"pytest": "pytest", "pytest_benchmark": "pytest-benchmark"}
MAX_PROCESS_SECONDS = 3600  # time limit of one process in seconds
T = TypeVar("T")
MAX_CONCURRENT_PAIRS = 4  # each takes about 1.5 GB
MIN_WINDOWS = 5  # minimum windows without throttling, on a GPU


class CannotRun(GanbenchError, RuntimeError):
    """A side cannot be measured at all."""

    exit_code = 3


@dataclass(frozen=True)
class BenchmarkReading:
    """The result of one benchmark in one process: an exact count, or a time over windows."""

    value: float
    unit: str
    exact: bool
    work: str = ""  # description of the work, if it may differ between sides
    windows: tuple[float, ...] = ()  # seconds per unit of each window; CPU time if nothing waits
    wall: tuple[float, ...] = ()  # the same in wall-clock time, if different
    gpu_samples: tuple[dict[str, Any], ...] = ()  # NVML samples after each window
    steady: bool = True

    @property
    def waits(self) -> bool:
        """Whether this is the wall-clock time of work that waits, such as a process that starts."""
        return not (self.exact or self.wall or self.gpu_samples)

    def record(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class ProcessMeasurements:
    """The results of a process: readings, failed, skipped and collected benchmarks."""

    side: str
    readings: dict[str, BenchmarkReading]
    failed: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    collected: tuple[str, ...] = ()
    device: str = ""
    watched: bool = True  # whether NVML monitored the GPU; True on a CPU

    def reason_for(self, name: str) -> str:
        return self.failed.get(name) or self.skipped.get(name) or ""

    def record(self) -> dict[str, Any]:
        readings = {name: reading.record() for name, reading in self.readings.items()}
        return {"side": self.side, "readings": readings, "failed": self.failed}


def missing_packages() -> list[str]:
    """Returns the packages of the harness that are not installed."""
    return [package for module, package in HARNESS_PACKAGES.items() if find_spec(module) is None]


@cache
def harness_modules() -> tuple[str, ...]:
    """Returns the modules of ganbench that the harness imports from.

    The first call must be in the main thread: Python 3.11 up to 3.11.7 may fail where two threads
    parse at the same time (python/cpython issue 106905).
    """
    trees = [ast.parse(file.read_text("utf-8")) for file in sorted(HARNESS_FOLDER.glob("*.py"))]
    imports = [
        node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
    ]
    modules = {node.module for node in imports if node.module and node.level == 0}
    return tuple(sorted(module for module in modules if module.startswith("ganbench.")))


def require_harness_modules(side: RevisionSide) -> None:
    """Raises CannotRun for a version that lacks a module of the harness's imports."""
    if side.package_home is None:
        return
    for module in harness_modules():
        path = side.package_home.joinpath(*module.split("."))
        if not (path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()):
            raise CannotRun(
                f"{side.name} {side.revision} has no {module}, so this version cannot measure it: "
                "use the ganbench of that revision to compare it"
            )


class HarnessRunner:
    """Runs this version's harness, copied to a scratch folder, against either side."""

    def __init__(self, scratch: Path, device: str = "cpu"):
        self.scratch, self.device, self.numbers = scratch, device, itertools.count(1)
        self.harness = scratch / "perf_harness"
        shutil.copytree(HARNESS_FOLDER, self.harness, ignore=shutil.ignore_patterns("__pycache__"))
        (self.harness / "pytest.ini").write_text("[pytest]\n", "utf-8")

    def measure(
        self,
        side: RevisionSide,
        files: Sequence[str],
        words: Sequence[str] = (),
        names: Collection[str] | None = None,
        **facts: Any,
    ) -> ProcessMeasurements:
        """Measures the benchmarks of these files, words and names; raises CannotRun.

        `facts` are further keys of the order. `measured` lists the files to measure; others are only
        collected. `first`, `pipes` and `core` are those of a pair of processes.
        """
        require_harness_modules(side)
        place = self.scratch / f"{next(self.numbers):03}-{side.name}"
        place.mkdir()
        roots = [str(root.resolve()) for root in side.import_path]
        chosen = None if names is None else sorted(names)
        facts = {"measured": list(files), **facts}
        self.write_order(place, side, names=chosen, words=list(words), roots=roots, **facts)
        printed = self.run_harness(side, place, files, facts.get("pipes", ()))
        return read_measurements(
            side,
            read_json_or_none(place / "answer.json") or {},
            read_json_or_none(place / "times.json") or {},
            printed,
        )

    def write_order(self, place: Path, side: RevisionSide, **facts: Any) -> None:
        """Writes what a process of a side shall do to `order.json` in its folder."""
        always = {"home": side.home_text, "device": self.device}
        order = {**always, "answer": str(place / "answer.json"), **facts}
        (place / "order.json").write_text(json.dumps(order), "utf-8")

    def measure_together(
        self,
        sides: Sequence[RevisionSide],
        words: Sequence[str] = (),
        names: Collection[str] | None = None,
        number: int = 0,
    ) -> list[ProcessMeasurements]:
        """Times both sides in a pair of processes, whose windows take turns.

        A GPU has one process at a time. `number` is that of the pair: it decides on the core, and on
        the side that goes first.
        """
        order = 1 if number % 2 == 0 else -1
        measure = partial(self.measure, files=(TIMES,), words=words, names=names)
        if self.device != "cpu":
            return [measure(side) for side in sides[::order]][::order]
        core, pipes = core_of_pair(number), paired_pipes()
        pair = zip(sides[::order], pipes, (True, False), strict=True)
        works = [
            partial(measure_and_close, partial(measure, side, first=first, core=core), own)
            for side, own, first in pair
        ]
        return run_at_once(works)[::order]

    def run_harness(
        self, side: RevisionSide, place: Path, files: Sequence[str], pipes: Sequence[int] = ()
    ) -> str:
        """Runs the harness process; returns its output."""
        options = ["-q", "-p", "no:cacheprovider", "-p", "pytest_benchmark.plugin", "--tb=line"]
        options += ["--benchmark-disable-gc", f"--benchmark-json={place / 'times.json'}"]
        options += [f"--basetemp={place / 'temporary'}", f"--rootdir={self.harness}"]
        command = [sys.executable, "-m", "pytest", *options, *files]
        around = harness_environment(side, self.scratch, place / "order.json")
        program = f"{side.name}: the harness"
        ran = run_program(program, command, self.harness, around, MAX_PROCESS_SECONDS, pipes)
        shutil.rmtree(place / "temporary", ignore_errors=True)
        if ran.returncode < 0:
            ended_by = signal.Signals(-ran.returncode).name
            raise CannotRun(f"{program} was ended by {ended_by}, perhaps for lack of memory")
        return ran.stderr.strip() or ran.stdout.strip()


def measure_and_close(
    measure: Callable[..., ProcessMeasurements], pipes: tuple[int, int]
) -> ProcessMeasurements:
    """Measures one side, and closes its pipes even if that fails: the other side waits for it."""
    try:
        return measure(pipes=pipes)
    finally:
        for pipe in pipes:
            os.close(pipe)


def run_at_once(works: Sequence[Callable[[], T]]) -> list[T]:
    """Calls functions in threads of their own; returns their results in order."""
    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(lambda work: work(), works))


def count_concurrent_pairs(device: str) -> int:
    """Returns the number of pairs that run at the same time, each with a core for its windows."""
    return 1 if device != "cpu" else min(MAX_CONCURRENT_PAIRS, len(usable_cores()))


def usable_cores() -> list[int | None]:
    """Returns the cores of this process, or a single None where processes cannot choose."""
    return [*sorted(os.sched_getaffinity(0))] if hasattr(os, "sched_getaffinity") else [None]


def core_of_pair(number: int) -> int | None:
    """Returns the core of a pair's windows."""
    cores = usable_cores()
    return cores[number % len(cores)]


def paired_pipes() -> tuple[tuple[int, int], tuple[int, int]]:
    """Returns the reading and the writing end of each process of a pair."""
    (read_one, write_other), (read_other, write_one) = os.pipe(), os.pipe()
    return (read_one, write_one), (read_other, write_other)


def run_program(
    program: str,
    command: Sequence[str],
    folder: Path,
    around: Mapping[str, str],
    seconds: float,
    pipes: Sequence[int] = (),
) -> subprocess.CompletedProcess[str]:
    """Runs a process with these environment variables and pipes, and keeps its output.

    Raises CannotRun with the name of the program after the time limit.
    """
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env=around,
            capture_output=True,
            text=True,
            timeout=seconds,
            pass_fds=pipes,
        )
    except subprocess.TimeoutExpired as error:
        raise CannotRun(f"{program} did not finish within {seconds:.0f} s") from error


def read_measurements(
    side: RevisionSide, answer: dict[str, Any], times: dict[str, Any], printed: str
) -> ProcessMeasurements:
    """Reads the results of a process; raises CannotRun if it refused or collected nothing."""
    if "refused" in answer or not answer.get("collected"):
        last = printed.splitlines()[-1] if printed else "it printed nothing"
        raise CannotRun(f"{side.name}: {answer.get('refused', last)}")
    readings = {
        item["name"].removeprefix("test_"): make_reading(item)
        for item in times.get("benchmarks", [])
    }
    failed = {name: first_line(why) for name, why in answer["reasons"].items()}
    excluded = {*failed, *answer["skipped"]}
    return ProcessMeasurements(
        side.name,
        {name: value for name, value in readings.items() if name not in excluded},
        failed,
        {name: first_line(why) for name, why in answer["skipped"].items()},
        tuple(answer["collected"]),
        answer.get("device", ""),
        answer.get("gpu", {}).get("nvml", True),
    )


def first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0]


def make_reading(item: dict[str, Any]) -> BenchmarkReading:
    """Converts a benchmark record of pytest-benchmark to a reading."""
    extra = item["extra_info"]
    work = extra.get("work", "")
    if "count" in extra:
        return BenchmarkReading(float(extra["count"]), extra["unit"], True, work=work)
    windows = tuple(seconds / extra.get("per", 1) for seconds in item["stats"]["data"])
    facts = {"work": work, "windows": windows, "wall": tuple(extra.get("wall", ()))}
    if "looks" in extra:
        steady_windows = [w for w, bad in zip(windows, extra["held_back"], strict=True) if not bad]
        facts |= {
            "gpu_samples": tuple(extra["looks"]),
            "steady": len(steady_windows) >= MIN_WINDOWS,
        }
        return BenchmarkReading(median(steady_windows or windows), "s", False, **facts)
    # Noise can only increase CPU time, so the value is the minimum over windows.
    return BenchmarkReading(min(windows), "s", False, **facts)
