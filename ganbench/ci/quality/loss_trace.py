"""The canary: the first losses of a training at a fixed seed, and the scores after them.

It distinguishes *numerically identical* from *statistically equivalent*, which no test over seeds can do. A
change of the code that should not affect results keeps every digit. Digits may differ between machines
and between versions of torch.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from ganbench.data.base import BatchLoader
from ganbench.evaluation.evaluator import evaluator_for
from ganbench.evaluation.scores_file import values_of_readings
from ganbench.experiments.trial import Trial
from ganbench.gan.build import build_training
from ganbench.rng import RngStreams
from ganbench.training.build_trainer import make_trainer
from ganbench.training.sampling import draw_samples_of_task
from ganbench.training.trainer import read_terms

TRACE_STEPS, TRACE_SEED = 50, 0


@dataclass(frozen=True)
class LossTrace:
    """The loss trace of one cell: each loss term at every step, and the metrics at the end."""

    losses: Mapping[str, Sequence[float | None]]  # None for values that are not finite
    scores: Mapping[str, float | None]

    def values_by_place(self) -> dict[str, float | None]:
        """Returns every value keyed by its place, in the order of the training."""
        steps = range(max(map(len, self.losses.values()), default=0))
        traced = {
            f"{name} at step {step + 1}": values[step]
            for step in steps
            for name, values in self.losses.items()
            if step < len(values)
        }
        return traced | {
            f"{name} after {TRACE_STEPS} steps": value for name, value in self.scores.items()
        }


def record_trace(trial: Trial, metrics: tuple[str, ...], protocol: str) -> LossTrace:
    """Trains the trial's cell for TRACE_STEPS steps at TRACE_SEED, then measures its samples."""
    evaluator = evaluator_for(trial.data, trial.device, protocol)
    streams = RngStreams(TRACE_SEED, torch.device(trial.device))
    setup = build_training(trial.recipe, evaluator.data, streams)
    loader = BatchLoader(evaluator.split.train, setup.hyperparameters.batch, streams)
    trainer = make_trainer(setup, loader, streams, trial.budget, trial.numerics)
    for _ in range(TRACE_STEPS):
        trainer.train_step()
    logs, sources = read_terms(trainer.logs), evaluator.split.held_out
    names = dict.fromkeys(name for log in logs for name in log)
    losses = {name: [finite_or_none(log.get(name)) for log in logs] for name in names}
    fakes = draw_samples_of_task(
        trainer.task, trainer.sampling_generators(), sources, streams, "evaluation"
    )
    scores = values_of_readings(evaluator.measure(fakes, metrics))
    return LossTrace(losses, {metric: finite_or_none(value) for metric, value in scores.items()})


def finite_or_none(value: float | None) -> float | None:
    """Returns a finite value, or None, since JSON has no infinity or NaN."""
    return value if value is not None and math.isfinite(value) else None
