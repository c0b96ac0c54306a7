"""Builders that tests share: tiny trainings of real recipes on real data, and calls of the program."""

import os
import resource
import sys
from pathlib import Path

import pytest
import torch

from ganbench import cli
from ganbench.analysis.rows import collect_rows, save_rows
from ganbench.experiments.floors import measure_floors
from ganbench.experiments.plan import plan_record, plan_trials
from ganbench.experiments.run_trial import run_trial
from ganbench.experiments.store import Store
from ganbench.experiments.suite_loader import load_suite
from ganbench.files import write_json


def pytest_addoption(parser):
    parser.addoption(
        "--device", default="cpu", help="device of tests/contract/test_every_device.py"
    )
    parser.addoption("--full-size", action="store_true", help="benchmarks at full size, in minutes")


def pytest_xdist_auto_num_workers() -> int:
    """Returns three workers for two CPU cores: many tests wait for other processes."""
    return max(1, (os.cpu_count() or 1) * 3 // 2)


@pytest.fixture
def device(request) -> torch.device:
    """The device of tests that run on any device, with equal results of equal calls."""
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    yield torch.device(request.config.getoption("--device"))
    torch.backends.cudnn.deterministic = before


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


@pytest.fixture
def limit_file_size():
    """Limits the size of files that this process writes, which fails like a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def any_learning_rate(monkeypatch):
    """Allows learning rates at which every training diverges."""
    monkeypatch.setattr("ganbench.gan.hyperparameters.MAX_LEARNING_RATE", float("inf"))
