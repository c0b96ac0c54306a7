"""The performance gate: counts once, times both sides alternately, decides per benchmark.

Benchmarks that seem slower are timed again in a second round. Counts of instructions decide first.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from ganbench.errors import GanbenchError
from ganbench.registry import suggest

from .comparisons import BenchmarkComparison, compare_benchmarks, confirm_slowdown
from .instructions import (
    SUBJECTS,
    InstructionCounts,
    benchmark_of,
    choose_subjects,
    count_both_sides,
    explain_counts,
    with_instructions,
)
from .interleaving import RoundTimes, abba_order
from .process import COUNTS, TIMES, CannotRun, HarnessRunner, ProcessMeasurements
from .revisions import RevisionSide
from .verdicts import Verdict

MIN_BLOCKS = 3  # blocks: six pairs, the minimum for a 95 % interval
MAX_TRIES_PER_PROCESS = 3  # maximum processes per turn, until a GPU is not throttled
# Starting a worker takes as long as all steps together, so this benchmark gets the minimum of pairs.
ONCE_PER_ROUND = ("schedule[local]",)

DECIDED: tuple[Verdict, ...] = ("regressed", "improved", "unchanged")

Say = Callable[[str], None]


class UnknownBenchmark(GanbenchError, ValueError):
    """A word that occurs in no benchmark's name."""


@dataclass(frozen=True)
class PerfRules:
    margin: float
    blocks: int
    seconds: float  # after this time only the first three blocks start
    instructions: float = 0.0  # seconds after which counting of instructions ends; 0: not counted
    must_count: bool = False  # whether the gate cannot decide without instructions


@dataclass
class PerfReport:
    """The result of a gate; `log` has every window of every process, in order."""

    comparisons: list[BenchmarkComparison] = field(default_factory=list)
    ratios: dict[str, list[float]] = field(default_factory=dict)  # log ratios of the first round
    values: dict[str, list[float]] = field(
        default_factory=dict
    )  # values of the head in those pairs
    unsteady: list[str] = field(default_factory=list)
    log: list[ProcessMeasurements] = field(default_factory=list)
    blocks: int = 0
    seconds: list[float] = field(default_factory=list)  # durations of the timing processes
    device: str = ""
    watched: bool = True
    uncounted: str = ""  # why instructions were not counted, although they should be

    def count_verdicts(self, wanted: Verdict) -> int:
        return sum(c.verdict == wanted for c in self.comparisons)

    @property
    def is_empty(self) -> bool:
        """Whether no benchmark was decided; an empty report is not a pass."""
        return not any(c.verdict in DECIDED for c in self.comparisons)

    @property
    def broken_benchmarks(self) -> list[BenchmarkComparison]:
        """Benchmarks of both sides without a ratio, or with different work on the two sides."""
        return [c for c in self.comparisons if c.verdict == "undecided" and c.ratio is None]


class PerfGate:
    def __init__(
        self,
        base: RevisionSide,
        head: RevisionSide,
        bench: HarnessRunner,
        rules: PerfRules,
        say: Say,
    ):
        self.sides = {"base": base, "head": head}
        self.bench, self.rules, self.say = bench, rules, say
        self.report, self.end = PerfReport(), time.monotonic() + rules.seconds

    def run(self, words: Sequence[str] = ()) -> PerfReport:
        """Measures and compares both sides; `words` select benchmarks by name.

        Raises UnknownBenchmark for a word without a benchmark, and CannotRun if a side cannot run.
        """
        first = {name: self.warm_side(side, words) for name, side in self.sides.items()}
        self.report.device, self.report.watched = first["head"].device, first["head"].watched
        countable = set(map(benchmark_of, SUBJECTS))
        check_words(words, countable.union(*(one.collected for one in first.values())))
        counts = self.count_instructions(words)
        first = {name: with_instructions(one, counts[name]) for name, one in first.items()}
        timed = {n for one in first.values() for n, r in one.readings.items() if not r.exact}
        times = self.run_round("round 1", timed, self.rules.blocks)
        comparisons = compare_benchmarks(first, times, self.rules.margin)
        suspects = [c.benchmark for c in comparisons if c.verdict == "regressed" and not c.exact]
        again = self.run_round("round 2", suspects, max(MIN_BLOCKS, self.report.blocks))
        comparisons = [confirm_slowdown(c, again, self.rules.margin) for c in comparisons]
        comparisons = [without_held_back(c, self.report.unsteady) for c in comparisons]
        self.report.comparisons = explain_counts(comparisons, counts)
        paired = [name for name in sorted(timed) if times.reading_pairs(name)]
        self.report.ratios = {name: times.log_ratios(name) for name in paired}
        self.report.values = {
            name: [h.value for _, h in times.reading_pairs(name)] for name in paired
        }
        return self.report

    def warm_side(self, side: RevisionSide, words: Sequence[str]) -> ProcessMeasurements:
        """Runs the first process of a side, which counts and fills caches; ignores its times."""
        began = time.monotonic()
        measured = self.bench.measure(side, (COUNTS, TIMES), words)
        self.report.log.append(measured)
        summary = f"{len(measured.readings)} benchmarks, {len(measured.failed)} failed"
        self.say(f"{side.name} counted and warmed up: {summary} ({time.monotonic() - began:.0f} s)")
        return measured

    def count_instructions(self, words: Sequence[str]) -> dict[str, InstructionCounts]:
        """Counts instructions of both sides, if the rules permit it and a word names a subject.

        Plugins use the installed ganbench, so that there is nothing to compare.
        """
        names, nothing = choose_subjects(words), dict.fromkeys(self.sides, InstructionCounts())
        is_own = [side.package_home is not None for side in self.sides.values()]
        if not (self.rules.instructions and names and any(is_own)):
            return nothing
        began = time.monotonic()
        try:
            counts = count_both_sides(self.bench, self.sides, names, self.rules.instructions)
        except CannotRun as error:
            if self.rules.must_count:
                raise
            self.report.uncounted = str(error)
            return nothing
        self.say(f"instructions of {len(names)} subjects ({time.monotonic() - began:.0f} s)")
        return counts

    def run_round(self, label: str, names: Collection[str], blocks: int) -> RoundTimes:
        """Runs blocks of four processes.

        After MIN_BLOCKS blocks, stops early if the time is up or all intervals are narrow.
        """
        times = RoundTimes()
        for block in range(blocks if names else 0):
            if block >= MIN_BLOCKS and (time.monotonic() > self.end or times.is_narrow()):
                break
            rest = {*names} - {*ONCE_PER_ROUND} if block >= MIN_BLOCKS else {*names}
            self.run_block(times, rest, f"{label}, block {block + 1}/{blocks}")
            if label == "round 1":
                self.report.blocks = block + 1
        return times

    def run_block(self, times: RoundTimes, names: Collection[str], label: str) -> None:
        for number, name in enumerate(abba_order(1) if names else (), 1):
            seconds = self.run_turn(times, self.sides[name], names)
            self.say(f"{label}, {number}/4: {name} {seconds:.0f} s")

    def run_turn(self, times: RoundTimes, side: RevisionSide, names: Collection[str]) -> float:
        began = time.monotonic()
        measured = self.measure_steadily(side, names)
        self.report.log.append(measured)
        self.report.seconds.append(time.monotonic() - began)
        times.turns[side.name].append(measured)
        return self.report.seconds[-1]

    def measure_steadily(self, side: RevisionSide, names: Collection[str]) -> ProcessMeasurements:
        """Runs a process, and measures benchmarks with a throttled GPU again in another process."""
        measured = self.bench.measure(side, (TIMES,), names=names)
        for _ in range(MAX_TRIES_PER_PROCESS - 1):
            shaky = [name for name, one in measured.readings.items() if not one.steady]
            if not shaky:
                return measured
            again = self.bench.measure(side, (TIMES,), names=shaky)
            measured = replace(measured, readings=measured.readings | again.readings)
        shaky = [name for name, one in measured.readings.items() if not one.steady]
        self.report.unsteady += [name for name in shaky if name not in self.report.unsteady]
        return measured


def without_held_back(
    comparison: BenchmarkComparison, names: Collection[str]
) -> BenchmarkComparison:
    """Sets timed benchmarks with a throttled GPU to undecided."""
    if comparison.benchmark not in names or comparison.exact:
        return comparison
    return replace(comparison, verdict="undecided", reason="the GPU's clock was throttled")


def check_words(words: Sequence[str], names: Collection[str]) -> None:
    """Raises UnknownBenchmark for a word that occurs in no benchmark's name."""
    kinds = sorted({name.partition("[")[0] for name in names})
    for word in words:
        if not any(word.lower() in name.lower() for name in names):
            close, _, _ = suggest(word, {*names, *kinds}).partition("; there are")
            offered = close or f"; there are {', '.join(kinds)}"
            raise UnknownBenchmark(f"no benchmark has {word!r} in its name{offered}")
