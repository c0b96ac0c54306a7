"""Estimates the duration of a run from a few timed steps of every kind of trial."""

import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import replace
from functools import cache
from statistics import median

import torch

from ganbench.data import DATA
from ganbench.data.base import BatchLoader, Split
from ganbench.devices import Numerics
from ganbench.gan.build import build_training
from ganbench.rng import RngStreams
from ganbench.training.budget import Budget
from ganbench.training.trainer import Diverged, Trainer

from .trial import Trial

WARM_UP_STEPS, TIMED_STEPS = 1, 3
SECONDS_PER_TRIAL_OVERHEAD = 0.8  # seconds per trial for measuring and writing, for any variant
WORKER_START_SECONDS = 5.0  # seconds for the workers to import torch


def estimate_seconds(trials: list[Trial], workers: int) -> float:
    """Estimates the seconds for all trials, assuming that workers do not slow each other down."""
    Numerics().apply()
    kinds: dict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        kinds[cost_key(trial)].append(trial)
    total = sum(
        len(same) * (SECONDS_PER_TRIAL_OVERHEAD + estimate_training_seconds(same[0]))
        for same in kinds.values()
    )
    return WORKER_START_SECONDS + total / min(workers, max(1, len(trials)))


def cost_key(trial: Trial) -> str:
    """Returns a key equal for trials with steps of equal cost: everything except the loss."""
    recipe = replace(trial.recipe, about="", loss="")
    return repr((trial.data, recipe, trial.budget))


def estimate_training_seconds(trial: Trial) -> float:
    """Estimates the seconds of one trial's training from the median step."""
    if trial.budget.unit == "seconds" or trial.budget.amount == 0:
        return trial.budget.amount
    streams = RngStreams(trial.seed, torch.device(trial.device))
    data = DATA.make(trial.data)
    setup = build_training(trial.recipe, data, streams)
    loader = BatchLoader(load_split(trial.data).train, setup.hyperparameters.batch, streams)
    trainer = Trainer(
        setup, loader, streams, Budget("generator_turns", WARM_UP_STEPS + TIMED_STEPS)
    )
    times = [time_step(trainer) for _ in range(WARM_UP_STEPS + TIMED_STEPS)]
    share = getattr(trainer.spent, trial.budget.unit) / len(times)
    return median(times[WARM_UP_STEPS:]) * trial.budget.amount / share


@cache
def load_split(data: str) -> Split:
    return DATA.make(data).load()


def time_step(trainer: Trainer) -> float:
    began = time.perf_counter()
    trainer.train_step()
    with suppress(Diverged):  # the flush only waits for the device; the run will report divergence
        trainer.flush()
    return time.perf_counter() - began
