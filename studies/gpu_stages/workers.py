"""Processes that train on one GPU at once: real images per second of 1 to 16 of them together.

All processes start once. In each phase the first of them train for the same seconds, the others wait.
"""

import multiprocessing
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from threading import BrokenBarrierError
from typing import Any

import torch

from ganbench.devices import Numerics

from .base import Job, Row
from .trainings import EAGER, Case, build_trainer, make_numerics

CASE = Case("dcgan")
COUNTS, TINY_COUNTS = (1, 2, 4, 8, 16), (1, 2)
SECONDS, TINY_SECONDS = 4.0, 0.5
STEPS_PER_WAIT = 20  # steps between two waits for the device
START_SECONDS = 90  # for processes to start and warm up
MPS_PIPE = Path("/tmp/nvidia-mps/control")


@dataclass(frozen=True)
class Phases:
    """The numbers of training processes, one per phase, and the seconds of a phase."""

    case: Case
    device: str
    counts: tuple[int, ...]
    seconds: float


def measure(job: Job) -> Iterator[Row]:
    case = CASE.shrink() if job.tiny else CASE
    counts, seconds = (TINY_COUNTS, TINY_SECONDS) if job.tiny else (COUNTS, SECONDS)
    phases = Phases(case, str(job.device), counts, seconds)
    note = "with NVIDIA MPS" if MPS_PIPE.exists() else "without NVIDIA MPS"
    alone = None
    for count, rate in measure_phases(phases):
        alone = alone or rate
        what = f"{case.name}, {count} process{'es'[: 2 * (count > 1)]}"
        yield Row(what, rate, "images/s", note=f"{note}, {os.cpu_count()} CPU cores")
        yield Row(f"{what}: speed relative to 1", rate / alone, "x")


def measure_phases(phases: Phases) -> Iterator[tuple[int, float]]:
    """Yields each number of processes with their images per second together."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(max(phases.counts) + 1), context.Queue()
    processes = [
        context.Process(target=work, args=(number, phases, barrier, results), daemon=True)
        for number in range(max(phases.counts))
    ]
    for process in processes:
        process.start()
    try:
        for count in phases.counts:
            await_all(barrier, results)
            yield count, sum(collect(results, count, phases.seconds))
            await_all(barrier, results)
    finally:
        for process in processes:
            process.terminate()


def await_all(barrier: Any, results: Any) -> None:
    """Waits for all processes; raises the error of one that failed."""
    try:
        barrier.wait(START_SECONDS)
    except BrokenBarrierError:
        collect(results, 1, 0)
        raise


def collect(results: Any, count: int, seconds: float) -> list[float]:
    """Returns the rates of all training processes; raises the first error of one."""
    rates = []
    for _ in range(count):
        try:
            result = results.get(timeout=seconds + START_SECONDS)
        except Empty:
            raise RuntimeError("a process did not answer") from None
        if isinstance(result, str):
            raise RuntimeError(result)
        rates.append(result)
    return rates


def work(number: int, phases: Phases, barrier: Any, results: Any) -> None:
    """Trains in the phases that need this process, and puts its images per second."""
    try:
        Numerics().apply()
        trainer = build_trainer(
            phases.case,
            torch.device(phases.device),
            make_numerics(EAGER, torch.device(phases.device)),
        )
        run_steps(trainer)
    except Exception as error:
        results.put(f"process {number}: {error}")
        barrier.abort()
        raise
    for count in phases.counts:
        barrier.wait(START_SECONDS)
        if number < count:
            results.put(measure_rate(trainer, phases.seconds))
        barrier.wait(phases.seconds + START_SECONDS)


def measure_rate(trainer: Any, seconds: float) -> float:
    """Trains for some seconds; returns real images per second."""
    began, before = time.monotonic(), trainer.spent.images
    while time.monotonic() - began < seconds:
        run_steps(trainer)
    return (trainer.spent.images - before) / (time.monotonic() - began)


def run_steps(trainer: Any) -> None:
    for _ in range(STEPS_PER_WAIT):
        trainer.train_step()
    trainer.flush()  # waits for the device
