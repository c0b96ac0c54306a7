"""The rules of a performance gate: margin, pairs, looks and time limits."""

from dataclasses import dataclass

from ganbench.analysis.sequential import equal_share

MIN_PAIRS = 4  # pairs before the first look
ROUND_ERROR = 0.05  # probability that an interval of a round misses the true ratio


@dataclass(frozen=True)
class PerfRules:
    margin: float  # the slowdown to find, as a share
    pairs: int  # maximum pairs of processes per round
    seconds: float  # after this time, only pairs of a round's minimum start
    instructions: float = 0.0  # seconds after which counting of instructions ends; 0: not counted
    must_count: bool = False  # whether the gate cannot decide without instructions
    concurrent_pairs: int = 1  # pairs that run at the same time

    @property
    def looks(self) -> tuple[int, ...]:
        """The numbers of pairs after which the gate looks at a round."""
        ended = (*range(self.concurrent_pairs, self.pairs, self.concurrent_pairs), self.pairs)
        return tuple(count for count in ended if count >= MIN_PAIRS)

    @property
    def look_level(self) -> float:
        """The confidence level of the intervals at each look, which share the error equally."""
        return 1 - ROUND_ERROR * equal_share(len(self.looks))
