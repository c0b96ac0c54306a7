"""Sentences of comparisons, no stronger than their intervals."""

import math
from collections import Counter
from collections.abc import Sequence

from ganbench.counts import count_of, format_signed, format_threshold
from ganbench.experiments.plan_names import join_names

from .cell_comparison import COMPARISON_VERDICTS, CellComparison
from .rates import wilson_interval
from .verdicts import ComparisonVerdict


def summarize_comparisons(comparisons: Sequence[CellComparison]) -> list[str]:
    """Returns one sentence per metric with the number of cells per verdict.

    Further sentences give the reasons for cells that are not comparable.
    """
    names = dict.fromkeys(c.display_name for c in comparisons)
    sentences = [format_tally(n, [c for c in comparisons if c.display_name == n]) for n in names]
    refused = dict.fromkeys(
        c.reason for c in comparisons if c.verdict is ComparisonVerdict.NOT_COMPARABLE
    )
    return [*sentences, *(f"Not comparable: {reason}." for reason in refused if reason)]


def format_tally(metric: str, comparisons: Sequence[CellComparison]) -> str:
    """Returns a sentence such as `FID of 5 cells: 2 better, 1 undecided, 2 new.`"""
    counted = Counter(c.verdict for c in comparisons)
    counts = ", ".join(f"{counted[v]} {v}" for v in COMPARISON_VERDICTS if counted[v])
    return f"{metric} of {count_of(len(comparisons), 'cell')}: {counts}."


def format_comparison(c: CellComparison) -> str:
    """Describes one comparison in a sentence that is no stronger than its interval."""
    names = join_names((c.data, c.variant, c.loss, c.tricks, c.plan))
    return f"{names or 'mean over all matched cells'}, {c.display_name}: {format_verdict(c)}{format_failures(c)}."


def format_verdict(c: CellComparison) -> str:
    if c.verdict is ComparisonVerdict.NEW:
        return f"new, measured only after (before: {c.reason})"
    if c.verdict is ComparisonVerdict.MISSING:
        return f"missing, measured only before (after: {c.reason})"
    if c.verdict is ComparisonVerdict.NOT_COMPARABLE:
        return f"not comparable, {c.reason or 'no cell was trained on both sides'}"
    if c.verdict is ComparisonVerdict.IDENTICAL:
        return "the same numbers in all trainings that both sides have"
    detail = (
        f" within {format_threshold(c.margin)}" if c.verdict is ComparisonVerdict.EQUIVALENT else ""
    )
    if c.is_decided_by_failures:
        detail = f", {'more' if c.excess > 0 else 'fewer'} trainings fail"
    return f"{c.verdict}{detail}, {format_amount(c)}"


def format_amount(c: CellComparison) -> str:
    """Returns, for example, `0.71 times as much [0.63, 0.80], 5 pairs, p = 0.003`."""
    if math.isnan(c.change):
        return "no values on both sides"
    form = ".3g" if c.unit == "ratio" else "+.3g"
    change, low, high = (format_signed(value, form) for value in (c.change, c.low, c.high))
    words = {"ratio": " times as much", "log odds": " in log odds"}.get(c.unit, "")
    seeds = count_of(c.seeds, "pair" if c.paired else "seed")
    if math.isnan(c.low):
        return f"{change}{words}, {seeds}, without an interval"
    return f"{change}{words} [{low}, {high}], {seeds}, p = {format_signed(c.p, '.2g')}"


def format_failures(c: CellComparison) -> str:
    """Describes the failures of both sides, with Wilson's intervals.

    Example: `; failed 0 of 5 (0 % to 43 %) before, 5 of 5 (57 % to 100 %) after`.
    """
    sides = (("before", c.failed_before, c.ended_before), ("after", c.failed_after, c.ended_after))
    if not c.failed_before + c.failed_after:
        return ""
    parts = []
    for side, count, total in sides:
        if total:
            low, high = wilson_interval(count, total)
            parts.append(f"{count} of {total} ({100 * low:.0f} % to {100 * high:.0f} %) {side}")
    return f"; failed {', '.join(parts)}"
