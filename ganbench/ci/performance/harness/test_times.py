"""Benchmarks of seconds: steps, samples, features, metrics, scheduling and program start."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from ganbench.evaluation.extractors import EXTRACTORS
from ganbench.evaluation.metrics import METRICS

from . import gpu, subjects
from .order import BENCH_DEVICE, ON_GPU

WARM, WINDOWS = 3, gpu.MAX_GPU_WINDOWS if ON_GPU else 5
SAMPLES, FAKES, IMAGES, SCHEDULED_TRIALS = 100, 600, 200, 3
# CPU time excludes other processes. Starts and schedules wait, so they use wall-clock time.
CLOCK: Callable[[], float] = gpu.EventClock() if ON_GPU else time.process_time
WINDOW, LONG = 0.01, 0.1  # minimum seconds of a window; seconds of work that needs one warm-up only
MAX_WINDOWS = 20  # maximum pieces of work in a window
on_device = pytest.mark.benchmark(timer=CLOCK)

# Other extractors need a download, or take as long as all other benchmarks together.
EXTRACTORS_MEASURED = {"classifier": "classifier(of='digits')", "identity": "identity"}


def measure_windows(
    benchmark: Any, work: Callable[[], object], per: int = 1, windows: int = WINDOWS
) -> None:
    """Times windows of some work; each piece of work is `per` units."""
    looks: list[gpu.GPUSample] = []
    walls: list[float] = []
    paces: list[float] = []
    pieces = 1 if ON_GPU else pieces_per_window(work)

    def window() -> None:
        began = time.perf_counter()
        for _ in range(pieces):
            work()
        walls.append((time.perf_counter() - began) / pieces / per)

    def before() -> None:
        if ON_GPU:
            looks.append(gpu.GPU_MONITOR.sample_gpu())
        else:
            paces.append(time_once(fixed_work))

    warm = WARM if ON_GPU else 0
    benchmark.pedantic(window, rounds=windows, warmup_rounds=warm, setup=before)
    benchmark.extra_info.update(per=per * pieces, wall=walls[warm:])
    before()
    if ON_GPU:  # each sample belongs to the window before it; the first has none
        kept_samples = looks[warm + 1 :]
        bad = gpu.held_back_windows(kept_samples, gpu.GPU_MONITOR.highest)
        benchmark.extra_info.update(looks=[one.record() for one in kept_samples], held_back=bad)
    else:
        benchmark.extra_info["paces"] = paces


def fixed_work() -> None:
    """Runs work that no version changes: small matrix products and Python overhead."""
    x = torch.ones(32, 32)
    for _ in range(200):
        x = (x @ x).relu_().mul_(0.01)


def pieces_per_window(work: Callable[[], object]) -> int:
    """Returns the number of pieces that fill a window, from a timed second run.

    The first run warms up. Work that takes long needs no second run, and one piece is enough.
    """
    if time_once(work) > LONG:
        return 1
    return max(1, min(MAX_WINDOWS, round(WINDOW / max(time_once(work), 1e-6))))


def time_once(work: Callable[[], object]) -> float:
    began = CLOCK()
    work()
    return CLOCK() - began


@on_device
@pytest.mark.parametrize(
    "name", [pytest.param(n, id=subjects.SMALL_VARIANTS[n]) for n in subjects.VARIANT_NAMES]
)
def test_step(benchmark: Any, name: str) -> None:
    trainer, benchmark.extra_info["work"] = subjects.trainer_of_variant(name)
    measure_windows(benchmark, subjects.make_window(trainer), subjects.STEPS_PER_WINDOW)


@on_device
@pytest.mark.parametrize("name", subjects.TRICK_NAMES)
def test_trick(benchmark: Any, name: str) -> None:
    """One training step with a trick."""
    trainer, benchmark.extra_info["work"] = subjects.trainer_of_trick(name)
    measure_windows(benchmark, subjects.make_window(trainer), subjects.STEPS_PER_WINDOW)


@on_device
@pytest.mark.parametrize(
    "name", [pytest.param(n, id=subjects.SMALL_VARIANTS[n]) for n in subjects.VARIANT_NAMES]
)
def test_sample(benchmark: Any, name: str) -> None:
    """100 images of a generator in evaluation mode."""
    from ganbench.training.sampling import draw_samples_of_task

    trainer, data = subjects.trainer_of_variant(name)
    sources, benchmark.extra_info["work"] = subjects.load_split(data).held_out, data

    def draw() -> object:
        return draw_samples_of_task(
            trainer.task, trainer.sampling_generators(), sources, trainer.streams, "perf", SAMPLES
        )

    measure_windows(benchmark, draw)


@on_device
@pytest.mark.parametrize("name", EXTRACTORS_MEASURED)
def test_extract(benchmark: Any, name: str) -> None:
    """Features of 200 digits."""
    extractor = EXTRACTORS.make(EXTRACTORS_MEASURED[name]).to(BENCH_DEVICE)
    images = digits_evaluator().reference[:IMAGES].to(BENCH_DEVICE)

    def extract() -> object:
        with torch.no_grad():
            return extractor(images)

    measure_windows(benchmark, extract)


@cache
def digits_evaluator() -> Any:
    from ganbench.evaluation.evaluator import evaluator_for

    return evaluator_for("digits", str(BENCH_DEVICE))


@cache
def noisy_digits() -> Any:
    """Returns features of noisy real digits, with all conditional fields and a sampler."""
    from ganbench.training.sampling import GeneratedSamples

    examples = (
        subjects.load_split("digits")
        .train["image"]
        .to(BENCH_DEVICE)
        .make_batch(torch.arange(FAKES))
    )
    real, random = examples.images, torch.Generator(BENCH_DEVICE).manual_seed(0)
    images = real + 0.2 * torch.randn(real.shape, generator=random, device=BENCH_DEVICE)
    task = subjects.build_trainer(subjects.SMALL_VARIANTS["cdcgan"], "digits").task.eval()
    sampler = task.latent_sampler(task.generators)
    samples = GeneratedSamples(
        images, examples.labels, source=real, truth=real, returned=real, sampler=sampler
    )
    return digits_evaluator().features_of_samples(samples)


@on_device
@pytest.mark.parametrize("name", list(METRICS))
def test_metric(benchmark: Any, name: str) -> None:
    """600 fakes without cached statistics, against reals with cached ones."""
    result: Any = None

    def reading() -> None:
        nonlocal result
        (result,) = (
            digits_evaluator().measure_feature_set(replace(noisy_digits()), (name,)).values()
        )

    measure_windows(benchmark, reading, windows=WINDOWS if ON_GPU else 3)
    if isinstance(result, str):
        pytest.skip(result)


def empty_jobs(folder: Path) -> list[Any]:
    """Returns trials with an empty budget."""
    from ganbench.experiments.executors.base import Job, JobStatus
    from ganbench.experiments.trial import Trial
    from ganbench.gan.variants import resolve_variant
    from ganbench.training.budget import Budget

    recipe = resolve_variant("gan(width=4)")
    empty, fingerprint = Budget("generator_turns", 0), digits_evaluator().fingerprint
    trials = [
        Trial(
            "digits",
            "gan(width=4)",
            recipe.loss,
            (),
            "",
            recipe,
            empty,
            seed,
            1,
            "cpu",
            fingerprint,
        )
        for seed in range(SCHEDULED_TRIALS)
    ]
    return [JobStatus(Job(trial, ("fid",), folder)) for trial in trials]


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_schedule(benchmark: Any, executor: str, tmp_path_factory: Any) -> None:
    """One trial with nothing to train; the local executor's time includes starting the worker."""
    from ganbench.experiments.executors import EXECUTORS
    from ganbench.experiments.executors.base import TrialLimits

    run_jobs = EXECUTORS.make(executor).run

    def run() -> None:
        statuses = empty_jobs(tmp_path_factory.mktemp("store"))
        run_jobs(statuses, TrialLimits(600, 600), lambda: None)
        assert {status.state for status in statuses} == {"done"}, statuses[0].reason

    few = {"rounds": 1} if executor == "local" else {"rounds": 2, "warmup_rounds": 1}
    benchmark.pedantic(run, **few)
    benchmark.extra_info["per"] = SCHEDULED_TRIALS


def start_process(*arguments: str) -> None:
    ran = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


CLI_PROGRAM = "import sys; sys.argv[0] = 'ganbench'; from ganbench.cli import main; main()"


def test_import(benchmark: Any) -> None:
    """A process that only imports the package."""
    benchmark.pedantic(start_process, ("-c", "import ganbench"), rounds=3)


@pytest.mark.parametrize("arguments", ["--help", "list"], ids=lambda text: f"ganbench {text}")
def test_start(benchmark: Any, arguments: str) -> None:
    """One call of the command line, from start to exit."""
    os.environ["COLUMNS"] = "100"
    benchmark.pedantic(start_process, ("-c", CLI_PROGRAM, arguments))
