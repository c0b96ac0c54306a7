"""Formats the result of the performance gate as sentences and tables, the worst first.

Exact numbers that did not change are only counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from ganbench.analysis.verdicts import CommandVerdict, ComparisonVerdict
from ganbench.ci.history.records import HistoryEntry, MeasuredAt
from ganbench.ci.verdict_records import PerfRecord
from ganbench.counts import count_of, format_share, format_threshold
from ganbench.report.markdown import escape_markdown

from .comparisons import BenchmarkComparison
from .gate import PerfReport
from .rules import MIN_PAIRS, PerfRules
from .verdicts import ORDER, UNCHANGED, slowdown_power

SECONDS_SENTENCE = (
    "Seconds are those of the shortest window. Ratios compare windows of both sides that took turns on one"
    " core."
)
BUSY_SHARE = 0.05  # of the windows' time; above it, the machine is called busy
UNWATCHED_SENTENCE = "Without nvidia-ml-py it is unknown whether the GPU was throttled or shared."
UNMEASURED_SENTENCE = (
    "unmeasured: the gate has not run on a GPU yet, so its margins there are guesses"
)
POWER_SLOWDOWNS = (0.05, 0.1, 0.2)
VERDICT_STYLES = {
    ComparisonVerdict.WORSE: "bold red",
    ComparisonVerdict.MISSING: "red",
    ComparisonVerdict.BETTER: "green",
}
SI_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""), (1e-3, "m"), (1e-6, "µ"))


def order_comparisons(comparisons: Sequence[BenchmarkComparison]) -> list[BenchmarkComparison]:
    """Sorts by verdict, and within a verdict by decreasing ratio."""
    return sorted(comparisons, key=lambda c: (ORDER.index(c.verdict), -(c.ratio or 0), c.benchmark))


def is_notable(comparison: BenchmarkComparison) -> bool:
    return not (comparison.exact and comparison.verdict in UNCHANGED)


def format_measured(value: float | None, unit: str) -> str:
    """Formats a value like `12.3 ms`, `4.05 MB` or `812 calls`."""
    if value is None:
        return "–"
    if unit not in ("s", "bytes"):
        return f"{value:,.0f} {unit}"
    scale, prefix = next((p for p in SI_PREFIXES if abs(value) >= p[0]), (1, ""))
    return f"{value / scale:.3g} {prefix}{'B' if unit == 'bytes' else unit}"


def format_ratio(comparison: BenchmarkComparison) -> str:
    if comparison.ratio is None:
        return "–"
    if comparison.exact:
        return f"{comparison.ratio:.4f}"
    bounded = comparison.low is not None and comparison.high is not None
    return f"{comparison.ratio:.3f}" + (
        f" [{comparison.low:.3f}, {comparison.high:.3f}]" if bounded else ""
    )


PERF_TABLE_COLUMNS = ("benchmark", "verdict", "base", "head", "head / base", "pairs")


def perf_table_cells(comparison: BenchmarkComparison) -> tuple[str, ...]:
    sides = (
        format_measured(comparison.base, comparison.unit),
        format_measured(comparison.head, comparison.unit),
    )
    pairs = "exact" if comparison.exact else str(comparison.pairs or "–")
    return (comparison.benchmark, comparison.verdict, *sides, format_ratio(comparison), pairs)


def perf_table(report: PerfReport) -> Table:
    grid = Table(box=SIMPLE_HEAD, padding=(0, 1))
    grid.add_column(PERF_TABLE_COLUMNS[0], overflow="fold")
    for name in PERF_TABLE_COLUMNS[1:]:
        grid.add_column(name, justify="left" if name == "verdict" else "right", no_wrap=True)
    for comparison in filter(is_notable, order_comparisons(report.comparisons)):
        grid.add_row(
            *map(escape, perf_table_cells(comparison)), style=VERDICT_STYLES.get(comparison.verdict)
        )
    return grid


def perf_reasons(report: PerfReport) -> list[str]:
    return [f"{c.benchmark}: {c.reason}" for c in order_comparisons(report.comparisons) if c.reason]


def perf_sentences(report: PerfReport, rules: PerfRules, powers: dict[float, float]) -> list[str]:
    """Returns sentences: counts of verdicts, unchanged numbers, the gate's power, and caveats."""
    if report.refusal:
        return []
    counts = [f"{n} {name}" for name in ORDER if (n := report.count_verdicts(name))]
    sentences = [
        f"{count_of(len(report.comparisons), 'benchmark')}: {', '.join(counts) or 'none'}."
    ]
    still = sum(not is_notable(c) for c in report.comparisons)
    sentences += [f"Unchanged and not shown: {count_of(still, 'exact number')}."] if still else []
    if powers:
        chances = ", ".join(
            f"{format_share(p)} for a slowdown of {format_threshold(slow)}"
            for slow, p in powers.items()
        )
        sentences += [
            f"Probability of detecting a slower benchmark, at a margin of {format_threshold(rules.margin)}"
            f" and with this noise: {chances} (the median of {len(report.ratios)} benchmarks)."
        ]
    if not is_on_gpu(report) and report.ratios:
        sentences += [SECONDS_SENTENCE]
    if report.waiting > BUSY_SHARE:
        sentences += [
            f"The machine was busy: other processes had the core in {format_share(report.waiting)} of the time."
        ]
    if report.uncounted:
        sentences += [f"Instructions were not counted: {report.uncounted}."]
    if report.unsteady:
        sentences += [f"The GPU's clock was throttled in {', '.join(report.unsteady)}: undecided."]
    sentences += [] if report.watched else [UNWATCHED_SENTENCE]
    return [*sentences, *([f"On a GPU {UNMEASURED_SENTENCE}."] if is_on_gpu(report) else [])]


def is_on_gpu(report: PerfReport) -> bool:
    return report.device not in ("", "cpu")


def perf_powers(report: PerfReport, rules: PerfRules) -> dict[float, float]:
    """Returns the median probability, over benchmarks, of detecting each slowdown."""
    rng = np.random.default_rng(0)
    known = {name: ratios for name, ratios in report.ratios.items() if len(ratios) > 1}
    if not known:
        return {}
    rounds = (report.pairs, MIN_PAIRS) if report.was_cut else (rules.pairs, rules.pairs)
    return {
        slow: median(
            slowdown_power(ratios, slow, rounds, rules, rng, report.noises[name])
            for name, ratios in known.items()
        )
        for slow in POWER_SLOWDOWNS
    }


def perf_markdown(report: PerfReport, sentences: Sequence[str], title: str) -> str:
    """Returns a section with a table of all benchmarks except the unchanged ones."""
    shown = [c for c in order_comparisons(report.comparisons) if c.verdict not in UNCHANGED]
    lines = [f"### {title}", "", *sentences]
    if shown:
        lines += [
            "",
            markdown_row(PERF_TABLE_COLUMNS),
            markdown_row(["---"] * len(PERF_TABLE_COLUMNS)),
        ]
        lines += [markdown_row(perf_table_cells(notable)) for notable in shown]
        lines += ["", *(f"- {line}" for line in perf_reasons(report))]
    return "\n".join(lines) + "\n\n"


def markdown_row(texts: Sequence[str]) -> str:
    return "| " + " | ".join(map(escape_markdown, texts)) + " |"


def perf_record(
    report: PerfReport,
    verdict: CommandVerdict,
    sentences: Sequence[str],
    powers: Mapping[float, float],
    facts: Mapping[str, Any],
) -> PerfRecord:
    """Returns the verdict as a record for JSON; `facts` are its title, revisions and margin."""
    content = {
        "verdict": verdict.value,
        "code": verdict.exit_code,
        "sentences": sentences,
        "power": {f"{slow:g}": chance for slow, chance in powers.items()},
        "device": report.device,
        "pairs": report.pairs,
        "waiting": report.waiting,
        "seconds_of_pairs": report.seconds,
        "unsteady": report.unsteady,
        "comparisons": [asdict(one) for one in report.comparisons],
    }
    return PerfRecord.model_validate({**content, **facts})


def perf_history_entries(report: PerfReport, at: MeasuredAt) -> list[HistoryEntry]:
    """Returns the head's values as history records, with bounds over its processes."""
    return [
        at.entry(
            c.benchmark, c.head, "lower", unit=c.unit, **describe_range(report, c.benchmark, c.head)
        )
        for c in report.comparisons
        if c.head is not None
    ]


def describe_range(report: PerfReport, benchmark: str, value: float) -> dict[str, Any]:
    """Returns the least and the largest value of the head's processes, and their number."""
    values = report.values.get(benchmark, [value])
    return {"low": min(values), "high": max(values), "count": len(values)}
