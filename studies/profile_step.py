"""One training loop in a process of its own, for `studies/profiles.py`: its steps timed or counted.

    PYTHONPATH=TREE python studies/profile_step.py gan digits time

TREE is a checkout of ganbench. The script uses only names that all profiled revisions have.
"""

import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import torch
from torch.profiler import ProfilerActivity, profile

from ganbench.data import DATA
from ganbench.data.base import IMAGE, BatchLoader
from ganbench.gan.build import build_training
from ganbench.gan.variants import resolve_variant
from ganbench.rng import RngStreams
from ganbench.training.budget import Budget
from ganbench.training.trainer import Trainer

CPU = torch.device("cpu")
FOREVER = Budget("images", 10**12)
WARMUP_STEPS, FLUSH_STEPS, COUNTED_STEPS = 200, 50, 100
BLOCKS, BLOCK_STEPS = 10, 50
SAMPLED_SECONDS, SAMPLE_SECONDS = 20, 0.001

Step = Callable[[], object]


def make_our_step(variant: str, data_name: str) -> Step:
    data, streams = DATA.make(data_name), RngStreams(0, CPU)
    setup = build_training(resolve_variant(variant), data, streams)
    loader = BatchLoader(data.load().train, setup.hyperparameters.batch, streams)
    trainer = Trainer(setup, loader, streams, FOREVER)

    def step() -> None:
        trainer.train_step()
        if trainer.step % FLUSH_STEPS == 0:
            trainer.flush()

    return step


def make_bare_step(variant: str, data_name: str) -> Step:
    sys.path.append(str(Path(__file__).parent))
    from gpu_stages.bare import BareLoop

    data = DATA.make(data_name)
    setup = build_training(resolve_variant(variant), data, RngStreams(0, CPU))
    return BareLoop(setup, data.load().train[IMAGE], CPU, penalized=False).train_step


def measure_seconds(step: Step) -> float:
    """Returns the CPU seconds of a step in the fastest block: other programs only slow it down."""
    return min(time_block(step) for _ in range(BLOCKS))


def time_block(step: Step) -> float:
    began = time.process_time()
    repeat(step, BLOCK_STEPS)
    return (time.process_time() - began) / BLOCK_STEPS


def count_operators(step: Step) -> dict[str, tuple[float, float]]:
    """Returns the calls of each operator in a step, and its own microseconds."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        repeat(step, COUNTED_STEPS)
    return {
        event.key: (event.count / COUNTED_STEPS, event.self_cpu_time_total / COUNTED_STEPS)
        for event in profiler.key_averages()
    }


def sample_lines(step: Step) -> dict[str, float]:
    """Returns the share of time of each line of ganbench, by a timer's interrupts.

    A line's time has everything that it calls outside ganbench.
    """
    counts: Counter[str] = Counter()

    def count(_: int, frame: FrameType | None) -> None:
        counts[innermost_line(frame)] += 1

    signal.signal(signal.SIGALRM, count)
    signal.setitimer(signal.ITIMER_REAL, *[SAMPLE_SECONDS] * 2)
    end = time.monotonic() + SAMPLED_SECONDS
    while time.monotonic() < end:
        step()
    signal.setitimer(signal.ITIMER_REAL, 0)
    return {line: number / counts.total() for line, number in counts.most_common()}


def innermost_line(frame: FrameType | None) -> str:
    """Returns the innermost line of ganbench in a stack: `path:line function`."""
    while frame is not None:
        _, is_ours, path = frame.f_code.co_filename.rpartition("/ganbench/")
        if is_ours:
            return f"{path}:{frame.f_lineno} {frame.f_code.co_qualname}"
        frame = frame.f_back
    return "the loop of this study"


def repeat(step: Step, count: int) -> None:
    for _ in range(count):
        step()


WORKS = {"time": measure_seconds, "operators": count_operators, "lines": sample_lines}


def main() -> None:
    variant, data_name, work, *bare = sys.argv[1:]
    torch.set_num_threads(1)
    step = (make_bare_step if bare else make_our_step)(variant, data_name)
    repeat(step, WARMUP_STEPS)
    print(json.dumps(WORKS[work](step)))


if __name__ == "__main__":
    main()
