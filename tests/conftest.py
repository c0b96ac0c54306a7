"""Builders that tests share: tiny trainings of real recipes on real data, and calls of the program."""

import io
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

from ganbench import cli
from ganbench.analysis.rows import collect_rows, save_rows
from ganbench.data import DATA
from ganbench.data.base import BatchLoader, Split
from ganbench.experiments.plan import plan_record, plan_trials
from ganbench.experiments.run_trial import run_trial
from ganbench.experiments.runner import measure_floors
from ganbench.experiments.store import Store
from ganbench.experiments.suite_loader import load_suite
from ganbench.files import write_json
from ganbench.gan.build import TrainingSetup, build_training
from ganbench.gan.hyperparameters import Hyperparameters
from ganbench.gan.variants import resolve_variant
from ganbench.rng import RngStreams
from ganbench.training.budget import Budget
from ganbench.training.trainer import Trainer

CPU = torch.device("cpu")
BATCH, LATENT = 8, 4


@pytest.fixture(scope="session", autouse=True)
def a_cache_of_their_own(tmp_path_factory):
    """What tests make of real examples is kept for this run alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANBENCH_CACHE", str(tmp_path_factory.mktemp("references")))
        yield


@pytest.fixture(autouse=True)
def weights_are_named_for_one_test_alone(monkeypatch):
    """`--inception-weights` names them in the environment, for workers to see."""
    monkeypatch.setenv("GANBENCH_INCEPTION", "")


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)


SMALL = """\
schema = 1
name = "small"
data = ["digits"]
metrics = ["fid", "modes"]
seeds = 2
points = 2
[[grid]]
variants = ["gan(width=16)"]
losses = ["hinge", "non_saturating"]
[[grid]]
data = ["ring"]
variants = ["gan(width=16)"]
losses = ["hinge"]
[budget.cpu]
generator_turns = 40
"""


@pytest.fixture(scope="session")
def small_run(tmp_path_factory) -> Path:
    """The folder of results of a suite called small: its trials and its rows, without reports."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "small.toml").write_text(SMALL)
    suite, store = load_suite(folder / "small.toml"), Store(folder / "results")
    plan, metrics = plan_trials(suite, "cpu", "cpu"), tuple(suite.metrics)
    told = plan_record(suite, "cpu", "cpu", plan)
    write_json(store.root / "small" / "plan.json", told)
    measure_floors(((p.trial.data, "cpu") for p in plan), metrics, suite.protocol, store)
    for item in plan:
        assert run_trial(item.trial, store, metrics, lambda: False) == "done"
    save_rows(collect_rows(told, store), store.root / "small")
    return store.root


@pytest.fixture
def ganbench(monkeypatch, capsys, tmp_path):
    """Calls the program as its script does, in a folder of its own: code, output, errors."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ganbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return (end.value.code or 0, *capsys.readouterr())

    return call


@cache
def split(data: str) -> Split:
    return DATA.make(data).load()


def setup(
    text="gan(width=8)", data="digits", tricks=(), loss="non_saturating", seed=0, **plan
) -> TrainingSetup:
    plan = Hyperparameters(**{"batch": BATCH, "latent": LATENT, **plan})
    recipe = replace(resolve_variant(text), loss=loss, tricks=tuple(tricks), hyperparameters=plan)
    return build_training(recipe, DATA.make(data), RngStreams(seed, CPU))


def trainer(text="gan(width=8)", data="digits", tricks=(), *, seed=0, budget=None, **kwargs):
    built = setup(text, data, tricks, seed=seed, **kwargs)
    streams = RngStreams(seed, CPU)
    loader = BatchLoader(split(data).train, built.hyperparameters.batch, streams)
    return Trainer(built, loader, streams, budget or Budget("generator_turns", 8))


def steps(trainer: Trainer, count: int) -> list[dict[str, float]]:
    """The mean terms of each of the next steps."""
    logs = []
    for _ in range(count):
        trainer.train_step()
        logs.append(trainer.flush())
    return logs


def through_a_file(state):
    """A state as it comes back from a checkpoint, loaded as data only."""
    content = io.BytesIO()
    torch.save(state, content)
    content.seek(0)
    return torch.load(content, weights_only=True)


def same(ours, theirs) -> bool:
    """Are two states equal bit for bit?"""
    if isinstance(ours, torch.Tensor):
        return torch.equal(ours, theirs)
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(same(ours[k], theirs[k]) for k in ours)
    if isinstance(ours, list | tuple):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return ours == theirs


def weights(module) -> dict[str, torch.Tensor]:
    """A copy of all that a module's state holds."""
    return {name: value.clone() for name, value in module.state_dict().items()}
