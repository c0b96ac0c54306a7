"""Step times by numerics, and beside a bare loop over the same modules.

All numerics of a network are timed in turn, block by block, so that a slower clock meets all of them.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import torch

from ganbench.data.base import IMAGE
from ganbench.devices import Numerics, peak_memory, reset_peak_memory
from ganbench.training.graphs import EAGER_TURNS
from ganbench.training.trainer import Trainer

from .bare import BARE_TRICKS, BareLoop
from .base import Job, Row, attempt, describe_error, release_memory
from .timing import (
    Step,
    choose_block_length,
    describe_blocks,
    measure_seconds,
    median_interval,
    repeat,
)
from .trainings import (
    EAGER,
    NUMERICS,
    Case,
    RandomImages,
    build_setup,
    build_trainer,
    iter_shrunk,
    make_numerics,
)

CASES = (
    Case("dcgan"),
    Case("sngan"),
    Case("dcgan", batch=16),
    Case("sngan", batch=16),
    Case("stylegan2", period=16),
    Case("r3gan"),
    Case("r3gan", side=64),
)
BLOCKS, MIN_BLOCKS, TINY_BLOCKS = 6, 3, 2
WARM_STEPS = 3
SAFETY = 1.5  # times the last round: what a next one may take
GRAPH_WARM_PERIODS = EAGER_TURNS + 2  # a kind of step is captured after so many of them
BARE, OURS = "bare loop", "our loop with its tricks"
COMPILED = "compile"
MEBIBYTE = 2**20


@dataclass
class Subject:
    """A loop to time: its step, the numerics to apply before each block, and its blocks so far."""

    name: str
    step: Step
    numerics: Numerics
    flush: Callable[[], object]
    images: int  # real images in a step
    trainer: Trainer | None = None
    memory: float | None = None  # MiB above what stood before
    note: str = ""
    length: int = 1  # steps in a block
    times: list[float] = field(default_factory=list)  # seconds of a step, one per block

    def run_block(self, device: torch.device) -> None:
        self.numerics.apply()
        seconds = measure_seconds(partial(repeat, self.step, self.length), device)
        self.times.append(seconds / self.length)
        self.flush()


def measure(job: Job) -> Iterator[Row]:
    """Yields step times of all cases; compiled networks come last, because compiling is slow."""
    cases, eager = list(iter_shrunk(CASES, job.tiny)), [n for n in NUMERICS if n != COMPILED]
    work = [(case, [*eager, OURS, BARE]) for case in cases]
    work += [(case, [EAGER, COMPILED]) for case in cases]
    for number, (case, names) in enumerate(work):
        missing = [name for name in names if row_name(case, name) not in job.known]
        if not missing or missing == [EAGER]:
            continue
        until = time.monotonic() + job.seconds_left / (len(work) - number)
        yield from attempt(job, case.name, partial(measure_case, job, case, names, until))


def row_name(case: Case, name: str) -> str:
    return f"{case.name}, {name}"


def measure_case(job: Job, case: Case, names: list[str], until: float) -> Iterator[Row]:
    """Yields the rows of one network: step times, images per second, memory, ratios."""
    subjects = []
    for name in names:
        try:
            subjects.append(prepare(job, case, name))
        except Exception as error:
            yield Row(row_name(case, name), note=f"not measured: {describe_error(error)}")
            job.synchronize()
        release_memory(job.device)
    run_blocks(job, subjects, until)
    for subject in subjects:
        yield from describe_subject(case, subject)
    yield from describe_ratios(case, {subject.name: subject for subject in subjects})


def prepare(job: Job, case: Case, name: str) -> Subject:
    """Builds a subject, warms it up, and measures its memory and the length of its blocks."""
    before = allocated_bytes(job.device)
    reset_peak_memory(job.device)
    subject = build_subject(job, case, name)
    subject.numerics.apply()
    repeat(subject.step, 1 if job.tiny else max(WARM_STEPS, warm_periods(name) * case.period))
    seconds = measure_seconds(partial(repeat, subject.step, case.period), job.device) / case.period
    subject.flush()
    subject.note = graph_note(subject)
    subject.length = choose_block_length(seconds, case.period, 0.0 if job.tiny else 0.1)
    if job.device.type == "cuda":
        subject.memory = (peak_memory(job.device) - before) / MEBIBYTE
    return subject


def warm_periods(name: str) -> int:
    """Returns the periods before the first block; graphs are captured in theirs."""
    return GRAPH_WARM_PERIODS if NUMERICS.get(name, {}).get("graph") else 0


def graph_note(subject: Subject) -> str:
    """Returns the reason why a graphed trainer runs eagerly, or an empty text."""
    reason = getattr(subject.trainer, "eager_reason", "")
    return f"not captured: {reason}" if reason else ""


def build_subject(job: Job, case: Case, name: str) -> Subject:
    network = case.variant.partition("(")[0]
    if name == BARE:
        setup = build_setup(case, job.device, BARE_TRICKS[network])
        examples = RandomImages(case.side).load().train[IMAGE]
        loop = BareLoop(setup, examples, job.device, penalized=network == "r3gan")
        images = setup.hyperparameters.batch * setup.hyperparameters.discriminator_turns
        return Subject(name, loop.train_step, Numerics(job.device.type), lambda: None, images)
    numerics = make_numerics(EAGER if name == OURS else name, job.device)
    numerics.apply()
    tricks = BARE_TRICKS[network] if name == OURS else None
    trainer = build_trainer(case, job.device, numerics, tricks)
    return subject_of_trainer(name, trainer, numerics)


def subject_of_trainer(name: str, trainer: Trainer, numerics: Numerics) -> Subject:
    plan = trainer.hyperparameters
    images = plan.batch * plan.discriminator_turns
    return Subject(name, trainer.train_step, numerics, trainer.logs.clear, images, trainer)


def allocated_bytes(device: torch.device) -> int:
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else 0


def run_blocks(job: Job, subjects: list[Subject], until: float) -> None:
    """Times one block of each subject in turn, until all blocks are done or the time is over.

    Fewer than the least blocks are timed if the stage would end within the next round.
    """
    round_seconds = 0.0
    for number in range(TINY_BLOCKS if job.tiny else BLOCKS):
        began = time.monotonic()
        is_over = number >= MIN_BLOCKS and began > until
        if is_over or (number and job.seconds_left < SAFETY * round_seconds):
            break
        for subject in subjects:
            subject.run_block(job.device)
        round_seconds = time.monotonic() - began


def describe_subject(case: Case, subject: Subject) -> Iterator[Row]:
    middle, low, high = median_interval(subject.times)
    what = row_name(case, subject.name)
    note = f"{describe_blocks(len(subject.times))} of {subject.length} steps"
    note += f"; {subject.note}" if subject.note else ""
    yield Row(what, 1000 * middle, "ms/step", 1000 * low, 1000 * high, note)
    rates = [subject.images / seconds for seconds in (middle, high, low)]
    yield Row(f"{what}: images", rates[0], "images/s", rates[1], rates[2])
    if subject.memory is not None:
        yield Row(f"{what}: peak memory", subject.memory, "MiB")


def describe_ratios(case: Case, subjects: dict[str, Subject]) -> Iterator[Row]:
    """Yields speeds relative to eager float32, and of our loop relative to the bare one."""
    pairs = [(name, EAGER) for name in subjects if name in NUMERICS and name != EAGER]
    for name, base in [*pairs, (OURS, BARE)]:
        if {name, base} <= subjects.keys():
            times = zip(subjects[base].times, subjects[name].times, strict=True)
            ratio, low, high = median_interval([slow / fast for slow, fast in times])
            what = f"{row_name(case, name)}: speed relative to {base}"
            yield Row(what, ratio, "x", low, high)
