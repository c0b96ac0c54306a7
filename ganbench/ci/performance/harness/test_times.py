"""Benchmarks of seconds: steps, samples, features, metrics, scheduling and program start."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from ganbench.evaluation.extractors import EXTRACTORS
from ganbench.evaluation.metrics import METRICS

from . import gpu, subjects
from .order import ALTERNATION, BENCH_DEVICE, ON_GPU

WARM = 3  # windows that a GPU warms up in
SAMPLES, FAKES, IMAGES, SCHEDULED_TRIALS = 100, 600, 200, 3
# CPU time excludes other processes. Starts and schedules wait, so they use wall-clock time.
CLOCK: Callable[[], float] = gpu.EventClock() if ON_GPU else time.process_time
WINDOW, LONG = 0.01, 0.1  # minimum seconds of a window; seconds of work that needs one warm-up only
MAX_PIECES = 20  # maximum pieces of work in a window
FEWEST_WINDOWS, MOST_WINDOWS, ALL_SECONDS = 3, 8, 0.1  # of a benchmark; seconds that are enough
on_device = pytest.mark.benchmark(timer=CLOCK)

# Other extractors need a download, or take as long as all other benchmarks together.
EXTRACTORS_MEASURED = {"classifier": "classifier(of='digits')", "identity": "identity"}


def measure_windows(benchmark: Any, work: Callable[[], object], per: int = 1) -> None:
    """Times windows of some work; each piece of work is `per` units."""
    if ON_GPU:
        measure_gpu_windows(benchmark, work, per)
    else:
        measure_cpu_windows(benchmark, work, per)


def measure_cpu_windows(benchmark: Any, work: Callable[[], object], per: int) -> None:
    """Times windows in turn with the other side."""
    pieces, windows = plan_windows(work)
    walls: list[float] = []

    def window() -> None:
        began = time.perf_counter()
        for _ in range(pieces):
            work()
        walls.append((time.perf_counter() - began) / pieces / per)
        ALTERNATION.finish_window()

    with alternating(benchmark):
        benchmark.pedantic(window, rounds=windows, setup=ALTERNATION.await_turn)
    benchmark.extra_info.update(per=per * pieces, wall=walls)


@contextmanager
def alternating(benchmark: Any) -> Iterator[None]:
    """Lets the windows of a benchmark take turns with those of the other side."""
    ALTERNATION.start(benchmark.name.removeprefix("test_"))
    try:
        yield
        ALTERNATION.await_windows(
            ALTERNATION.window
        )  # work beside the other's last would disturb it
    finally:
        ALTERNATION.unpin()


def measure_gpu_windows(benchmark: Any, work: Callable[[], object], per: int) -> None:
    """Times windows with CUDA events; each NVML sample belongs to the window before it."""
    looks: list[gpu.GPUSample] = []

    def before() -> None:
        looks.append(gpu.GPU_MONITOR.sample_gpu())

    benchmark.pedantic(work, rounds=gpu.MAX_GPU_WINDOWS, warmup_rounds=WARM, setup=before)
    before()
    kept_samples = looks[WARM + 1 :]  # the first has no window
    bad = gpu.held_back_windows(kept_samples, gpu.GPU_MONITOR.highest)
    samples = [one.record() for one in kept_samples]
    benchmark.extra_info.update(per=per, looks=samples, held_back=bad)


def plan_windows(work: Callable[[], object]) -> tuple[int, int]:
    """Returns the pieces of work per window, and the windows, from a timed second run.

    The first run warms up. Work that takes long needs no second run.
    """
    seconds = time_once(work)
    if seconds < LONG:
        seconds = max(time_once(work), 1e-6)
    pieces = max(1, min(MAX_PIECES, round(WINDOW / seconds)))
    windows = round(ALL_SECONDS / (pieces * seconds))
    return pieces, max(FEWEST_WINDOWS, min(MOST_WINDOWS, windows))


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

    measure_windows(benchmark, reading)
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


@pytest.mark.parametrize("executor", ["inline"])
def test_schedule(benchmark: Any, executor: str, tmp_path_factory: Any) -> None:
    """One trial with nothing to train, without the start of a worker, which would take long."""
    from ganbench.experiments.executors import EXECUTORS
    from ganbench.experiments.executors.base import TrialLimits

    run_jobs = EXECUTORS.make(executor).run

    def run() -> None:
        statuses = empty_jobs(tmp_path_factory.mktemp("store"))
        run_jobs(statuses, TrialLimits(600, 600), lambda: None)
        assert {status.state for status in statuses} == {"done"}, statuses[0].reason

    measure_waiting(benchmark, run, FEWEST_WINDOWS)
    benchmark.extra_info["per"] = SCHEDULED_TRIALS


def measure_waiting(benchmark: Any, work: Callable[[], object], windows: int) -> None:
    """Times work that waits by wall-clock time, in turn with the other side."""

    def window() -> None:
        work()
        ALTERNATION.finish_window()

    with alternating(benchmark):
        benchmark.pedantic(window, rounds=windows, setup=ALTERNATION.await_turn)


def start_process(*arguments: str) -> None:
    ran = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


CLI_PROGRAM = "import sys; sys.argv[0] = 'ganbench'; from ganbench.cli import main; main()"


def test_import(benchmark: Any) -> None:
    """A process that only imports the package."""
    measure_waiting(benchmark, lambda: start_process("-c", "import ganbench"), FEWEST_WINDOWS)


@pytest.mark.parametrize("arguments", ["--help", "list"], ids=lambda text: f"ganbench {text}")
def test_start(benchmark: Any, arguments: str) -> None:
    """One call of the command line, from start to exit."""
    os.environ["COLUMNS"] = "100"
    measure_waiting(benchmark, lambda: start_process("-c", CLI_PROGRAM, arguments), 1)
