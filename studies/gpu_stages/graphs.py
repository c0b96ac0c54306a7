"""CUDA graphs against eager training: the loss terms of 200 steps, with each variant's own tricks.

A second eager training shows how much of a difference comes from the GPU's order of sums.
"""

import math
from collections.abc import Iterator
from functools import partial

import torch

from ganbench.training.trainer import read_terms

from .base import Job, Row, attempt
from .trainings import EAGER, Case, build_trainer, iter_shrunk, make_numerics

CASES = tuple(
    Case(variant, side=16, batch=16)
    for variant in ("dcgan", "sngan", "wgan_gp", "stylegan2", "r3gan(width=128)")
)
STEPS, TINY_STEPS = 200, 8
TOLERANCE = 1e-3  # relative, or twice the difference of two eager trainings
SHARE = "told_apart"  # of pairs; it jumps where two scores are close
GRAPHED = "graph"

Logs = list[dict[str, float]]


def measure(job: Job) -> Iterator[Row]:
    torch.backends.cudnn.deterministic = True
    for case in iter_shrunk(CASES, job.tiny):
        if f"{case.name}: verdict" not in job.known:
            yield from attempt(job, f"{case.name}, {GRAPHED}", partial(compare, job, case))


def compare(job: Job, case: Case) -> Iterator[Row]:
    """Yields the differences of a second eager and of a graphed training from an eager one."""
    eager = train(job, case, EAGER)[0]
    noise, _ = largest_difference(eager, train(job, case, EAGER)[0])
    yield Row(f"{case.name}: largest relative difference, eager twice", noise)
    logs, reason = train(job, case, GRAPHED)
    if reason:
        yield Row(f"{case.name}: largest relative difference, graph", note=f"eager: {reason}")
        return
    difference, first = largest_difference(eager, logs)
    note = "equal to the bit" if first is None else f"first at step {first}"
    yield Row(f"{case.name}: largest relative difference, graph", difference, note=note)
    limit = max(TOLERANCE, 2 * noise)
    verdict = "passed" if difference <= limit else "FAILED"
    yield Row(f"{case.name}: verdict", limit, "tolerance", note=verdict)


def train(job: Job, case: Case, numerics: str) -> tuple[Logs, str]:
    """Returns the terms of each step, and the reason if a graphed trainer ran eagerly."""
    own = make_numerics(numerics, job.device)
    own.apply()
    trainer = build_trainer(case, job.device, own)
    for _ in range(TINY_STEPS if job.tiny else STEPS):
        trainer.train_step()
    return read_terms(trainer.logs), getattr(trainer, "eager_reason", "")


def largest_difference(expected: Logs, logs: Logs) -> tuple[float, int | None]:
    """Returns the largest difference, relative to each term's mean size, and its first step.

    The step is None for logs that are equal to the bit. Logs with unlike terms differ infinitely.
    """
    names = {name for log in expected for name in log} - {SHARE}
    largest, first = 0.0, None
    for name in names:
        pairs = [(a.get(name), b.get(name)) for a, b in zip(expected, logs, strict=True)]
        scale = mean_size([a for a, _ in pairs if a is not None])
        for step, (a, b) in enumerate(pairs):
            if a == b:
                continue
            off = math.inf if a is None or b is None else abs(a - b) / scale
            largest = max(largest, off if math.isfinite(off) else 1e30)
            first = step if first is None else min(first, step)
    return largest, first


def mean_size(values: list[float]) -> float:
    return sum(map(abs, values)) / len(values) or 1.0
