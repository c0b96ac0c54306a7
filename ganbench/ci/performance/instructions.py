"""Counts the instructions of a few subjects on both sides, under Valgrind's Callgrind.

A count does not depend on the load of the machine, so both sides run at the same time.
"""

import shutil
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from ganbench.analysis.verdicts import ComparisonVerdict
from ganbench.files import read_json_or_none

from .callgrind import Profile, largest_growth, read_profile
from .comparisons import BenchmarkComparison
from .process import (
    BenchmarkReading,
    CannotRun,
    HarnessRunner,
    ProcessMeasurements,
    first_line,
    run_at_once,
    run_program,
)
from .revisions import RevisionSide, harness_environment
from .verdicts import UNCHANGED

PREFIX = "instructions"
IMPORT = "import"
SUBJECTS = (
    IMPORT,
    "step[gan]",
    "step[dcgan]",
    "step[wgan_gp]",
    "step[stylegan2]",
    "sample[dcgan]",
    "metric[fid]",
)
MAX_NAMED = 3  # maximum operators and functions that are named per regression
PROGRAM = "instructions"  # the module of the harness
CALLGRIND = ("valgrind", "--tool=callgrind", "--cache-sim=no", "--branch-sim=no")
LATE = ("--instr-atstart=no", "--collect-atstart=no")
INSTALL_VALGRIND = "on Debian and Ubuntu, `apt-get install valgrind` installs it"
CONFIRMATIONS = {
    ComparisonVerdict.WORSE: "confirms it",
    ComparisonVerdict.UNDECIDED: "is too noisy to confirm it",
    ComparisonVerdict.EQUIVALENT: "does not confirm it",
    ComparisonVerdict.BETTER: "does not confirm it",
}


@dataclass(frozen=True)
class InstructionCounts:
    """The profiles of one side by subject, the timed benchmark of each, and failures."""

    profiles: Mapping[str, Profile] = field(default_factory=dict)
    subjects: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)

    def readings(self) -> dict[str, BenchmarkReading]:
        """Returns the counts as readings of benchmarks like `instructions[step[dcgan]]`."""
        return {
            benchmark_of(name): BenchmarkReading(
                float(profile.counted), "instructions", True, work=self.subjects[name]["work"]
            )
            for name, profile in self.profiles.items()
        }


def benchmark_of(subject: str) -> str:
    return f"{PREFIX}[{subject}]"


def why_not_countable() -> str:
    """Returns why this machine cannot count instructions, or nothing if it can."""
    import torch

    if missing := [name for name in ("valgrind", "vgdb") if shutil.which(name) is None]:
        return f"{' and '.join(missing)} not found; {INSTALL_VALGRIND}"
    if not torch._C._valgrind_supported_platform():
        return "this build of torch has no support for Valgrind"
    return ""


def choose_subjects(words: Sequence[str]) -> list[str]:
    """Returns the subjects with one of these words in the name of their benchmark."""
    return [
        name
        for name in SUBJECTS
        if not words or any(word.lower() in benchmark_of(name) for word in words)
    ]


def count_both_sides(
    bench: HarnessRunner, sides: Mapping[str, RevisionSide], names: Sequence[str], seconds: float
) -> dict[str, InstructionCounts]:
    """Counts both sides at the same time; raises CannotRun after the time limit.

    Subjects that neither side can run are left out.
    """
    works = [partial(count_side, bench, side, names, seconds) for side in sides.values()]
    counts = dict(zip(sides, run_at_once(works), strict=True))
    failed_everywhere = set.intersection(*(set(one.failed) for one in counts.values()))
    return {name: without_subjects(one, failed_everywhere) for name, one in counts.items()}


def without_subjects(counts: InstructionCounts, names: Collection[str]) -> InstructionCounts:
    kept = {name: why for name, why in counts.failed.items() if name not in names}
    return replace(counts, failed=kept)


def count_side(
    bench: HarnessRunner, side: RevisionSide, names: Sequence[str], seconds: float
) -> InstructionCounts:
    """Counts the subjects of one side, the import in a process of its own."""
    place = bench.scratch / f"{PREFIX}-{side.name}"
    place.mkdir()
    built = [name for name in names if name != IMPORT]
    counts = count_built(bench, side, place, built, seconds) if built else InstructionCounts()
    if IMPORT not in names:
        return counts
    profile = count_import(bench, side, place, seconds)
    return InstructionCounts(
        {IMPORT: profile, **counts.profiles},
        {IMPORT: {"timed": IMPORT, "work": ""}, **counts.subjects},
        counts.failed,
    )


def count_import(bench: HarnessRunner, side: RevisionSide, place: Path, seconds: float) -> Profile:
    """Counts a whole process that only imports the package."""
    options = [f"--callgrind-out-file={place / 'import.out'}"]
    run_callgrind(bench, side, place, [*options, sys.executable, "-c", "import ganbench"], seconds)
    return read_profile(place / "import.out")


def count_built(
    bench: HarnessRunner, side: RevisionSide, place: Path, names: Sequence[str], seconds: float
) -> InstructionCounts:
    """Counts subjects that are built first, all of them in one process."""
    bench.write_order(place, side, names=list(names))
    options = [*LATE, f"--callgrind-out-file={place / 'profile.out'}"]
    program = [sys.executable, "-m", f"{bench.harness.name}.{PROGRAM}"]
    run_callgrind(bench, side, place, [*options, *program], seconds)
    answer = read_json_or_none(place / "answer.json") or {}
    if "refused" in answer:
        raise CannotRun(f"{side.name}: {answer['refused']}")
    profiles = {
        name: read_profile(place / f"profile.out.{number}")
        for number, name in enumerate(answer["subjects"], 1)
    }
    failed = {name: first_line(why) for name, why in answer["failed"].items()}
    return InstructionCounts(profiles, answer["subjects"], failed)


def run_callgrind(
    bench: HarnessRunner,
    side: RevisionSide,
    place: Path,
    command: Sequence[str],
    seconds: float,
) -> None:
    """Runs a process under Callgrind; raises CannotRun if it fails or takes too long."""
    around = harness_environment(side, bench.scratch, place / "order.json")
    program, started = f"{side.name}: Valgrind", [*CALLGRIND, *command]
    ran = run_program(program, started, bench.scratch, around, seconds)
    if ran.returncode:
        printed = [line for line in ran.stderr.splitlines() if not line.startswith("==")]
        raise CannotRun(f"{side.name}: {printed[-1] if printed else 'Valgrind failed'}")


def with_instructions(
    measured: ProcessMeasurements, counts: InstructionCounts
) -> ProcessMeasurements:
    """Adds the counts of a side to its other measurements."""
    failed = {benchmark_of(name): why for name, why in counts.failed.items()}
    return replace(
        measured,
        readings=measured.readings | counts.readings(),
        failed=measured.failed | failed,
    )


def explain_counts(
    comparisons: Sequence[BenchmarkComparison], counts: Mapping[str, InstructionCounts]
) -> list[BenchmarkComparison]:
    """Lets counts decide before times, and names what grew.

    A time that is undecided is equivalent if its count is.
    """
    by_name = {one.benchmark: one for one in comparisons}
    explained = dict(by_name)
    for subject, facts in counts["head"].subjects.items():
        count, time = by_name.get(benchmark_of(subject)), by_name.get(facts["timed"])
        if count is None or count.ratio is None:
            continue
        if count.verdict is ComparisonVerdict.WORSE:
            growth = describe_growth(*(counts[side].profiles[subject] for side in ("base", "head")))
            explained[count.benchmark] = replace(
                count, reason="; ".join(filter(None, [growth, describe_time(time)]))
            )
        elif count.verdict in UNCHANGED and time is not None:
            explained[time.benchmark] = decide_by_count(time, count.ratio)
    return list(explained.values())


def decide_by_count(time: BenchmarkComparison, ratio: float) -> BenchmarkComparison:
    """Sets an undecided time to equivalent, because its instructions are."""
    if time.verdict is not ComparisonVerdict.UNDECIDED or time.ratio is None:
        return time
    reasons = [time.reason, f"its instructions are unchanged ({ratio:.4f})"]
    return replace(
        time, verdict=ComparisonVerdict.EQUIVALENT, reason="; ".join(filter(None, reasons))
    )


def describe_time(time: BenchmarkComparison | None) -> str:
    """Returns whether the time confirms a count that grew."""
    if time is None or time.ratio is None or time.verdict not in CONFIRMATIONS:
        return ""
    return f"its time {CONFIRMATIONS[time.verdict]} ({time.ratio:.3f})"


def describe_growth(base: Profile, head: Profile) -> str:
    """Returns the operators and functions whose costs grew most, as shares of the base."""
    parts = []
    for kind, before, now in (
        ("operators", base.operators, head.operators),
        ("functions", base.functions, head.functions),
    ):
        grown = largest_growth(before, now, MAX_NAMED)
        named = [f"{name} +{more / max(base.counted, 1):.1%}" for name, more in grown]
        parts += [f"{kind}: {', '.join(named)}"] if named else []
    return f"grew most, of all instructions: {'; '.join(parts)}" if parts else ""
