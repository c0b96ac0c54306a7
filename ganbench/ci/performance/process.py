"""A fresh process of the harness measures one side once, by pytest-benchmark."""

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from ganbench.errors import GanbenchError

from .revisions import RevisionSide, harness_environment

HARNESS_FOLDER = Path(__file__).parent / "harness"
TIMES, COUNTS = "test_times.py", "test_counts.py"
HARNESS_PACKAGES = {"pytest": "pytest", "pytest_benchmark": "pytest-benchmark"}
MAX_PROCESS_SECONDS = 3600  # seconds of one process, after which it hangs for certain
MIN_WINDOWS = 5  # windows at full clock, on a GPU


class CannotRun(GanbenchError, RuntimeError):
    """Why a side cannot be measured at all."""

    exit_code = 3


@dataclass(frozen=True)
class BenchmarkReading:
    """What one process found of a benchmark: exact, or the best of several windows."""

    value: float
    unit: str
    exact: bool
    paced: float = 0.0  # the value in units of a fixed piece of work beside it, where there is one
    work: str = ""  # what was done, where sides may differ in it
    windows: tuple[float, ...] = ()  # seconds a unit, all of them: of the CPU's where nothing waits
    wall: tuple[float, ...] = ()  # the same by the clock, where that is another
    looks: tuple[dict[str, Any], ...] = ()  # what NVML said after each
    steady: bool = True

    def record(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class ProcessMeasurements:
    """All that a process told: readings, what failed, what has no meaning, what there would be."""

    side: str
    readings: dict[str, BenchmarkReading]
    failed: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    collected: tuple[str, ...] = ()
    device: str = ""
    watched: bool = True  # by NVML, if it is a GPU

    def reason_for(self, name: str) -> str:
        return self.failed.get(name) or self.skipped.get(name) or ""

    def record(self) -> dict[str, Any]:
        readings = {name: reading.record() for name, reading in self.readings.items()}
        return {"side": self.side, "readings": readings, "failed": self.failed}


def missing_packages() -> list[str]:
    """Packages of the harness that are not installed."""
    return [package for module, package in HARNESS_PACKAGES.items() if find_spec(module) is None]


def harness_modules() -> list[str]:
    """The modules of ganbench that the harness imports from."""
    trees = [ast.parse(file.read_text("utf-8")) for file in sorted(HARNESS_FOLDER.glob("*.py"))]
    imports = [
        node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
    ]
    modules = {node.module for node in imports if node.module and node.level == 0}
    return sorted(module for module in modules if module.startswith("ganbench."))


def require_harness_modules(side: RevisionSide) -> None:
    """Raises CannotRun for a version that lays its modules out in another way than this one."""
    if side.package_home is None:
        return
    for module in harness_modules():
        path = side.package_home.joinpath(*module.split("."))
        if not (path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()):
            raise CannotRun(
                f"{side.name} {side.revision} has no {module}, so this version cannot measure it: "
                "compare it by the ganbench of its own time"
            )


class HarnessRunner:
    """A scratch folder with this version's harness in it, which measures either side."""

    def __init__(self, scratch: Path, device: str = "cpu"):
        self.scratch, self.device, self.count = scratch, device, 0
        self.harness = scratch / "perf_harness"
        shutil.copytree(HARNESS_FOLDER, self.harness, ignore=shutil.ignore_patterns("__pycache__"))
        (self.harness / "pytest.ini").write_text("[pytest]\n", "utf-8")

    def measure(
        self,
        side: RevisionSide,
        files: Sequence[str],
        words: Sequence[str] = (),
        names: Collection[str] | None = None,
    ) -> ProcessMeasurements:
        """Of what its name allows; raises CannotRun."""
        require_harness_modules(side)
        self.count += 1
        place = self.scratch / f"{self.count:03}-{side.name}"
        place.mkdir()
        order = {
            "home": str(side.package_home.resolve()) if side.package_home else "",
            "roots": [str(place.resolve()) for place in side.import_path],
            "device": self.device,
            "words": list(words),
            "names": None if names is None else sorted(names),
            "answer": str(place / "answer.json"),
        }
        (place / "order.json").write_text(json.dumps(order), "utf-8")
        printed = self.run_harness(side, place, files)
        return read_measurements(
            side,
            read_json_or_nothing(place / "answer.json"),
            read_json_or_nothing(place / "times.json"),
            printed,
        )

    def run_harness(self, side: RevisionSide, place: Path, files: Sequence[str]) -> str:
        """What the process printed."""
        options = ["-q", "-p", "no:cacheprovider", "-p", "pytest_benchmark.plugin", "--tb=line"]
        options += ["--benchmark-disable-gc", f"--benchmark-json={place / 'times.json'}"]
        options += [f"--basetemp={place / 'temporary'}", f"--rootdir={self.harness}"]
        command = [sys.executable, "-m", "pytest", *options, *files]
        around = harness_environment(side, self.scratch, place / "order.json")
        try:
            ran = subprocess.run(
                command,
                cwd=self.harness,
                env=around,
                capture_output=True,
                text=True,
                timeout=MAX_PROCESS_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise CannotRun(
                f"{side.name}: it was not through after {MAX_PROCESS_SECONDS} s"
            ) from error
        shutil.rmtree(place / "temporary", ignore_errors=True)
        return ran.stderr.strip() or ran.stdout.strip()


def read_json_or_nothing(path: Path) -> dict[str, Any]:
    """JSON of a file, or nothing: what was cut off or never written tells nothing."""
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError):
        return {}


def read_measurements(
    side: RevisionSide, answer: dict[str, Any], found: dict[str, Any], printed: str
) -> ProcessMeasurements:
    """What the files of a process say; raises CannotRun if they say that it never began."""
    if "refused" in answer or not answer.get("collected"):
        last = printed.splitlines()[-1] if printed else "it told nothing"
        raise CannotRun(f"{side.name}: {answer.get('refused', last)}")
    readings = {
        item["name"].removeprefix("test_"): make_reading(item)
        for item in found.get("benchmarks", [])
    }
    failed = {name: first_line(why) for name, why in answer["reasons"].items()}
    gone = {*failed, *answer["skipped"]}
    return ProcessMeasurements(
        side.name,
        {name: value for name, value in readings.items() if name not in gone},
        failed,
        {name: first_line(why) for name, why in answer["skipped"].items()},
        tuple(answer["collected"]),
        answer.get("device", ""),
        answer.get("gpu", {}).get("nvml", True),
    )


def first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0]


def make_reading(item: dict[str, Any]) -> BenchmarkReading:
    """Of a benchmark as pytest-benchmark wrote it down."""
    extra = item["extra_info"]
    work = extra.get("work", "")
    if "count" in extra:
        return BenchmarkReading(float(extra["count"]), extra["unit"], True, work=work)
    windows = tuple(seconds / extra.get("per", 1) for seconds in item["stats"]["data"])
    facts = {"work": work, "windows": windows, "wall": tuple(extra.get("wall", ()))}
    if "looks" in extra:
        steady_windows = [w for w, bad in zip(windows, extra["held_back"], strict=True) if not bad]
        facts |= {"looks": tuple(extra["looks"]), "steady": len(steady_windows) >= MIN_WINDOWS}
        return BenchmarkReading(median(steady_windows or windows), "s", False, **facts)
    # Noise only ever adds to the time of a CPU: the least window is the value.
    return BenchmarkReading(
        min(windows), "s", False, paced_median(windows, extra.get("paces", ())), **facts
    )


def paced_median(windows: Sequence[float], paces: Sequence[float]) -> float:
    """The median window in units of the fixed work before and after it.

    Who shares a core, or heats it, slows both: on two busy cores pairs differ by 14 % in place of 36 %.
    """
    if len(paces) != len(windows) + 1:
        return 0.0
    beside = [(before + after) / 2 for before, after in pairwise(paces)]
    return median(window / pace for window, pace in zip(windows, beside, strict=True))
