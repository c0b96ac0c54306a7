"""Exact numbers beside the seconds: operators, bytes and parameters, which no busy machine moves."""

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

SUBJECTS = {
    **{f"step {subjects.FORMS[name]}": ("variant", name) for name in subjects.VARIANTS},
    **{f"trick {name}": ("trick", name) for name in subjects.TRICK_NAMES},
}
every_subject = pytest.mark.parametrize("name", SUBJECTS)
every_variant = pytest.mark.parametrize(
    "name", [pytest.param(n, id=subjects.FORMS[n]) for n in subjects.VARIANTS]
)


def built(name: str) -> tuple[Trainer, str]:
    kind, own = SUBJECTS[name]
    return subjects.of_variant(own) if kind == "variant" else subjects.of_trick(own)


@cache
def counts(name: str) -> tuple[counting.Counts, str]:
    """Of the first two steps, after a window in which optimizers and tricks made what they keep."""
    made, work = built(name)
    steps = subjects.window(made, 2)
    steps()
    return counting.counted(steps), work


def tell(benchmark: Any, count: float, unit: str, work: str = "") -> None:
    benchmark.pedantic(lambda: None, rounds=1)
    benchmark.extra_info.update(count=count, unit=unit, work=work)


@every_subject
def test_operators(benchmark: Any, name: str) -> None:
    found, work = counts(name)
    tell(benchmark, found.operators, "calls", work)


@every_subject
def test_allocated(benchmark: Any, name: str) -> None:
    found, work = counts(name)
    tell(benchmark, found.allocated, "bytes", work)


@every_subject
def test_live(benchmark: Any, name: str) -> None:
    found, work = counts(name)
    tell(benchmark, found.live, "bytes", work)


@every_variant
def test_parameters(benchmark: Any, name: str) -> None:
    made, work = subjects.of_variant(name)
    tell(benchmark, sum(p.numel() for p in made.task.parameters()), "numbers", work)


@every_variant
def test_checkpoint(benchmark: Any, name: str) -> None:
    """What a training goes on from."""
    (made, work), content = subjects.of_variant(name), io.BytesIO()
    subjects.window(made)()
    torch.save(made.state_dict(), content)
    tell(benchmark, content.tell(), "bytes", work)


TRAINS = """
import sys, torch
from importlib import import_module
sys.path.insert(0, sys.argv[1])
subjects = import_module(sys.argv[2])
from ganbench.devices import peak_memory
torch.set_num_threads(1)
made, _ = subjects.of_variant("dcgan")
steps = subjects.window(made)
for _ in range(10):
    steps()
print(peak_memory(subjects.DEVICE))
"""


def peak_of_a_fresh_process() -> int:
    folder = str(Path(subjects.__file__).parents[1])
    command = [sys.executable, "-c", TRAINS, folder, subjects.__name__]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return int(ran.stdout)


@pytest.mark.parametrize("what", ["trial"])
def test_peak_memory(benchmark: Any, what: str) -> None:
    """Of a process that trains dcgan: imports are most of it, and another time it differs by a ten thousandth."""
    tell(benchmark, peak_of_a_fresh_process(), "bytes")
