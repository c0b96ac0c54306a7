"""Backfill: measures old commits today, so that their change points show.

Counts of operators, bytes and instructions belong to the code, so they can be measured at any time. Times
also belong to the machine and its load, so they need an option. Each commit is measured by the harness of
the running version, from its own sources, in fresh processes.

Commits are measured from coarse to fine: the last, the first, and then the middles of the gaps. A walk that is
stopped therefore covers the whole range.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from ganbench.ci.bisect.commits import Commit
from ganbench.ci.bisect.trees import RevisionTrees
from ganbench.ci.git import SHORT_REVISION_DIGITS, UnknownRevision, commit_times
from ganbench.ci.machine import describe_machine, describe_software
from ganbench.ci.performance.benchmark_names import benchmark_kinds, kind_of
from ganbench.ci.performance.gate import check_words
from ganbench.ci.performance.instructions import (
    PREFIX,
    SUBJECTS,
    benchmark_of,
    choose_subjects,
    count_side,
    with_instructions,
)
from ganbench.ci.performance.process import (
    COUNTS,
    TIMES,
    BenchmarkReading,
    CannotRun,
    HarnessRunner,
    ProcessMeasurements,
)
from ganbench.ci.performance.revisions import RevisionSide
from ganbench.counts import count_of
from ganbench.files import temporary_folder

from .records import BackfillAttempt, HistoryEntry, MeasuredAt, append_records, read_history

WORKS = ("counts", "instructions", "times")
TIME_PROCESSES = 3  # per commit; the value is the median of their shortest windows


@dataclass(frozen=True)
class BackfillRules:
    """The kinds of work, the chosen benchmarks, and the limits of a call."""

    works: tuple[str, ...] = ("counts",)
    words: tuple[str, ...] = ()  # parts of the names of benchmarks; empty for all
    device: str = "cpu"
    seconds: float = math.inf  # after which no commit is begun
    counting_seconds: float = 300.0  # for the instructions of a commit
    retry: bool = False  # whether failed work is tried again


@dataclass
class BackfillResult:
    """The short hashes of the commits that were measured, kept, not reached, or failed."""

    measured: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)  # commit: reason
    left: list[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether no commit was measured, now or earlier."""
        return not (self.measured or self.kept or self.left)

    def sentence(self) -> str:
        parts = {
            "measured": self.measured,
            "in the file already": self.kept,
            "not measurable": self.failed,
            "left for the next call": self.left,
        }
        total = len({*self.measured, *self.kept, *self.failed, *self.left})
        counted = ", ".join(f"{len(own)} {words}" for words, own in parts.items() if own)
        return f"{count_of(total, 'commit')}: {counted}."


class Backfill:
    """A walk over commits, which appends the values of each to a history file at once."""

    def __init__(
        self,
        file: Path,
        commits: Sequence[Commit],
        rules: BackfillRules,
        here: Path,
        print_line: Callable[[str], None] = lambda line: None,
    ):
        self.file, self.commits, self.rules = file, commits, rules
        self.here, self.print_line = here, print_line
        self.machine, self.software = describe_machine(rules.device), describe_software()
        self.only = "; ".join(sorted(rules.words))
        self.times = commit_times(here, commits[-1].hash)
        self.end = time.monotonic() + rules.seconds
        self.result = BackfillResult()

    def run(self) -> BackfillResult:
        """Measures the commits; raises UnknownBenchmark for a word that no benchmark has."""
        state = self.read_state()
        with RevisionTrees(self.here, most=1) as trees:
            if self.rules.words:
                self.check_words(trees)
            for number, place in enumerate(coarse_to_fine(len(self.commits)), 1):
                self.visit(trees, self.commits[place], state, f"{number}/{len(self.commits)}")
        return self.result

    def read_state(self) -> dict[tuple[str, str], str]:
        """Returns the failure of each finished (revision, work), empty for a measured one.

        The values of a gate on the same machine, with the same software, count as measured.
        """
        history, own = read_history(self.file), (self.machine, self.software)
        state = {
            (each.revision, each.work): each.failure
            for each in history.attempts
            if (each.machine, each.software) == own and each.only in ("", self.only)
        }
        if self.rules.retry:
            state = {key: failure for key, failure in state.items() if not failure}
        gated = [e for e in history.entries if (e.machine, e.software) == own and not e.backfilled]
        return state | {(entry.revision, work_of(entry.benchmark)): "" for entry in gated}

    def check_words(self, trees: RevisionTrees) -> None:
        """Compares the words with the benchmarks of the last commit, if it can be measured."""
        try:
            with self.open_runner() as runner:
                side = trees.side_of(self.commits[-1].hash)
                collected = runner.measure(side, (COUNTS, TIMES), names=()).collected
        except (CannotRun, UnknownRevision):
            return
        check_words(self.rules.words, {*collected, *map(benchmark_of, SUBJECTS)})

    @contextmanager
    def open_runner(self) -> Iterator[HarnessRunner]:
        """Opens a runner whose scratch folder is removed at the end."""
        with temporary_folder("backfill") as folder:
            yield HarnessRunner(folder, self.rules.device)

    def visit(
        self, trees: RevisionTrees, commit: Commit, state: Mapping[tuple[str, str], str], label: str
    ) -> None:
        """Measures a commit, unless the file has it already or the time is up."""
        keys = {work: (commit.hash[:SHORT_REVISION_DIGITS], work) for work in self.rules.works}
        works = [work for work, key in keys.items() if key not in state]
        failures = [state[key] for key in keys.values() if state.get(key)]
        if works and time.monotonic() > self.end:
            self.result.left.append(commit.short)
        elif works:
            self.measure_commit(trees, commit, works, label)
        elif len(failures) == len(keys):
            self.result.failed[commit.short] = failures[0]
        else:
            self.result.kept.append(commit.short)

    def measure_commit(
        self, trees: RevisionTrees, commit: Commit, works: Sequence[str], label: str
    ) -> None:
        """Does all works on a commit, and appends the values and failures of each at once."""
        began, parts, failures = time.monotonic(), [], []
        with self.open_runner() as runner:
            for work in works:
                entries, failure = self.try_work(work, trees, runner, commit)
                append_records(self.file, [*entries, self.attempt(commit, work, failure)])
                parts += [f"{len(entries)} {work}"] if entries else []
                failures += [failure] if failure else []
        if parts:
            self.result.measured.append(commit.short)
        else:
            self.result.failed[commit.short] = failures[0]
        line = "; ".join(filter(None, [", ".join(parts), *dict.fromkeys(failures)]))
        seconds = time.monotonic() - began
        self.print_line(f"{label} {commit.short} {commit.date[:10]}: {line} ({seconds:.0f} s)")

    def try_work(
        self, work: str, trees: RevisionTrees, runner: HarnessRunner, commit: Commit
    ) -> tuple[list[HistoryEntry], str]:
        """Returns the values of a commit, and why it has none."""
        try:
            entries = self.measure(work, trees.side_of(commit.hash), runner, commit)
        except (CannotRun, UnknownRevision) as error:
            return [], str(error)
        return entries, "" if entries else f"none of its {work} has these words in its name"

    def attempt(self, commit: Commit, work: str, failure: str) -> BackfillAttempt:
        revision, now = commit.hash[:SHORT_REVISION_DIGITS], datetime.now(UTC).timestamp()
        return BackfillAttempt(revision, self.machine, self.software, work, self.only, failure, now)

    def measure(
        self, work: str, side: RevisionSide, runner: HarnessRunner, commit: Commit
    ) -> list[HistoryEntry]:
        """Measures the benchmarks of one kind of work; raises CannotRun if none can be run."""
        if work == "instructions":
            processes = [self.measure_instructions(side, runner)]
        elif work == "counts":
            processes = [runner.measure(side, (COUNTS,), self.rules.words)]
        else:
            processes = [
                runner.measure(side, (TIMES,), self.rules.words) for _ in range(TIME_PROCESSES)
            ]
        failed = [why for one in processes for why in one.failed.values()]
        if failed and not any(one.readings for one in processes):
            raise CannotRun(failed[0])
        return list(self.entries_of(readings_by_name(processes), commit))

    def measure_instructions(
        self, side: RevisionSide, runner: HarnessRunner
    ) -> ProcessMeasurements:
        """Counts instructions; plugins use the installed ganbench, so that nothing is of a commit."""
        if side.package_home is None:
            raise CannotRun("plugins have no instructions of their own")
        subjects = choose_subjects(self.rules.words)
        counts = count_side(runner, side, subjects, self.rules.counting_seconds)
        return with_instructions(ProcessMeasurements(side.name, {}), counts)

    def entries_of(
        self, readings: Mapping[str, Sequence[BenchmarkReading]], commit: Commit
    ) -> Iterator[HistoryEntry]:
        at = MeasuredAt(
            self.machine,
            commit.hash[:SHORT_REVISION_DIGITS],
            datetime.now(UTC).timestamp(),
            self.software,
            self.times[commit.hash],
        )
        for name, own in readings.items():
            values = [reading.value for reading in own]
            bounds = {"low": min(values), "high": max(values), "count": len(values)}
            unit = own[0].unit
            yield at.entry(name, median(values), "lower", unit=unit, backfilled=True, **bounds)


def readings_by_name(
    processes: Sequence[ProcessMeasurements],
) -> dict[str, list[BenchmarkReading]]:
    """Returns the readings of each benchmark over all processes."""
    names = dict.fromkeys(name for one in processes for name in one.readings)
    return {
        name: [one.readings[name] for one in processes if name in one.readings] for name in names
    }


def work_of(benchmark: str) -> str:
    """Returns the kind of work that measures a benchmark; empty for one of the quality gate."""
    kind = kind_of(benchmark)
    if kind == PREFIX:
        return "instructions"
    if kind in benchmark_kinds(COUNTS):
        return "counts"
    return "times" if kind in benchmark_kinds(TIMES) else ""


def coarse_to_fine(count: int) -> Iterator[int]:
    """Yields the places of a line: the last, the first, and the middles of the gaps."""
    yield from dict.fromkeys((count - 1, 0) if count else ())
    gaps = deque([(0, count - 1)])
    while gaps:
        low, high = gaps.popleft()
        middle = (low + high) // 2
        if low < middle:
            yield middle
            gaps.extend([(low, middle), (middle, high)])


def choose_commits(
    commits: Sequence[Commit], every: int | None, sample: int | None
) -> list[Commit]:
    """Returns every n-th commit counted from the last one, or a number of evenly spaced ones."""
    if every:
        return list(commits[::-1][::every][::-1])
    if sample is None or sample >= len(commits):
        return list(commits)
    last = len(commits) - 1
    places = [round(last * n / (sample - 1)) for n in range(sample)] if sample > 1 else [last]
    return [commits[place] for place in places]
