"""Estimates the duration of a run from a few timed steps and measurements.

A trial trains, measures each point of its learning curve, and is measured at last and best.
"""

import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import replace
from statistics import median

import torch

from ganbench.data import DATA
from ganbench.data.base import BatchLoader
from ganbench.devices import Numerics
from ganbench.evaluation.evaluator import evaluator_for, load_split
from ganbench.evaluation.protocols.base import DEFAULT_PROTOCOL
from ganbench.gan.build import build_training
from ganbench.rng import RngStreams
from ganbench.training.budget import Budget
from ganbench.training.build_trainer import make_trainer
from ganbench.training.trainer import Diverged, Trainer

from .measurement_time import make_draw, time_drawing, time_measurement
from .store import CHECKPOINT_NAMES
from .trial import SELECTION_METRIC, Trial

WARM_UP_STEPS, TIMED_STEPS = 1, 3
SECONDS_PER_TRIAL_OVERHEAD = 0.3  # seconds per trial for building and writing, for any variant
WORKER_START_SECONDS = 5.0  # seconds for the workers to import torch
EXTRA_DRAWS = 2  # of a trial's samples: after the last step, and for the rate of sampling

Metrics = tuple[str, ...]


def estimate_seconds(
    trials: list[Trial], workers: int, metrics: Metrics = (), protocol: str = DEFAULT_PROTOCOL
) -> float:
    """Estimates the seconds for all trials, assuming that workers do not slow each other down."""
    Numerics().apply()
    kinds: dict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        kinds[cost_key(trial)].append(trial)
    costs = {key: estimate_trial_seconds(same[0], metrics, protocol) for key, same in kinds.items()}
    total = sum(len(same) * costs[key] for key, same in kinds.items())
    sets = dict.fromkeys((trial.data, trial.device) for trial in trials)
    floors = sum(estimate_floor_seconds(*pair, metrics, protocol) for pair in sets)
    longest = max(costs.values(), default=0.0)  # one trial is not shared among workers
    return WORKER_START_SECONDS + floors + max(total / workers, longest)


def estimate_floor_seconds(data: str, device: str, metrics: Metrics, protocol: str) -> float:
    """Estimates the seconds to measure the floors; zero if the features of reals are cached."""
    evaluator = evaluator_for(data, device, protocol)
    if evaluator.has_cached_features():
        return 0.0
    measurement = time_measurement(data, device, protocol, metrics)
    return measurement.seconds + evaluator.protocol.real * measurement.extraction


def cost_key(trial: Trial) -> str:
    """Returns a key equal for trials with steps of equal cost: everything except the loss."""
    recipe = replace(trial.recipe, about="", loss="")
    return repr((trial.data, recipe, trial.budget, trial.numerics_spec))


def estimate_trial_seconds(trial: Trial, metrics: Metrics, protocol: str) -> float:
    """Estimates the seconds of one trial's training, learning curve and final measurements."""
    streams = RngStreams(trial.seed, torch.device(trial.device))
    trainer = make_timed_trainer(trial, streams)
    training = estimate_training_seconds(trial, trainer)
    evaluator = evaluator_for(trial.data, trial.device, trial.curve_protocol)
    points = trial.points if trial.budget.amount else 0
    curve_metrics = (SELECTION_METRIC, *evaluator.data.watch)
    curve = time_measurement(trial.data, trial.device, trial.curve_protocol, curve_metrics)
    final = time_measurement(trial.data, trial.device, protocol, metrics)
    ends = len(CHECKPOINT_NAMES)
    drawn = (points + EXTRA_DRAWS) * curve.fakes + ends * final.fakes
    drawing = drawn * time_drawing(make_draw(trainer, evaluator, streams))
    measuring = points * curve.seconds + ends * final.seconds
    return SECONDS_PER_TRIAL_OVERHEAD + training + drawing + measuring


def make_timed_trainer(trial: Trial, streams: RngStreams) -> Trainer:
    data = DATA.make(trial.data)
    setup = build_training(trial.recipe, data, streams)
    loader = BatchLoader(load_split(trial.data).train, setup.hyperparameters.batch, streams)
    budget = Budget("generator_turns", WARM_UP_STEPS + TIMED_STEPS)
    return make_trainer(setup, loader, streams, budget, trial.numerics)


def estimate_training_seconds(trial: Trial, trainer: Trainer) -> float:
    """Estimates the seconds of one trial's training from the median step."""
    if trial.budget.unit == "seconds" or trial.budget.amount == 0:
        return trial.budget.amount
    times = [time_step(trainer) for _ in range(WARM_UP_STEPS + TIMED_STEPS)]
    share = getattr(trainer.spent, trial.budget.unit) / len(times)
    return median(times[WARM_UP_STEPS:]) * trial.budget.amount / share


def time_step(trainer: Trainer) -> float:
    began = time.perf_counter()
    trainer.train_step()
    with suppress(Diverged):  # the flush only waits for the device; the run will report divergence
        trainer.flush()
    return time.perf_counter() - began
