"""An estimate of a run's time: a few steps of every kind of trial, timed on this machine."""

import time
from collections import defaultdict
from contextlib import suppress
from statistics import median

import torch

from ganbench.data.base import BatchLoader
from ganbench.devices import Numerics
from ganbench.evaluation.evaluator import evaluator_for
from ganbench.gan.build import build_training
from ganbench.rng import RngStreams
from ganbench.training.budget import Budget
from ganbench.training.trainer import Diverged, Trainer

from .trial import Trial

WARM_UP_STEPS, TIMED_STEPS = 2, 5  # steps
SECONDS_PER_TRIAL_OVERHEAD = (
    0.8  # seconds that measuring and writing take a trial, whatever it trains
)
WORKER_START_SECONDS = 5.0  # seconds until workers have imported torch


def estimate_seconds(trials: list[Trial], workers: int) -> float:
    """Seconds for all of them on so many workers, none of which is slowed down by another."""
    Numerics().apply()
    kinds: dict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        kinds[repr((trial.data, trial.recipe, trial.budget))].append(trial)
    total = sum(
        len(same) * (SECONDS_PER_TRIAL_OVERHEAD + estimate_training_seconds(same[0]))
        for same in kinds.values()
    )
    return WORKER_START_SECONDS + total / min(workers, max(1, len(trials)))


def estimate_training_seconds(trial: Trial) -> float:
    """Seconds of one trial's training, from the median step."""
    if trial.budget.unit == "seconds" or trial.budget.amount == 0:
        return trial.budget.amount
    streams = RngStreams(trial.seed, torch.device(trial.device))
    evaluator = evaluator_for(trial.data, trial.device)
    setup = build_training(trial.recipe, evaluator.data, streams)
    loader = BatchLoader(evaluator.split.train, setup.hyperparameters.batch, streams)
    trainer = Trainer(
        setup, loader, streams, Budget("generator_turns", WARM_UP_STEPS + TIMED_STEPS)
    )
    times = [time_step(trainer) for _ in range(WARM_UP_STEPS + TIMED_STEPS)]
    share = getattr(trainer.spent, trial.budget.unit) / len(times)
    return median(times[WARM_UP_STEPS:]) * trial.budget.amount / share


def time_step(trainer: Trainer) -> float:
    began = time.perf_counter()
    trainer.train_step()
    with suppress(Diverged):  # a run will tell; here it only waits for the device
        trainer.flush()
    return time.perf_counter() - began
