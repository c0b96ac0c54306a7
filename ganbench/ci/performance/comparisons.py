"""Compares the two sides per benchmark: the verdict, its numbers, and its reason."""

import math
from dataclasses import dataclass, replace
from statistics import median

from ganbench.analysis.intervals import MeanInterval
from ganbench.analysis.verdicts import CHANGED_VERDICTS, ComparisonVerdict

from .interleaving import RoundTimes
from .process import BenchmarkReading, ProcessMeasurements
from .rules import PerfRules
from .verdicts import (
    decide_count_verdict,
    decide_perf_verdict,
    ratio_interval,
)


@dataclass(frozen=True)
class BenchmarkComparison:
    benchmark: str
    verdict: ComparisonVerdict
    base: float | None = None
    head: float | None = None
    unit: str = ""
    exact: bool = False
    ratio: float | None = None  # head / base, geometric mean over pairs
    low: float | None = None
    high: float | None = None
    pairs: int = 0
    reason: str = ""


def compare_benchmarks(
    first: dict[str, ProcessMeasurements], times: RoundTimes, rules: PerfRules
) -> list[BenchmarkComparison]:
    """Compares every benchmark with a reading or a failure on either side."""
    base, head = first["base"], first["head"]
    names = dict.fromkeys([*head.readings, *base.readings, *head.failed, *base.failed])
    return [compare_benchmark(name, base, head, times, rules) for name in names]


def compare_benchmark(
    name: str,
    base: ProcessMeasurements,
    head: ProcessMeasurements,
    times: RoundTimes,
    rules: PerfRules,
) -> BenchmarkComparison:
    """Compares a benchmark by its counts, or by its times if it has none."""
    before, now = base.readings.get(name), head.readings.get(name)
    if before is None or now is None:
        return compare_one_side(name, base, head)
    if before.work != now.work:
        reason = f"not the same work: {before.work!r} in base, {now.work!r} in head"
        values = (before.value, now.value, now.unit, now.exact)
        return BenchmarkComparison(name, ComparisonVerdict.UNDECIDED, *values, reason=reason)
    if now.exact:
        return compare_counts(name, before, now)
    return compare_times(name, times, rules, now.unit)


def compare_one_side(
    name: str, base: ProcessMeasurements, head: ProcessMeasurements
) -> BenchmarkComparison:
    """Returns the comparison of a benchmark that one side cannot run, or neither."""
    before, now = base.readings.get(name), head.readings.get(name)
    missing = BenchmarkComparison(name, ComparisonVerdict.MISSING)
    if now is not None:
        why = base.reason_for(name)
        new = replace(missing, verdict=ComparisonVerdict.NEW, head=now.value, unit=now.unit)
        return replace(new, exact=now.exact, reason=f"base cannot run it: {why}" if why else "")
    why = head.reason_for(name)
    if before is None:
        return replace(missing, reason=f"neither side runs it: {why or base.reason_for(name)}")
    lost = replace(missing, base=before.value, unit=before.unit, exact=before.exact)
    return replace(lost, reason=why or "head does not have it")


def compare_counts(
    name: str, base: BenchmarkReading, head: BenchmarkReading
) -> BenchmarkComparison:
    decided = decide_count_verdict(base.value, head.value)
    ratio = head.value / base.value if base.value else None
    return BenchmarkComparison(
        name, decided, base.value, head.value, head.unit, True, ratio, ratio, ratio, pairs=1
    )


def compare_times(name: str, times: RoundTimes, rules: PerfRules, unit: str) -> BenchmarkComparison:
    pairs = times.reading_pairs(name)
    if not pairs:
        return BenchmarkComparison(
            name, ComparisonVerdict.UNDECIDED, unit=unit, reason="no pair of processes ran it"
        )
    bounds = ratio_interval(times.log_ratios(name), rules, times.noise_of(name))
    base, head = (median(pair[side].value for pair in pairs) for side in (0, 1))
    decided = decide_perf_verdict(bounds, rules.margin)
    return BenchmarkComparison(
        name, decided, base, head, unit, False, *bounds_as_ratios(bounds), len(pairs)
    )


def bounds_as_ratios(bounds: MeanInterval) -> tuple[float, float | None, float | None]:
    """Converts an interval of log ratios to ratios; a missing bound is None."""
    low, high = (math.exp(x) if math.isfinite(x) else None for x in (bounds.low, bounds.high))
    return math.exp(bounds.mean), low, high


def is_suspect(comparison: BenchmarkComparison) -> bool:
    """Returns whether a second round has to confirm a change of time."""
    return comparison.verdict in CHANGED_VERDICTS and not comparison.exact


def confirm_change(
    first: BenchmarkComparison, again: RoundTimes, rules: PerfRules
) -> BenchmarkComparison:
    """Changes a slowdown or a speedup to undecided, unless the second round also finds it."""
    if not is_suspect(first):
        return first
    ratios = again.log_ratios(first.benchmark)
    if not ratios:
        return replace(
            first,
            verdict=ComparisonVerdict.UNDECIDED,
            reason="not confirmed: the second round has no ratio",
        )
    bounds = ratio_interval(ratios, rules, again.noise_of(first.benchmark))
    found = f"{format_bounds(bounds)} in the second round"
    if decide_perf_verdict(bounds, rules.margin) is first.verdict:
        return replace(first, reason=f"confirmed: {found}")
    return replace(first, verdict=ComparisonVerdict.UNDECIDED, reason=f"not confirmed: {found}")


def format_bounds(bounds: MeanInterval) -> str:
    ratio, low, high = bounds_as_ratios(bounds)
    return f"{ratio:.3f}" + (f" [{low:.3f}, {high:.3f}]" if low and high else "")
