"""Alternates both sides in the order ABBA, and pairs neighbouring processes."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from .process import BenchmarkReading, ProcessMeasurements
from .verdicts import median_interval

NARROW_HALF_WIDTH = math.log(1.01)  # half width of a log interval that needs no more pairs


def abba_order(blocks: int) -> Iterator[str]:
    """Yields the side of each turn, so that a steady slowdown affects both sides equally."""
    for _ in range(blocks):
        yield from ("base", "head", "head", "base")


@dataclass
class RoundTimes:
    """The processes of a round; the n-th process of base and the n-th of head form a pair."""

    turns: dict[str, list[ProcessMeasurements]] = field(
        default_factory=lambda: {"base": [], "head": []}
    )

    def reading_pairs(self, name: str) -> list[tuple[BenchmarkReading, BenchmarkReading]]:
        both = zip(self.turns["base"], self.turns["head"], strict=False)
        readings = ((b.readings.get(name), h.readings.get(name)) for b, h in both)
        return [(base, head) for base, head in readings if base and head]

    def log_ratios(self, name: str) -> list[float]:
        """Returns log(head / base) per pair, from paced values if both sides have them."""
        return [
            math.log(
                head.paced / base.paced if head.paced and base.paced else head.value / base.value
            )
            for base, head in self.reading_pairs(name)
        ]

    def benchmark_names(self) -> set[str]:
        return {name for side in self.turns.values() for one in side for name in one.readings}

    def is_narrow(self) -> bool:
        shared = [
            self.log_ratios(name) for name in self.benchmark_names() if self.reading_pairs(name)
        ]
        return bool(shared) and all(
            median_interval(r).half_width < NARROW_HALF_WIDTH for r in shared
        )
