"""The canary: the first losses of a training at a fixed seed, and what its fakes score after them.

It tells *numerically identical* from *statistically alike*, which no test over seeds can: a change that
should change no number leaves every digit. Digits may differ between machines and versions of torch.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from ganbench.data.base import BatchLoader
from ganbench.evaluation.evaluator import evaluator_for
from ganbench.evaluation.scores_file import values
from ganbench.experiments.trial import Trial
from ganbench.gan.build import build_training
from ganbench.rng import RngStreams
from ganbench.training.sampling import draw_samples_of_task
from ganbench.training.trainer import Trainer, read_terms

STEPS, SEED = 50, 0
ROUNDING = 1e-4  # a share: what the order of sums alone comes to after so many steps
LEAST = 1e-3  # values below it are compared by their difference: scores cross zero


@dataclass(frozen=True)
class Song:
    """What one cell's canary sang: each term at every step, and each metric after them."""

    losses: Mapping[str, Sequence[float | None]]  # null is what is not finite
    scores: Mapping[str, float | None]

    def notes(self) -> dict[str, float | None]:
        """Every value by its place, in the order of the training."""
        steps = range(max(map(len, self.losses.values()), default=0))
        sung = {
            f"{name} at step {step + 1}": values[step]
            for step in steps
            for name, values in self.losses.items()
            if step < len(values)
        }
        return sung | {f"{name} after {STEPS} steps": value for name, value in self.scores.items()}


@dataclass(frozen=True)
class Heard:
    """How one cell's canary sings beside the baseline's."""

    cell: str
    verdict: str  # identical, alike (but for rounding), different, not comparable
    said: str = ""


def song(trial: Trial, metrics: tuple[str, ...], protocol: str) -> Song:
    """Trains the trial's cell for STEPS steps at SEED, and measures its fakes."""
    measured = evaluator_for(trial.data, trial.device, protocol)
    streams = RngStreams(SEED, torch.device(trial.device))
    setup = build_training(trial.recipe, measured.data, streams)
    deck = BatchLoader(measured.split.train, setup.hyperparameters.batch, streams)
    trainer = Trainer(setup, deck, streams, trial.budget)
    for _ in range(STEPS):
        trainer.train_step()
    logs, sources = read_terms(trainer.logs), measured.split.held_out
    losses = {name: [finite(log.get(name)) for log in logs] for log in logs for name in log}
    fakes = draw_samples_of_task(
        trainer.task, trainer.sampling_generators(), sources, streams, "evaluation"
    )
    scores = values(measured.measure(fakes, metrics))
    return Song(losses, {metric: finite(value) for metric, value in scores.items()})


def finite(value: float | None) -> float | None:
    """As JSON can hold it."""
    return value if value is not None and math.isfinite(value) else None


def heard(cell: str, before: Song, after: Song) -> Heard:
    """The first value that differs by more than rounding, or that none does, or none at all."""
    one, other = before.notes(), after.notes()
    if one == other:
        return Heard(cell, "identical")
    for place in dict.fromkeys([*one, *other]):
        if apart(one.get(place), other.get(place)) > ROUNDING:
            told = f"{place} was {shown(one.get(place))} and is {shown(other.get(place))}"
            return Heard(cell, "different", told)
    return Heard(cell, "alike", f"no value differs by more than {ROUNDING:.0e} of it")


def apart(one: float | None, other: float | None) -> float:
    """The share by which two values differ."""
    if one is None or other is None:
        return 0.0 if one is other else math.inf
    return abs(one - other) / max(abs(one), abs(other), LEAST)


def shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"
