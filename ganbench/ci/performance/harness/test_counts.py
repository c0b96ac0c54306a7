"""Benchmarks of exact numbers (operators, bytes, parameters), independent of load."""

import io
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from ganbench.training.trainer import Trainer

from . import counting, subjects

MEASURED_SUBJECTS = {
    **{
        f"step {subjects.SMALL_VARIANTS[name]}": ("variant", name)
        for name in subjects.VARIANT_NAMES
    },
    **{f"trick {name}": ("trick", name) for name in subjects.TRICK_NAMES},
}
every_subject = pytest.mark.parametrize("name", MEASURED_SUBJECTS)
every_variant = pytest.mark.parametrize(
    "name", [pytest.param(n, id=subjects.SMALL_VARIANTS[n]) for n in subjects.VARIANT_NAMES]
)


def build_subject(name: str) -> tuple[Trainer, str]:
    kind, own = MEASURED_SUBJECTS[name]
    return subjects.trainer_of_variant(own) if kind == "variant" else subjects.trainer_of_trick(own)


@cache
def counts_of_steps(name: str) -> tuple[counting.OperatorCounts, str]:
    """Counts the first two steps, after a window that allocates the optimizers' state."""
    trainer, work = build_subject(name)
    steps = subjects.make_window(trainer, 2)
    steps()
    return counting.count_operators(steps), work


def report_count(benchmark: Any, count: float, unit: str, work: str = "") -> None:
    benchmark.pedantic(lambda: None, rounds=1)
    benchmark.extra_info.update(count=count, unit=unit, work=work)


@every_subject
def test_operators(benchmark: Any, name: str) -> None:
    counts, work = counts_of_steps(name)
    report_count(benchmark, counts.operators, "calls", work)


@every_subject
def test_allocated(benchmark: Any, name: str) -> None:
    counts, work = counts_of_steps(name)
    report_count(benchmark, counts.allocated, "bytes", work)


@every_subject
def test_live(benchmark: Any, name: str) -> None:
    counts, work = counts_of_steps(name)
    report_count(benchmark, counts.live, "bytes", work)


@every_variant
def test_parameters(benchmark: Any, name: str) -> None:
    trainer, work = subjects.trainer_of_variant(name)
    report_count(benchmark, sum(p.numel() for p in trainer.task.parameters()), "numbers", work)


@every_variant
def test_checkpoint(benchmark: Any, name: str) -> None:
    """Bytes of a checkpoint."""
    (trainer, work), content = subjects.trainer_of_variant(name), io.BytesIO()
    subjects.make_window(trainer)()
    torch.save(trainer.state_dict(), content)
    report_count(benchmark, content.tell(), "bytes", work)


TRAINING_PROGRAM = """
import sys, torch
from importlib import import_module
sys.path.insert(0, sys.argv[1])
subjects = import_module(sys.argv[2])
from ganbench.devices import peak_memory
torch.set_num_threads(1)
trainer, _ = subjects.trainer_of_variant("dcgan")
train_window = subjects.make_window(trainer)
for _ in range(10):
    train_window()
print(peak_memory(subjects.BENCH_DEVICE))
"""


def peak_of_a_fresh_process() -> int:
    folder = str(Path(subjects.__file__).parents[1])
    command = [sys.executable, "-c", TRAINING_PROGRAM, folder, subjects.__name__]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return int(ran.stdout)


@pytest.mark.parametrize("what", ["trial"])
def test_peak_memory(benchmark: Any, what: str) -> None:
    """Peak memory of a process that trains dcgan.

    Imports are most of it. It differs by 0.01 % between repetitions.
    """
    report_count(benchmark, peak_of_a_fresh_process(), "bytes")
