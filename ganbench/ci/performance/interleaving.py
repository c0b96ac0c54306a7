"""Pairs of processes, one of each side, and the log ratios of their times."""

import math
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import trim_mean

from .noise import NO_SHARED_NOISE, SharedNoise, estimate_shared_noise
from .process import BenchmarkReading, ProcessMeasurements
from .rules import MIN_PAIRS

TRIMMED_SHARE = 0.2  # of the window ratios of a pair, on either side


@dataclass
class RoundTimes:
    """The processes of a round; the n-th process of base and the n-th of head form a pair."""

    turns: dict[str, list[ProcessMeasurements]] = field(
        default_factory=lambda: {"base": [], "head": []}
    )
    noise: SharedNoise | None = None  # None before the first look

    @property
    def count(self) -> int:
        """The number of pairs."""
        return len(self.turns["base"])

    def estimate_noise(self) -> None:
        """Estimates the shared noise from the minimum of pairs, which all benchmarks have."""
        names = [name for name in sorted(self.benchmark_names()) if not self.waits(name)]
        ratios = [self.log_ratios(name)[:MIN_PAIRS] for name in names]
        self.noise = estimate_shared_noise([few for few in ratios if len(few) == MIN_PAIRS])

    def noise_of(self, name: str) -> SharedNoise:
        """Returns the shared noise; none for work that waits, which is noisier than all others."""
        return NO_SHARED_NOISE if self.noise is None or self.waits(name) else self.noise

    def waits(self, name: str) -> bool:
        return any(one.waits for pair in self.reading_pairs(name) for one in pair)

    def reading_pairs(self, name: str) -> list[tuple[BenchmarkReading, BenchmarkReading]]:
        both = zip(self.turns["base"], self.turns["head"], strict=False)
        readings = ((b.readings.get(name), h.readings.get(name)) for b, h in both)
        return [(base, head) for base, head in readings if base and head]

    def log_ratios(self, name: str) -> list[float]:
        """Returns log(head / base) per pair."""
        return [log_ratio(base, head) for base, head in self.reading_pairs(name)]

    def benchmark_names(self) -> set[str]:
        return {
            name
            for side in self.turns.values()
            for one in side
            for name, reading in one.readings.items()
            if not reading.exact
        }

    def waiting_shares(self, name: str) -> list[float]:
        """Returns, per process, the share of wall-clock time in which it did not run.

        Another process had the core in this time. Empty for a benchmark that waits by itself.
        """
        readings = [one for pair in self.reading_pairs(name) for one in pair if one.wall]
        return [max(0.0, 1 - sum(one.windows) / sum(one.wall)) for one in readings]


def log_ratio(base: BenchmarkReading, head: BenchmarkReading) -> float:
    """Returns the trimmed mean of log(head / base) over the windows that took turns.

    Windows on a GPU did not take turns: their medians are compared.
    """
    if base.gpu_samples or head.gpu_samples:
        return math.log(head.value / base.value)
    count = min(len(base.windows), len(head.windows))
    ratios = np.log(np.divide(head.windows[:count], base.windows[:count]))
    return float(trim_mean(ratios, TRIMMED_SHARE))
