"""Stacked seeds: the time of one program of S members against S lone steps."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from ganbench.data import DATA
from ganbench.data.base import BatchLoader
from ganbench.devices import Numerics
from ganbench.gan.build import TrainingSetup, build_training
from ganbench.gan.variants import resolve_variant
from ganbench.rng import RngStreams
from ganbench.training.trainer import Trainer

from .base import Job, Row, attempt
from .timing import (
    Step,
    choose_block_length,
    describe_blocks,
    measure_seconds,
    median_interval,
    repeat,
)
from .trainings import FOREVER

CASES = (("gan2d", "ring"), ("gan", "digits"), ("dcgan", "digits"))
MEMBERS, TINY_MEMBERS = (1, 4, 16, 64), (1, 3)
WARM_STEPS = 5
BLOCKS, TINY_BLOCKS = 9, 5

Parts = tuple[TrainingSetup, BatchLoader, RngStreams]


@dataclass
class Timed:
    """A loop and the seconds of a step in each of its blocks."""

    step: Step
    length: int
    times: list[float]


def measure(job: Job) -> Iterator[Row]:
    Numerics(job.device.type).apply()
    for variant, data in CASES:
        for count in TINY_MEMBERS if job.tiny else MEMBERS:
            what = f"{variant} on {data}, {count} stacked"
            if what not in job.known:
                yield from attempt(job, what, partial(compare, job, variant, data, count, what))


def compare(job: Job, variant: str, data: str, count: int, what: str) -> Iterator[Row]:
    """Yields the times of stacked and lone steps, timed in turn, and their ratio."""
    from ganbench.training.stacked import StackedTrainer

    text = f"{variant}(width=8)" if job.tiny else variant
    parts = [build_parts(text, data, job.device, seed) for seed in range(count)]
    stacked = StackedTrainer(*map(list, zip(*parts, strict=True)), FOREVER)
    lone = Trainer(*build_parts(text, data, job.device, 0), FOREVER)
    subjects = [time_loop(job, loop) for loop in (stacked, lone)]
    for _ in range(TINY_BLOCKS if job.tiny else BLOCKS):
        for subject in subjects:
            seconds = measure_seconds(partial(repeat, subject.step, subject.length), job.device)
            subject.times.append(seconds / subject.length)
        stacked.logs.clear(), lone.logs.clear()
    ours, theirs = (subject.times for subject in subjects)
    yield describe(what, "ms/step", [1000 * x for x in ours])
    yield describe(f"{what}: one lone step", "ms/step", [1000 * x for x in theirs])
    ratios = [count * slow / fast for fast, slow in zip(ours, theirs, strict=True)]
    yield describe(f"{what}: speed relative to {count} lone trainings", "x", ratios)


def build_parts(text: str, data: str, device: torch.device, seed: int) -> Parts:
    recipe, streams = resolve_variant(text), RngStreams(seed, device)
    setup = build_training(recipe, DATA.make(data), streams)
    examples = DATA.make(data).load().train
    return setup, BatchLoader(examples, setup.hyperparameters.batch, streams), streams


def time_loop(job: Job, trainer: object) -> Timed:
    """Warms a loop up and chooses the length of its blocks."""
    step: Step = trainer.train_step  # type: ignore[attr-defined]
    repeat(step, 2 if job.tiny else WARM_STEPS)
    seconds = measure_seconds(step, job.device)
    return Timed(step, choose_block_length(seconds, 1, 0.0 if job.tiny else 0.1), [])


def describe(what: str, unit: str, values: Sequence[float]) -> Row:
    middle, low, high = median_interval(values)
    return Row(what, middle, unit, low, high, describe_blocks(len(values)))
