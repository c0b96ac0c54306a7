"""The gate: counts once, times by turns in two rounds, and a verdict a benchmark."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ganbench.errors import GanbenchError
from ganbench.registry import suggest

from .comparisons import Comparison, compared, confirmed
from .interleaving import Times, abba
from .process import COUNTS, TIMES, Bench, Measured
from .revisions import Side
from .verdicts import Verdict

FLOOR = 3  # blocks: six pairs, the fewest that an interval of 95 % can be made of
TRIES = 3  # processes until a GPU is steady
# A worker's start takes as long as all steps together: it has the fewest pairs.
RARE = ("schedule[local]",)

DECIDED: tuple[Verdict, ...] = ("regressed", "improved", "unchanged")

Say = Callable[[str], None]


class UnknownWord(GanbenchError, ValueError):
    """A word that no benchmark's name has in it."""


@dataclass(frozen=True)
class Rules:
    margin: float
    blocks: int
    seconds: float  # after which no block begins, but the first three


@dataclass
class Report:
    """All that was found; `log` has every window of every process, in their order."""

    comparisons: list[Comparison] = field(default_factory=list)
    ratios: dict[str, list[float]] = field(default_factory=dict)  # of the first round, logarithms
    values: dict[str, list[float]] = field(default_factory=dict)  # the head's in those pairs
    unsteady: list[str] = field(default_factory=list)
    log: list[Measured] = field(default_factory=list)
    blocks: int = 0
    seconds: list[float] = field(default_factory=list)  # that timing processes took
    device: str = ""
    watched: bool = True

    def count(self, wanted: Verdict) -> int:
        return sum(c.verdict == wanted for c in self.comparisons)

    @property
    def is_empty(self) -> bool:
        """Was nothing decided? Then nothing is said, and that is no pass."""
        return not any(c.verdict in DECIDED for c in self.comparisons)

    @property
    def broken(self) -> list[Comparison]:
        """Those that both sides have and that gave no ratio, or are not of the same work."""
        return [c for c in self.comparisons if c.verdict == "undecided" and c.ratio is None]


class Gate:
    def __init__(self, base: Side, head: Side, bench: Bench, rules: Rules, say: Say):
        self.sides = {"base": base, "head": head}
        self.bench, self.rules, self.say = bench, rules, say
        self.report, self.end = Report(), time.monotonic() + rules.seconds

    def run(self, words: Sequence[str] = ()) -> Report:
        """Raises UnknownWord, and CannotRun of a side."""
        first = {name: self.warmed(side, words) for name, side in self.sides.items()}
        self.report.device, self.report.watched = first["head"].device, first["head"].watched
        check(words, {name for one in first.values() for name in one.collected})
        timed = {n for one in first.values() for n, r in one.readings.items() if not r.exact}
        times = self.round("round 1", timed, self.rules.blocks)
        found = compared(first, times, self.rules.margin)
        suspects = [c.benchmark for c in found if c.verdict == "regressed" and not c.exact]
        again = self.round("round 2", suspects, max(FLOOR, self.report.blocks))
        found = [confirmed(c, again, self.rules.margin) for c in found]
        self.report.comparisons = [unsteady(c, self.report.unsteady) for c in found]
        paired = [name for name in sorted(timed) if times.pairs(name)]
        self.report.ratios = {name: times.ratios(name) for name in paired}
        self.report.values = {name: [h.value for _, h in times.pairs(name)] for name in paired}
        return self.report

    def warmed(self, side: Side, words: Sequence[str]) -> Measured:
        """The first process of a side counts, and fills caches; its times are not used."""
        began = time.monotonic()
        found = self.bench.measure(side, (COUNTS, TIMES), words)
        self.report.log.append(found)
        told = f"{len(found.readings)} benchmarks, {len(found.failed)} failed"
        self.say(f"{side.name} counted and warm: {told} ({time.monotonic() - began:.0f} s)")
        return found

    def round(self, label: str, names: Collection[str], blocks: int) -> Times:
        """Blocks of four processes until they are through, or the time is up, or nothing is left to learn."""
        times = Times()
        for block in range(blocks if names else 0):
            if block >= FLOOR and (time.monotonic() > self.end or times.is_narrow()):
                break
            rest = {*names} - {*RARE} if block >= FLOOR else {*names}
            self.block(times, rest, f"{label}, block {block + 1}/{blocks}")
            if label == "round 1":
                self.report.blocks = block + 1
        return times

    def block(self, times: Times, names: Collection[str], label: str) -> None:
        for number, name in enumerate(abba(1) if names else (), 1):
            seconds = self.turn(times, self.sides[name], names)
            self.say(f"{label}, {number}/4: {name} {seconds:.0f} s")

    def turn(self, times: Times, side: Side, names: Collection[str]) -> float:
        began = time.monotonic()
        found = self.steady(side, names)
        self.report.log.append(found)
        self.report.seconds.append(time.monotonic() - began)
        times.turns[side.name].append(found)
        return self.report.seconds[-1]

    def steady(self, side: Side, names: Collection[str]) -> Measured:
        """A process; windows of a GPU that was held back are measured again, in one more."""
        found = self.bench.measure(side, (TIMES,), names=names)
        for _ in range(TRIES - 1):
            shaky = [name for name, one in found.readings.items() if not one.steady]
            if not shaky:
                return found
            again = self.bench.measure(side, (TIMES,), names=shaky)
            found = replace(found, readings=found.readings | again.readings)
        shaky = [name for name, one in found.readings.items() if not one.steady]
        self.report.unsteady += [name for name in shaky if name not in self.report.unsteady]
        return found


def unsteady(found: Comparison, names: Collection[str]) -> Comparison:
    """What a GPU that was held back says of times decides nothing."""
    if found.benchmark not in names or found.exact:
        return found
    return replace(found, verdict="undecided", reason="the GPU's clock was held back")


def check(words: Sequence[str], known: Collection[str]) -> None:
    """Raises UnknownWord for one that picks nothing."""
    kinds = sorted({name.partition("[")[0] for name in known})
    for word in words:
        if not any(word.lower() in name.lower() for name in known):
            close, _, _ = suggest(word, {*known, *kinds}).partition("; there are")
            offered = close or f"; there are {', '.join(kinds)}"
            raise UnknownWord(f"no benchmark has {word!r} in its name{offered}")


def record(report: Report) -> dict[str, Any]:
    """As plain data: `processes` holds every window."""
    return {
        "device": report.device,
        "blocks": report.blocks,
        "seconds_of_processes": report.seconds,
        "unsteady": report.unsteady,
        "comparisons": [asdict(one) for one in report.comparisons],
        "processes": [one.record() for one in report.log],
    }
