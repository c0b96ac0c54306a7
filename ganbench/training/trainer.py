"""Trains a task with alternating discriminator and generator steps. All else is in tricks."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from statistics import fmean as mean
from typing import Any

import torch
from torch import Tensor, nn

from ganbench.data.base import BatchLoader
from ganbench.errors import GanbenchError
from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build import TrainingSetup
from ganbench.gan.hyperparameters import Hyperparameters
from ganbench.gan.tasks.base import Terms
from ganbench.rng import RngStreams, StepContext

from .budget import Budget, Spent

LossTerms = dict[str, Tensor]
Precision = Callable[[], AbstractContextManager[Any]]  # a context for forward passes

GENERATOR_STEP_ADDRESS = (
    -1
)  # random stream of generator steps, for any number of discriminator steps


class Diverged(GanbenchError, RuntimeError):
    """A loss term is not finite. `step` and `terms` hold the step and the values."""

    def __init__(self, step: int, terms: dict[str, float]):
        values = ", ".join(f"{name}={value:.3g}" for name, value in terms.items())
        super().__init__(f"step {step}: {values}")
        self.step, self.terms = step, terms


class Trainer:
    """Trains a task within a budget. Steps never wait for the device; `flush` does."""

    def __init__(
        self, setup: TrainingSetup, loader: BatchLoader, streams: RngStreams, budget: Budget
    ):
        self.task, self.trick, self.hyperparameters = setup.task, setup.trick, setup.hyperparameters
        self.plain_loss, self.loader = setup.loss, loader
        self.streams, self.budget = streams, budget
        self.sides = {
            "discriminator": list(self.task.discriminators.parameters()),
            "generator": list(self.task.generators.parameters()),
        }
        self.optimizers = {
            side: make_optimizer(self.hyperparameters, side, parameters)
            for side, parameters in self.sides.items()
        }
        self.precision: Precision = nullcontext  # or autocast, set by `make_trainer`
        self.step, self.turn, self.spent = 0, 0, Spent()
        self.notes: list[str] = []  # on numerics that this training cannot have
        self.logs: list[LossTerms] = []  # one per step since the last flush
        self.began = time.perf_counter()

    @property
    def progress(self) -> float:
        return self.budget.progress(self.spent)

    def train_step(self) -> None:
        """Takes the discriminator steps, then one generator step."""
        self.turn, log = 0, LossTerms()
        for _ in range(self.hyperparameters.discriminator_turns):
            log |= self.discriminator_step()
        with self.trick.lookahead(self):
            log |= self.generator_step()
        self.logs.append(log)
        self.step += 1
        self.spent = self.spent.after_step(self.hyperparameters)

    def discriminator_step(self) -> LossTerms:
        """Takes one discriminator step; returns its loss terms and score statistics."""
        with torch.no_grad(), self.precision():
            pairs = self.next_discriminator_pairs()
        with self.precision():
            pairs = [self.trick.transform_pair(pair).with_leaves() for pair in pairs]
            terms = list(self.discriminator_terms(pairs))
        log = self.optimizer_step("discriminator", terms)
        log |= score_statistics(pairs)
        self.trick.after_discriminator_step(self.task, pairs)
        return log

    def discriminator_objective(self) -> Tensor:
        """Returns the objective of the next discriminator step, with gradients to the generators."""
        with self.precision():
            pairs = self.next_discriminator_pairs()
            pairs = [self.trick.transform_pair(pair).with_real_leaves() for pair in pairs]
            return add_terms(list(self.discriminator_terms(pairs)))

    def discriminator_terms(self, pairs: list[AdversarialBatch]) -> Terms:
        yield from self.task.discriminator_terms(pairs)
        for pair in pairs:
            loss = self.trick.transform_loss(self.plain_loss, pair)
            yield "discriminator", loss.discriminator_loss(pair.real_score, pair.fake_score)
            yield from self.trick.discriminator_terms(pair)

    def generator_step(self) -> LossTerms:
        with self.precision():
            pairs = self.make_pairs(self.generator_batch_number, GENERATOR_STEP_ADDRESS)
            terms = list(self.generator_terms(pairs))
        log = self.optimizer_step("generator", terms)
        self.trick.after_generator_step(self.task, pairs)
        return log

    def generator_terms(self, pairs: list[AdversarialBatch]) -> Terms:
        yield from self.task.generator_terms(pairs)
        for pair in pairs:
            loss = self.trick.transform_loss(self.plain_loss, pair)
            real_score = pair.real_score if loss.needs_real_scores else None
            adversarial = loss.generator_loss(pair.fake_score, real_score)
            yield "generator", loss.generator_weight * adversarial
            yield from self.trick.generator_terms(pair)

    @property
    def discriminator_batch_number(self) -> int:
        """The number of the reals of the next discriminator step."""
        return self.step * self.hyperparameters.discriminator_turns + self.turn

    @property
    def generator_batch_number(self) -> int:
        """The number of the reals of the generator step, those of the last discriminator step."""
        return (self.step + 1) * self.hyperparameters.discriminator_turns - 1

    def next_discriminator_pairs(self) -> list[AdversarialBatch]:
        """Returns the pairs of the next discriminator step within this training step."""
        pairs = self.make_pairs(self.discriminator_batch_number, self.turn)
        self.turn += 1
        return pairs

    def make_pairs(self, batch: int, turn: int) -> list[AdversarialBatch]:
        """Returns the reals of a batch number paired with fakes from the random stream of a turn."""
        latents = self.begin_step(turn)
        batches = self.trick.transform_batches(self.loader.batches(batch))
        pairs = self.task.make_pairs(batches, latents)
        transform = self.trick.transform_discriminator_input
        return [pair.with_discriminator_input(transform) for pair in pairs]

    def begin_step(self, turn: int) -> torch.Generator:
        """Passes step and progress to the tricks; returns the random generator of latents.

        Random numbers inside layers (dropout, noise) come from torch's global generator.
        """
        context = self.make_context(turn)
        self.streams.reseed("layers", self.step, turn)
        self.trick.begin_step(context)
        return context.of("latents").random

    def make_context(self, turn: int) -> StepContext:
        return StepContext(self.streams, self.step, turn, self.progress)

    def optimizer_step(self, side: str, terms: Sequence[tuple[str, Tensor]]) -> LossTerms:
        """Minimizes the sum of the terms with one optimizer step on the parameters of a side."""
        optimizer = self.optimizers[side]
        optimizer.zero_grad(set_to_none=True)
        add_terms(terms).backward(inputs=self.sides[side])
        self.transform_gradients(side)
        self.set_learning_rate(side)
        optimizer.step()
        return sum_terms(terms)

    def transform_gradients(self, side: str) -> None:
        """Lets the tricks change the gradients of a side in place."""
        self.trick.transform_gradients(side, self.sides[side])

    def learning_rate(self, side: str) -> float:
        """Returns the learning rate of a side at the current progress."""
        factor = self.hyperparameters.learning_rate_factor(self.progress)
        return float(getattr(self.hyperparameters, f"{side}_lr") * factor)

    def set_learning_rate(self, side: str) -> None:
        for group in self.optimizers[side].param_groups:
            group["lr"] = self.learning_rate(side)

    def flush(self) -> dict[str, float]:
        """Returns each term's mean since the last flush; raises Diverged at a non-finite value."""
        logs, self.logs = self.read_logs(), []
        self.update_seconds()
        for number, log in enumerate(logs, self.step - len(logs)):
            if not all(math.isfinite(value) for value in log.values()):
                raise Diverged(number, log)
        names = dict.fromkeys(name for log in logs for name in log)
        return {name: mean([log[name] for log in logs if name in log]) for name in names}

    def read_logs(self) -> list[dict[str, float]]:
        """Returns the loss terms of each step since the last flush."""
        return read_terms(self.logs)

    def update_seconds(self) -> None:
        """Adds the time since the last call to the used seconds."""
        now = time.perf_counter()
        self.spent = replace(self.spent, seconds=self.spent.seconds + now - self.began)
        self.began = now

    def restart_clock(self) -> None:
        """Excludes the time since the last flush from the used seconds."""
        self.began = time.perf_counter()

    def sampling_generators(self) -> nn.ModuleDict:
        """Returns the generators for sampling, for example an exponential moving average."""
        return self.trick.transform_sampling_generators(self.task.generators)

    def state_dict(self) -> dict[str, Any]:
        """Returns the full state for an exact resume; call `flush` first."""
        return {
            "step": self.step,
            "spent": asdict(self.spent),
            "game": self.task.state_dict(),
            "trick": self.trick.state_dict(),
            "optimizers": {side: o.state_dict() for side, o in self.optimizers.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step, self.spent = state["step"], Spent(**state["spent"])
        self.task.load_state_dict(state["game"])
        self.trick.load_state_dict(state["trick"])
        for side, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][side])
        self.restart_clock()


def make_optimizer(
    hyperparameters: Hyperparameters, side: str, parameters: Sequence[nn.Parameter]
) -> torch.optim.Optimizer:
    rate = getattr(hyperparameters, f"{side}_lr")
    if hyperparameters.optimizer == "rmsprop":
        return torch.optim.RMSprop(parameters, rate)
    fused = all(p.device.type in ("cpu", "cuda") for p in parameters)
    return torch.optim.Adam(
        parameters, rate, getattr(hyperparameters, f"{side}_betas"), fused=fused
    )


def add_terms(terms: Sequence[tuple[str, Tensor]]) -> Tensor:
    """Returns the objective: the sum of all terms."""
    if len(terms) == 1:
        return terms[0][1]
    return torch.stack([term for _, term in terms]).sum()


def sum_terms(terms: Sequence[tuple[str, Tensor]]) -> LossTerms:
    """Sums terms of equal name over the pairs, on the device."""
    log: LossTerms = {}
    for name, term in terms:
        log[name] = log[name] + term.detach() if name in log else term.detach()
    return log


@torch.no_grad()
def score_statistics(pairs: Sequence[AdversarialBatch]) -> LossTerms:
    """Returns mean scores, and the share of pairs in which the real scores above the fake."""
    real = join_scores([pair.real_score for pair in pairs])
    fake = join_scores([pair.fake_score for pair in pairs])
    count = min(len(real), len(fake))
    is_above = real > fake if len(real) == len(fake) else real[:count] > fake[:count]
    told_apart = is_above.float().mean()
    return {"real_score": real.mean(), "fake_score": fake.mean(), "told_apart": told_apart}


def join_scores(scores: Sequence[Tensor]) -> Tensor:
    return scores[0].flatten() if len(scores) == 1 else torch.cat([x.flatten() for x in scores])


def read_terms(logs: Sequence[LossTerms]) -> list[dict[str, float]]:
    """Converts logs to floats with one transfer from the device."""
    if not logs:
        return []
    numbers = iter(torch.stack([value for log in logs for value in log.values()]).tolist())
    return [{name: next(numbers) for name in log} for log in logs]
