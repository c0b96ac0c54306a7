"""Runs subjects under Valgrind's Callgrind, which counts their instructions.

Imports, building and two warm-up runs are not instrumented, because Callgrind slows them down further.
Then each subject runs once, and Callgrind writes a profile of that run.
"""

import gc
import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._C import _valgrind_toggle, _valgrind_toggle_and_dump_stats

import ganbench
from ganbench.devices import Numerics
from ganbench.training.sampling import draw_samples_of_task

from . import subjects
from .order import BENCH_ORDER
from .test_times import SAMPLES, digits_evaluator, noisy_digits

WARM_UP_RUNS = 2  # the first allocates the optimizers' state, the second specializes bytecode
MAX_SWITCH_SECONDS = 60.0

Work = Callable[[], object]


@dataclass(frozen=True)
class Subject:
    """Work to count; `timed` is the benchmark that times it, `work` what it depends on."""

    run: Work
    timed: str
    work: str = ""


def prepare_step(variant: str) -> Subject:
    """Prepares a training step."""
    trainer, data = subjects.trainer_of_variant(variant)
    timed = f"step[{subjects.SMALL_VARIANTS[variant]}]"
    return Subject(subjects.make_window(trainer, 1), timed, data)


def prepare_sample(variant: str) -> Subject:
    """Prepares drawing 100 images of a generator."""
    trainer, data = subjects.trainer_of_variant(variant)
    sources = subjects.load_split(data).held_out

    def draw() -> object:
        return draw_samples_of_task(
            trainer.task, trainer.sampling_generators(), sources, trainer.streams, "perf", SAMPLES
        )

    return Subject(draw, f"sample[{subjects.SMALL_VARIANTS[variant]}]", data)


def prepare_metric(metric: str) -> Subject:
    """Prepares measuring a metric of 600 noisy digits, from features to score."""
    evaluator, features = digits_evaluator(), noisy_digits()
    return Subject(
        lambda: evaluator.measure_feature_set(replace(features), (metric,)), f"metric[{metric}]"
    )


PREPARATIONS: Mapping[str, Callable[[str], Subject]] = {
    "step": prepare_step,
    "sample": prepare_sample,
    "metric": prepare_metric,
}


def prepare_subject(name: str) -> Subject:
    """Builds and warms up a subject like `step[dcgan]`."""
    kind, _, own = name.removesuffix("]").partition("[")
    subject = PREPARATIONS[kind](own)
    for _ in range(WARM_UP_RUNS):
        subject.run()
    return subject


def prepare_subjects(names: list[str]) -> tuple[dict[str, Subject], dict[str, str]]:
    """Returns the prepared subjects, and the reasons of those that this side lacks."""
    prepared: dict[str, Subject] = {}
    reasons: dict[str, str] = {}
    for name in names:
        try:
            prepared[name] = prepare_subject(name)
        except (Exception, pytest.skip.Exception) as why:
            reasons[name] = f"{type(why).__name__}: {why}"
    return prepared, reasons


def start_instrumentation() -> None:
    """Makes Callgrind instrument this process from here on.

    Valgrind reads the command only while the process runs instructions, so this waits in a loop.
    """
    command = ["vgdb", f"--pid={os.getpid()}", "instrumentation on"]
    switch = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + MAX_SWITCH_SECONDS
    while switch.poll() is None and time.monotonic() < end:
        pass
    if switch.poll() != 0:
        switch.kill()
        raise RuntimeError("vgdb could not start Callgrind's instrumentation")


def count_instructions(work: Work) -> None:
    """Runs the work once, and writes its profile to the next file of Callgrind."""
    _valgrind_toggle()
    work()
    _valgrind_toggle_and_dump_stats()


def count_all() -> dict[str, Any]:
    """Counts the subjects of the order, and returns their descriptions and failures."""
    prepared, reasons = prepare_subjects(BENCH_ORDER["names"])
    gc.collect()
    gc.disable()
    start_instrumentation()
    for subject in prepared.values():
        count_instructions(subject.run)
    facts = {name: {"timed": one.timed, "work": one.work} for name, one in prepared.items()}
    return {"subjects": facts, "failed": reasons}


def main() -> None:
    torch.set_num_threads(1)
    Numerics().apply()
    home, wanted = str(Path(ganbench.__file__).resolve().parents[1]), BENCH_ORDER["home"]
    if wanted and home != wanted:
        answer: dict[str, Any] = {
            "refused": f"ganbench was imported from {home}, not from {wanted}"
        }
    else:
        answer = count_all()
    Path(BENCH_ORDER["answer"]).write_text(json.dumps(answer), "utf-8")


if __name__ == "__main__":
    main()
    os._exit(0)  # Python would free all objects first, which takes 9 s under Valgrind
