"""What scheduling costs: the same trials through worker processes and in this one, side by side."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from ganbench.devices import Numerics
from ganbench.experiments.executors import EXECUTORS
from ganbench.experiments.executors.base import Job, JobStatus, TrialLimits
from ganbench.experiments.plan import plan_trials
from ganbench.experiments.suite_loader import load_suite

TRIALS = 40
SUITE = Path(__file__).parents[2] / "suites" / "smoke.toml"


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_seconds_of_forty_trials(benchmark, tmp_path, executor):
    """(local − inline) / 40 is the overhead a trial, a worker's start included."""
    Numerics().apply()
    first = plan_trials(load_suite(SUITE), "cpu", "cpu")[0].trial
    trials = [replace(first, seed=seed) for seed in range(TRIALS)]
    run_all("inline", trials[:1], tmp_path / "warm")  # data and classifier are in memory after this

    def once():
        run_all(executor, trials, tmp_path / str(time.monotonic_ns()))

    benchmark.pedantic(once, rounds=2, warmup_rounds=0)


def run_all(executor, trials, store):
    statuses = [JobStatus(Job(trial, ("fid",), store)) for trial in trials]
    EXECUTORS.make(executor).run(statuses, TrialLimits(600, 600), lambda: None)
    assert {status.state for status in statuses} == {"done"}
