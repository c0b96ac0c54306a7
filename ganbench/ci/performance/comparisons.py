"""One verdict a benchmark, with what it is made of, or the reason why there is no better one."""

import math
from dataclasses import dataclass, replace
from statistics import median

from .interleaving import Times
from .process import Measured, Reading
from .verdicts import Interval, Verdict, interval, verdict, verdict_of_counts


@dataclass(frozen=True)
class Comparison:
    benchmark: str
    verdict: Verdict
    base: float | None = None
    head: float | None = None
    unit: str = ""
    exact: bool = False
    ratio: float | None = None  # head/base, the median of pairs
    low: float | None = None
    high: float | None = None
    pairs: int = 0
    reason: str = ""


def compared(first: dict[str, Measured], times: Times, margin: float) -> list[Comparison]:
    """Every benchmark that either side has and that has a meaning somewhere."""
    base, head = first["base"], first["head"]
    names = dict.fromkeys([*head.readings, *base.readings, *head.failed, *base.failed])
    return [comparison(name, base, head, times, margin) for name in names]


def comparison(
    name: str, base: Measured, head: Measured, times: Times, margin: float
) -> Comparison:
    before, now = base.readings.get(name), head.readings.get(name)
    if before is None and now is None:
        why = head.reason(name) or base.reason(name)
        return Comparison(name, "missing", reason=f"neither side runs it: {why}")
    if before is None:
        assert now is not None
        why = base.reason(name)
        told = f"base cannot run it: {why}" if why else ""
        return Comparison(name, "new", None, now.value, now.unit, now.exact, reason=told)
    if now is None:
        told = head.reason(name) or "head does not have it"
        return Comparison(
            name, "missing", before.value, None, before.unit, before.exact, reason=told
        )
    if before.work != now.work:
        told = f"not the same work: {before.work!r} before, {now.work!r} now"
        values = (before.value, now.value, now.unit, now.exact)
        return Comparison(name, "undecided", *values, reason=told)
    return counted(name, before, now) if now.exact else timed(name, times, margin, now.unit)


def counted(name: str, base: Reading, head: Reading) -> Comparison:
    found = verdict_of_counts(base.value, head.value)
    ratio = head.value / base.value if base.value else None
    return Comparison(
        name, found, base.value, head.value, head.unit, True, ratio, ratio, ratio, pairs=1
    )


def timed(name: str, times: Times, margin: float, unit: str) -> Comparison:
    pairs = times.pairs(name)
    if not pairs:
        return Comparison(name, "undecided", unit=unit, reason="it ran in no pair of processes")
    found = interval(times.ratios(name))
    base, head = (median(pair[side].value for pair in pairs) for side in (0, 1))
    said = verdict(found, margin)
    return Comparison(name, said, base, head, unit, False, *shown(found), len(pairs))


def shown(found: Interval) -> tuple[float, float | None, float | None]:
    """As ratios; None where there is no bound."""
    low, high = (math.exp(x) if math.isfinite(x) else None for x in (found.low, found.high))
    return math.exp(found.median), low, high


def confirmed(first: Comparison, again: Times, margin: float) -> Comparison:
    """A slowdown that a second round does not see is none that anybody should act on."""
    if first.verdict != "regressed" or first.exact:
        return first
    ratios = again.ratios(first.benchmark)
    if ratios and verdict(interval(ratios), margin) == "regressed":
        return replace(first, reason=f"twice: {told(interval(ratios))} in the second round")
    seen = told(interval(ratios)) if ratios else "nothing"
    return replace(first, verdict="undecided", reason=f"not confirmed: {seen} in the second round")


def told(found: Interval) -> str:
    ratio, low, high = shown(found)
    return f"{ratio:.3f}" + (f" [{low:.3f}, {high:.3f}]" if low and high else "")
