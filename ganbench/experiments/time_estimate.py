"""An estimate of a run's time: a few steps of every kind of trial, timed on this machine."""

import time
from collections import defaultdict
from contextlib import suppress
from statistics import median

import torch

from ganbench.data.base import Deck
from ganbench.devices import Numerics
from ganbench.evaluation.evaluator import yardstick
from ganbench.gan.build import assemble
from ganbench.rng import Streams
from ganbench.training.budget import Budget
from ganbench.training.trainer import Diverged, Trainer

from .trial import Trial

WARM_UP, TIMED = 2, 5  # steps
EACH = 0.8  # seconds that measuring and writing take a trial, whatever it trains
START = 5.0  # seconds until workers have imported torch


def estimate(trials: list[Trial], workers: int) -> float:
    """Seconds for all of them on so many workers, none of which is slowed down by another."""
    Numerics().apply()
    kinds: dict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        kinds[repr((trial.data, trial.recipe, trial.budget))].append(trial)
    total = sum(len(same) * (EACH + training_time(same[0])) for same in kinds.values())
    return START + total / min(workers, max(1, len(trials)))


def training_time(trial: Trial) -> float:
    """Seconds of one trial's training, from the median step."""
    if trial.budget.unit == "seconds" or trial.budget.amount == 0:
        return trial.budget.amount
    streams = Streams(trial.seed, torch.device(trial.device))
    measured = yardstick(trial.data, trial.device)
    setup = assemble(trial.recipe, measured.data, streams)
    deck = Deck(measured.split.train, setup.plan.batch, streams)
    trainer = Trainer(setup, deck, streams, Budget("generator_turns", WARM_UP + TIMED))
    times = [step_time(trainer) for _ in range(WARM_UP + TIMED)]
    share = getattr(trainer.spent, trial.budget.unit) / len(times)
    return median(times[WARM_UP:]) * trial.budget.amount / share


def step_time(trainer: Trainer) -> float:
    began = time.perf_counter()
    trainer.train_step()
    with suppress(Diverged):  # a run will tell; here it only waits for the device
        trainer.flush()
    return time.perf_counter() - began
