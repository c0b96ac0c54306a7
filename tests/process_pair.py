"""Two processes that train slices of each batch: this one, and one that repeats its calls."""

import multiprocessing
import tempfile
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from helpers import BATCH, CPU, LATENT, split
from torch import distributed

from ganbench.data import DATA
from ganbench.data.base import BatchLoader, to_unit_range
from ganbench.devices import Numerics
from ganbench.gan.batch_slices import BatchSlice
from ganbench.gan.build import build_training
from ganbench.gan.recipe import Recipe
from ganbench.gan.variants import resolve_variant
from ganbench.rng import RngStreams
from ganbench.training.budget import Budget
from ganbench.training.build_trainer import make_trainer
from ganbench.training.distributed import DistributedTrainer
from ganbench.training.trainer import Trainer

TIMEOUT = timedelta(seconds=60)
ALONE = BatchSlice()
TOLERANCE = 1e-8  # relative, in float64
BUDGET = Budget("generator_turns", 100)
MAX_IDLE_GRADIENT = 1e-9  # in float64; in float32 this leaves out none


@dataclass(frozen=True)
class Case:
    """A training of some steps, small unless the settings of `plan` say otherwise."""

    variant: str
    data: str = "digits"
    tricks: tuple[str, ...] = ()
    loss: str = ""  # empty: the variant's own
    steps: int = 5
    dtype: str = "float64"
    numerics: dict[str, Any] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join(filter(None, [self.variant, self.loss, *self.tricks]))

    def recipe(self) -> Recipe:
        recipe = resolve_variant(self.variant)
        plan = replace(recipe.hyperparameters, **{"batch": BATCH, "latent": LATENT, **self.plan})
        tricks = (*recipe.tricks, *self.tricks)
        return replace(recipe, tricks=tricks, loss=self.loss or recipe.loss, hyperparameters=plan)

    def make(self, place: BatchSlice) -> Trainer:
        """Returns the trainer of a slice, or that of the whole batch."""
        dtype = getattr(torch, self.dtype)
        torch.set_default_dtype(dtype)
        setup = build_training(self.recipe(), DATA.make(self.data), RngStreams(0, CPU))
        setup.task.to(dtype), setup.trick.to(dtype)
        loader = BatchLoader(
            {k: self.convert(x) for k, x in split(self.data).train.items()},
            setup.hyperparameters.batch,
            RngStreams(0, CPU),
        )

        def make_eager(*parts):
            return Trainer(*parts) if place.count == 1 else DistributedTrainer(*parts, place)

        streams, numerics = RngStreams(0, CPU), Numerics(**self.numerics)
        return make_trainer(setup, loader, streams, BUDGET, numerics, make_eager)

    def convert(self, examples):
        if self.dtype == "float32":
            return examples
        return replace(examples, images=to_unit_range(examples.images).to(torch.float64))

    def train(self, place: BatchSlice) -> tuple[Trainer, list[dict[str, float]]]:
        """Trains; checks after every step that processes have equal bits."""
        try:
            trainer, logs = self.make(place), []
            for _ in range(self.steps):
                trainer.train_step()
                logs.append(trainer.flush())
                if place.count > 1:
                    trainer.check_equal()
            return trainer, logs
        finally:
            torch.set_default_dtype(torch.float32)


def join(rank: int, count: int, path: str) -> None:
    torch.set_num_threads(1)
    store = distributed.FileStore(path, count)
    distributed.init_process_group(
        "gloo", store=store, rank=rank, world_size=count, timeout=TIMEOUT
    )


def repeat_calls(rank: int, count: int, path: str, calls) -> None:
    """Trains the cases that arrive, in the other process, until the pipe closes."""
    join(rank, count, path)
    while True:
        try:
            case, function = calls.recv()
        except EOFError:
            return
        function(case, BatchSlice(rank, count))


def train_case(case: Case, place: BatchSlice):
    return case.train(place)


class ProcessPair:
    """This process as rank 0, and others that take part in its trainings."""

    def __init__(self, count: int = 2):
        self.count, context = count, multiprocessing.get_context("spawn")
        self.folder = tempfile.TemporaryDirectory()
        path, self.pipes, self.others = str(Path(self.folder.name) / "store"), [], []
        for rank in range(1, count):
            own, other = context.Pipe()
            process = context.Process(target=repeat_calls, args=(rank, count, path, other))
            process.start()
            other.close()
            self.pipes.append(own), self.others.append(process)
        join(0, count, path)

    def call(self, case: Case, function=train_case):
        """Calls a function of a case and a slice in all processes; returns the result of rank 0."""
        for pipe in self.pipes:
            pipe.send((case, function))
        return function(case, BatchSlice(0, self.count))

    def close(self) -> None:
        for pipe in self.pipes:
            pipe.close()
        for process in self.others:
            process.join(20)
            process.kill()
        distributed.destroy_process_group()
        self.folder.cleanup()


def training_tensors(trainer: Trainer) -> dict[str, torch.Tensor]:
    """Returns all weights and buffers of the task and the tricks."""
    own = {f"trick.{name}": x for name, x in trainer.trick.state_dict().items()}
    return {**trainer.task.state_dict(), **own}


def idle_names(*trainers: Trainer) -> tuple[str, ...]:
    """Returns tensors whose updates were rounding alone in all trainings.

    They never had a gradient above rounding, as biases before a norm. Running means of those norms
    follow them.
    """
    idle = set.intersection(*map(parameters_without_gradient, trainers))
    return (*(name.partition(".")[2] for name in idle), *(("running_mean",) if idle else ()))


def parameters_without_gradient(trainer: Trainer) -> set[str]:
    names = {id(x): name for name, x in trainer.task.named_parameters()}
    states = [
        state for optimizer in trainer.optimizers.values() for state in optimizer.state.items()
    ]
    squares = {names[id(x)]: s.get("exp_avg_sq", s.get("square_avg")) for x, s in states}
    return {name for name, square in squares.items() if square.max().sqrt() < MAX_IDLE_GRADIENT}


def largest_gaps(ours, theirs, idle: tuple[str, ...] | None = None) -> tuple[float, float]:
    """Returns the largest relative difference of a tensor, and of a loss term of any step.

    That of a tensor is relative to its largest element, or to 1e-3 if that is larger. Idle
    tensors, and averages of them, are left out.
    """
    (one, logs), (other, other_logs) = ours, theirs
    states = (training_tensors(one), training_tensors(other))
    assert states[0].keys() == states[1].keys()
    idle = idle_names(one, other) if idle is None else idle
    weights = [
        relative_gap(x, states[1][name])
        for name, x in states[0].items()
        if not (idle and name.endswith(idle))
    ]
    terms = [
        abs(log[k] - x) / max(abs(x), 1e-3)
        for log, b in zip(logs, other_logs, strict=True)
        for k, x in b.items()
    ]
    return max(weights), max(terms)


def relative_gap(x: torch.Tensor, y: torch.Tensor) -> float:
    if not x.numel():
        return 0.0
    gap, size = (x.double() - y.double()).abs().max(), y.double().abs().max()
    return float(gap / size.clamp_min(1e-3))
