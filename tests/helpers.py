"""Shared builders of tests: tiny trainings of real recipes on real data."""

import io
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch

from ganbench.data import DATA
from ganbench.data.base import BatchLoader, Split
from ganbench.gan.build import TrainingSetup, build_training
from ganbench.gan.hyperparameters import Hyperparameters
from ganbench.gan.variants import resolve_variant
from ganbench.rng import RngStreams
from ganbench.training.budget import Budget
from ganbench.training.trainer import Trainer

CPU = torch.device("cpu")
BATCH, LATENT = 8, 4


@cache
def split(data: str) -> Split:
    return DATA.make(data).load()


def training_setup(
    text="gan(width=8)", data="digits", tricks=(), loss="non_saturating", seed=0, **plan
) -> TrainingSetup:
    plan = Hyperparameters(**{"batch": BATCH, "latent": LATENT, **plan})
    recipe = replace(resolve_variant(text), loss=loss, tricks=tuple(tricks), hyperparameters=plan)
    return build_training(recipe, DATA.make(data), RngStreams(seed, CPU))


def trainer(text="gan(width=8)", data="digits", tricks=(), *, seed=0, budget=None, **kwargs):
    built = training_setup(text, data, tricks, seed=seed, **kwargs)
    streams = RngStreams(seed, CPU)
    loader = BatchLoader(split(data).train, built.hyperparameters.batch, streams)
    return Trainer(built, loader, streams, budget or Budget("generator_turns", 8))


def steps(trainer: Trainer, count: int) -> list[dict[str, float]]:
    """Trains for `count` steps and returns the mean terms of each step."""
    logs = []
    for _ in range(count):
        trainer.train_step()
        logs.append(trainer.flush())
    return logs


def through_a_file(state):
    """Saves a state and returns it loaded again with `weights_only`."""
    content = io.BytesIO()
    torch.save(state, content)
    content.seek(0)
    return torch.load(content, weights_only=True)


def same(ours, theirs) -> bool:
    """Returns whether two states are equal bit for bit."""
    if isinstance(ours, torch.Tensor):
        return torch.equal(ours, theirs)
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(same(ours[k], theirs[k]) for k in ours)
    if isinstance(ours, list | tuple):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return ours == theirs


def weights(module) -> dict[str, torch.Tensor]:
    """Returns a copy of a module's state."""
    return {name: value.clone() for name, value in module.state_dict().items()}


def result_record(identifier: str, outcome: str = "done", **fields) -> dict:
    """Returns the content of a result.json as a training writes it."""
    provenance = {"code": "0" * 16, "torch_minor": "2.0"}
    content = {"id": identifier, "outcome": outcome, "reason": "", "step": None}
    return {**content, "spent": {}, "costs": {}, "provenance": provenance, **fields}


HOLD_TRIAL = """
import sys
from pathlib import Path
from ganbench.experiments.store import TrialFolder
with TrialFolder(Path(sys.argv[1])).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_by_another_process(folder: Path) -> Iterator[subprocess.Popen]:
    """Holds a trial in another process until the context ends; yields that process."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD_TRIAL, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()
