"""The performance gate: counts once, then times both sides until all is decided.

Benchmarks that seem slower or faster are timed again in a second round. Counts of instructions decide first.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import median

from ganbench.analysis.intervals import MeanInterval
from ganbench.analysis.verdicts import CHANGED_VERDICTS, ComparisonVerdict
from ganbench.counts import count_of
from ganbench.errors import GanbenchError
from ganbench.registry import suggest

from .benchmark_names import kind_of
from .comparisons import BenchmarkComparison, compare_benchmarks, confirm_change, is_suspect
from .instructions import (
    SUBJECTS,
    InstructionCounts,
    benchmark_of,
    choose_subjects,
    count_both_sides,
    explain_counts,
    with_instructions,
)
from .interleaving import RoundTimes
from .noise import SharedNoise
from .process import (
    COUNTS,
    TIMES,
    CannotRun,
    HarnessRunner,
    ProcessMeasurements,
    require_harness_modules,
    run_at_once,
)
from .revisions import RevisionSide
from .rules import MIN_PAIRS, PerfRules
from .verdicts import UNCHANGED, decide_perf_verdict, ratio_interval

MAX_TRIES_PER_PROCESS = 3  # maximum processes per turn, until a GPU is not throttled

DECIDED = (*CHANGED_VERDICTS, *UNCHANGED)

PrintLine = Callable[[str], None]


class UnknownBenchmark(GanbenchError, ValueError):
    """A word that occurs in no benchmark's name."""


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
    pairs: int = 0  # pairs of processes of the first round
    was_cut: bool = False  # whether the time ended the first round, with undecided benchmarks
    noises: dict[str, SharedNoise] = field(default_factory=dict)  # of the benchmarks in ratios
    waiting: float = 0.0  # median share of the windows' time in which other processes had the core
    seconds: list[float] = field(default_factory=list)  # durations of pairs that ran together
    device: str = ""
    watched: bool = True
    refusal: str = ""  # why a side cannot run at all
    uncounted: str = ""  # why instructions were not counted, although they should be

    def count_verdicts(self, wanted: ComparisonVerdict) -> int:
        return sum(c.verdict == wanted for c in self.comparisons)

    @property
    def is_empty(self) -> bool:
        """Whether no benchmark was decided; an empty report is not a pass."""
        return not any(c.verdict in DECIDED for c in self.comparisons)

    @property
    def broken_benchmarks(self) -> list[BenchmarkComparison]:
        """Benchmarks of both sides without a ratio, or with different work on the two sides."""
        return [
            c
            for c in self.comparisons
            if c.verdict is ComparisonVerdict.UNDECIDED and c.ratio is None
        ]


class PerfGate:
    def __init__(
        self,
        base: RevisionSide,
        head: RevisionSide,
        bench: HarnessRunner,
        rules: PerfRules,
        print_line: PrintLine,
    ):
        self.sides = {"base": base, "head": head}
        self.bench, self.rules, self.print_line = bench, rules, print_line
        self.report, self.end = PerfReport(), time.monotonic() + rules.seconds

    def run(self, words: Sequence[str] = ()) -> PerfReport:
        """Measures and compares both sides; `words` select benchmarks by name.

        Raises UnknownBenchmark for a word without a benchmark, and CannotRun if a side cannot run.
        """
        first = self.count_exactly(words)
        self.report.device, self.report.watched = first["head"].device, first["head"].watched
        countable = set(map(benchmark_of, SUBJECTS))
        check_words(words, countable.union(*(one.collected for one in first.values())))
        counts = self.count_instructions(words)
        times = RoundTimes()
        self.report.was_cut = self.run_round(times, "round 1", words)
        first = {name: with_times(one, times.turns[name]) for name, one in first.items()}
        first = {name: with_instructions(one, counts[name]) for name, one in first.items()}
        comparisons = compare_benchmarks(first, times, self.rules)
        suspects = [c.benchmark for c in comparisons if is_suspect(c)]
        again = RoundTimes(noise=times.noise)  # the same machine, and too few benchmarks
        if suspects:
            self.run_round(again, "round 2", names=suspects)
        comparisons = [confirm_change(c, again, self.rules) for c in comparisons]
        comparisons = [without_held_back(c, self.report.unsteady) for c in comparisons]
        self.report.comparisons = explain_counts(comparisons, counts)
        self.report_times(times)
        return self.report

    def report_times(self, times: RoundTimes) -> None:
        paired = [name for name in sorted(times.benchmark_names()) if times.reading_pairs(name)]
        self.report.pairs = times.count
        self.report.noises = {name: times.noise_of(name) for name in paired}
        self.report.ratios = {name: times.log_ratios(name) for name in paired}
        self.report.values = {
            name: [h.value for _, h in times.reading_pairs(name)] for name in paired
        }
        shares = [share for name in paired for share in times.waiting_shares(name)]
        self.report.waiting = median(shares) if shares else 0.0

    def count_exactly(self, words: Sequence[str]) -> dict[str, ProcessMeasurements]:
        """Counts both sides at the same time, and finds the benchmarks of times."""
        began = time.monotonic()
        for side in self.sides.values():  # before the other side is measured in vain
            require_harness_modules(side)
        works = [
            partial(self.bench.measure, side, (COUNTS, TIMES), words, measured=[COUNTS])
            for side in self.sides.values()
        ]
        counted = dict(zip(self.sides, run_at_once(works), strict=True))
        self.report.log += counted.values()
        numbers = " and ".join(str(len(one.readings)) for one in counted.values())
        self.print_line(
            f"exact counts of base and head: {numbers} ({time.monotonic() - began:.0f} s)"
        )
        return counted

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
        self.print_line(
            f"instructions of {count_of(len(names), 'subject')} ({time.monotonic() - began:.0f} s)"
        )
        return counts

    def run_round(
        self,
        times: RoundTimes,
        label: str,
        words: Sequence[str] = (),
        names: Collection[str] | None = None,
    ) -> bool:
        """Runs pairs of processes until all benchmarks are decided, or the time is up.

        A benchmark that is decided is not measured again. The first MIN_PAIRS pairs run in any case. Returns
        whether the time ended the round.
        """
        while (done := times.count) < self.rules.pairs:
            if done >= MIN_PAIRS:
                names = self.list_undecided(times)
                if not names or time.monotonic() > self.end:
                    return bool(names)
            numbers = range(done, min(done + self.rules.concurrent_pairs, self.rules.pairs))
            self.run_pairs(times, numbers, words, names, label)
            if times.noise is None and times.count >= MIN_PAIRS:
                times.estimate_noise()
            if not times.benchmark_names():
                break
        return False

    def list_undecided(self, times: RoundTimes) -> list[str]:
        return [
            name
            for name in sorted(times.benchmark_names())
            if (ratios := times.log_ratios(name))
            and is_undecided(
                ratio_interval(ratios, self.rules, times.noise_of(name)), self.rules.margin
            )
        ]

    def run_pairs(
        self,
        times: RoundTimes,
        numbers: range,
        words: Sequence[str],
        names: Collection[str] | None,
        label: str,
    ) -> None:
        """Runs pairs of processes at the same time, each on a core of its own."""
        began, sides = time.monotonic(), list(self.sides.values())
        pairs = run_at_once(
            [partial(self.bench.measure_together, sides, words, names, n) for n in numbers]
        )
        for side, measured in ((s, m) for both in pairs for s, m in zip(sides, both, strict=True)):
            steady = self.measure_steadily(side, measured)
            self.report.log.append(steady)
            times.turns[side.name].append(steady)
        self.report.seconds.append(time.monotonic() - began)
        count, last = len(pairs[0][0].readings), numbers[-1] + 1
        self.print_line(
            f"{label}, {count_of(last, 'pair')}: {count_of(count, 'benchmark')} {self.report.seconds[-1]:.0f} s"
        )

    def measure_steadily(
        self, side: RevisionSide, measured: ProcessMeasurements
    ) -> ProcessMeasurements:
        """Measures benchmarks with a throttled GPU again in another process."""
        for _ in range(MAX_TRIES_PER_PROCESS - 1):
            shaky = [name for name, one in measured.readings.items() if not one.steady]
            if not shaky:
                return measured
            again = self.bench.measure(side, (TIMES,), names=shaky)
            measured = replace(measured, readings=measured.readings | again.readings)
        shaky = [name for name, one in measured.readings.items() if not one.steady]
        self.report.unsteady += [name for name in shaky if name not in self.report.unsteady]
        return measured


def is_undecided(bounds: MeanInterval, margin: float) -> bool:
    return decide_perf_verdict(bounds, margin) is ComparisonVerdict.UNDECIDED


def with_times(
    counted: ProcessMeasurements, timed: Sequence[ProcessMeasurements]
) -> ProcessMeasurements:
    """Adds the readings and failures of the first timing process to the counts of its side."""
    if not timed:
        return counted
    return replace(
        counted,
        readings=counted.readings | timed[0].readings,
        failed=counted.failed | timed[0].failed,
        skipped=counted.skipped | timed[0].skipped,
    )


def without_held_back(
    comparison: BenchmarkComparison, names: Collection[str]
) -> BenchmarkComparison:
    """Sets timed benchmarks with a throttled GPU to undecided."""
    if comparison.benchmark not in names or comparison.exact:
        return comparison
    return replace(
        comparison, verdict=ComparisonVerdict.UNDECIDED, reason="the GPU's clock was throttled"
    )


def check_words(words: Sequence[str], names: Collection[str]) -> None:
    """Raises UnknownBenchmark for a word that occurs in no benchmark's name."""
    kinds = sorted(set(map(kind_of, names)))
    for word in words:
        if not any(word.lower() in name.lower() for name in names):
            close, _, _ = suggest(word, {*names, *kinds}).partition("; there are")
            offered = close or f"; there are {', '.join(kinds)}"
            raise UnknownBenchmark(f"no benchmark has {word!r} in its name{offered}")
