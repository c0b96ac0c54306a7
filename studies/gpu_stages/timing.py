"""Times of blocks of steps, by CUDA events on a GPU, and the median's interval."""

import math
import time
from collections.abc import Callable, Sequence
from statistics import median

import torch

MIN_BLOCK_SECONDS = 0.1  # a block has as many steps as last that long
CONFIDENCE_LEVEL = 0.95

Step = Callable[[], object]


def measure_seconds(work: Callable[[], object], device: torch.device) -> float:
    """Returns the seconds of work that may run on after its call."""
    if device.type != "cuda":
        began = time.perf_counter()
        work()
        return time.perf_counter() - began
    torch.cuda.synchronize(device)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    work()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1000


def repeat(step: Step, count: int) -> None:
    for _ in range(count):
        step()


def choose_block_length(seconds: float, period: int, shortest: float = MIN_BLOCK_SECONDS) -> int:
    """Returns a number of steps that last at least the shortest block, in whole periods."""
    return period * max(1, math.ceil(shortest / max(seconds, 1e-9) / period))


def median_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Returns the median and its 95 % interval of order statistics.

    Between the k-th lowest and the k-th highest of n values the median lies with the probability
    1 - 2 P(Binomial(n, 1/2) < k). Five values give 94 % at most, by their lowest and highest.
    """
    count, rank = len(values), 1
    while coverage_of_rank(rank + 1, count) >= CONFIDENCE_LEVEL:
        rank += 1
    ordered = sorted(values)
    return median(values), ordered[rank - 1], ordered[count - rank]


def describe_blocks(count: int) -> str:
    """Returns the number of blocks, and what their interval covers if that is below 95 %."""
    coverage = coverage_of_rank(1, count)
    if coverage >= CONFIDENCE_LEVEL:
        return f"{count} blocks"
    return f"{count} blocks ({100 * coverage:.0f} % interval)"


def coverage_of_rank(rank: int, count: int) -> float:
    """Returns the probability that the median lies between the two values of a rank."""
    return 1 - 2 * sum(math.comb(count, i) for i in range(rank)) / 2**count
