"""Takes a first step with the own parts of a suite, before its trainings begin.

A mistake in an own part then ends a run at once, with a sentence, instead of in every trial. The step has
a training of its own, and so changes no number of the trials.
"""

from collections.abc import Hashable, Iterable

import torch

from ganbench.data.base import BatchLoader
from ganbench.errors import GanbenchError
from ganbench.evaluation.evaluator import evaluator_for
from ganbench.gan.build import build_training
from ganbench.registry import (
    MAX_ERROR_CHARACTERS,
    PluginError,
    describe_exception,
    find_plugin_part,
    shorten,
)
from ganbench.rng import RngStreams
from ganbench.training.budget import Budget
from ganbench.training.trainer import Trainer

from .trial import Trial
from .watched_returns import own_parts, watched_returns

STOPS = (torch.OutOfMemoryError, MemoryError, OSError)  # no mistakes of a part


def try_first_steps(trials: Iterable[Trial]) -> None:
    """Takes a step of one trial for each combination of own parts, network and data.

    Raises PluginError, which names the part, for a step that fails.
    """
    distinct: dict[Hashable, Trial] = {}
    for trial in trials:
        if parts := tuple(own_parts(trial.recipe)):
            distinct.setdefault((trial.data, trial.recipe.network, parts), trial)
    for trial in distinct.values():
        with watched_returns([trial.recipe]):
            try_first_step(trial)


def try_first_step(trial: Trial) -> None:
    """Takes a step of a trial; raises PluginError if it fails."""
    try:
        take_step(trial)
    except (GanbenchError, KeyboardInterrupt, *STOPS):
        raise
    except BaseException as error:
        raise explain_failed_step(trial, error) from error


def take_step(trial: Trial) -> None:
    """Trains one step in plain float32; random states remain as they were."""
    device = torch.device(trial.device)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        evaluator, streams = evaluator_for(trial.data, trial.device), RngStreams(trial.seed, device)
        setup = build_training(trial.recipe, evaluator.data, streams)
        loader = BatchLoader(evaluator.split.train, setup.hyperparameters.batch, streams)
        trainer = Trainer(setup, loader, streams, Budget("generator_turns", 1))
        trainer.train_step()
        trainer.sampling_generators()


def explain_failed_step(trial: Trial, error: BaseException) -> PluginError:
    """Returns the failure of the part that raised an error, or else of all own parts."""
    if part := find_plugin_part(error):
        return part.failure(error)
    names = [f"{registry.kind} {name}" for registry, name in own_parts(trial.recipe)]
    files = sorted({name.rpartition(":")[0] for _, name in own_parts(trial.recipe)})
    checks = " and ".join(f"`ganbench check {file}`" for file in files)
    text = shorten(describe_exception(error), MAX_ERROR_CHARACTERS)
    return PluginError(
        f"{' or '.join(names)}: the first step on {trial.data_name} failed: {text}; correct it, "
        f"and try {checks}"
    )
