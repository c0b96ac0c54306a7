"""What scheduling costs: the same trials through worker processes and in this one, side by side."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from ganbench.executors import inline, local
from ganbench.executors.base import Job, Limits, Status
from ganbench.planned import planned
from ganbench.suite import load_suite
from ganbench.trial import settle

TRIALS = 40
SUITE = Path(__file__).parents[2] / "suites" / "smoke.toml"


@pytest.mark.parametrize("execute", [inline.run, local.run], ids=["inline", "local"])
def test_seconds_of_forty_trials(benchmark, tmp_path, execute):
    """(local − inline) / 40 is the overhead a trial, a worker's start included."""
    settle()
    first = planned(load_suite(SUITE), "cpu", "cpu")[0].trial
    trials = [replace(first, seed=seed) for seed in range(TRIALS)]
    run_all(
        inline.run, trials[:1], tmp_path / "warm"
    )  # data and classifier are in memory after this

    def once():
        run_all(execute, trials, tmp_path / str(time.monotonic_ns()))

    benchmark.pedantic(once, rounds=2, warmup_rounds=0)


def run_all(execute, trials, store):
    statuses = [Status(Job(trial, ("fid",), store)) for trial in trials]
    execute(statuses, 1, Limits(600, 600), lambda: None)
    assert {status.state for status in statuses} == {"done"}
