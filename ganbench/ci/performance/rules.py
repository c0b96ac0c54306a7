"""The rules of a performance gate: margin, pairs and time limits."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PerfRules:
    margin: float  # the slowdown to find, as a share
    pairs: int  # maximum pairs of processes per round
    seconds: float  # after this time, only pairs of a round's minimum start
    instructions: float = 0.0  # seconds after which counting of instructions ends; 0: not counted
    must_count: bool = False  # whether the gate cannot decide without instructions
