"""The rules of a performance gate: margin, pairs, looks and time limits."""

from dataclasses import dataclass

from ganbench.analysis.sequential import equal_share

MIN_PAIRS = 4  # pairs before the first look
ROUND_ERROR = 0.05  # probability that an interval of a round misses the true ratio
FIRST_SHARE = 0.5  # of this error, for the first look: a whole run has no time for others


@dataclass(frozen=True)
class PerfRules:
    margin: float  # the slowdown to find, as a share
    pairs: int  # maximum pairs of processes per round
    seconds: float  # after this time, only the first MIN_PAIRS pairs of a round start
    instructions: float = 0.0  # seconds after which counting of instructions ends; 0: not counted
    must_count: bool = False  # whether the gate cannot decide without instructions
    concurrent_pairs: int = 1  # pairs that run at the same time

    @property
    def looks(self) -> tuple[int, ...]:
        """The numbers of pairs after which the gate looks at a round."""
        ended = (*range(self.concurrent_pairs, self.pairs, self.concurrent_pairs), self.pairs)
        return tuple(count for count in ended if count >= MIN_PAIRS)

    def level(self, pairs: int) -> float:
        """Returns the confidence level of the interval of so many pairs.

        Looks after the first one share the rest of the error equally.
        """
        first, *others = self.looks
        if not others:
            return 1 - ROUND_ERROR
        is_first = pairs <= first
        share = FIRST_SHARE if is_first else (1 - FIRST_SHARE) * equal_share(len(others))
        return 1 - ROUND_ERROR * share
