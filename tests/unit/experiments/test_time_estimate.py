"""The time estimate of a plan: training, learning curve and final measurements."""

import time
from dataclasses import replace

import pytest

from ganbench.evaluation.evaluator import Evaluator, evaluator_for
from ganbench.experiments import measurement_time, time_estimate
from ganbench.experiments.measurement_time import choose_shrinkage, time_per_example
from ganbench.experiments.plan import plan_trials
from ganbench.experiments.suite_loader import load_suite
from ganbench.experiments.time_estimate import (
    SECONDS_PER_TRIAL_OVERHEAD,
    estimate_seconds,
    estimate_trial_seconds,
)
from ganbench.training.budget import Budget

METRICS = ("fid",)


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    path = tmp_path_factory.mktemp("estimate") / "one.toml"
    path.write_text(
        'schema = 1\nname = "one"\ndata = ["digits"]\nmetrics = ["fid"]\nseeds = 1\n'
        '[[grid]]\nvariants = ["gan(width=8)"]\n[budget.cpu]\nimages = 640\n'
    )
    planned = plan_trials(load_suite(path), "cpu", "cpu")
    return next(item.trial for item in planned if item.role == "trial")


class Clock:
    """A clock that stands still between the calls of `sleep`."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for module in (measurement_time, time_estimate):
        monkeypatch.setattr(module, "time", clock)
    clear_timings()
    yield clock
    clear_timings()


@pytest.fixture
def slow_extractor(monkeypatch, clock):
    """Each image takes a millisecond, and nothing else takes any time."""
    own = Evaluator.extract

    def extract(evaluator, images):
        clock.sleep(len(images) / 1000)
        return own(evaluator, images)

    monkeypatch.setattr(Evaluator, "extract", extract)


def clear_timings():
    measurement_time.time_measurement.cache_clear()
    measurement_time.time_extraction.cache_clear()


def measurement_seconds():
    return evaluator_for("digits", "cpu").protocol.fake / 1000


def test_seconds_per_example_are_those_slept(clock):
    calls = []

    def sleep(count):
        calls.append(count)
        clock.sleep(count / 500)

    assert time_per_example(sleep) == pytest.approx(1 / 500)
    assert calls == [4, 4, 8, 16, 32, 64]  # until a call takes a tenth of a second


def test_real_clock_counts_sleep():
    assert time_per_example(lambda count: time.sleep(count / 500)) > 0.9 / 500


@pytest.mark.parametrize("points", [2, 102])
def test_estimate_counts_every_extraction(trial, slow_extractor, points):
    seconds = estimate_trial_seconds(replace(trial, points=points), METRICS, "ganbench")
    expected = (points + 2) * measurement_seconds()  # the points, last and best
    assert seconds == pytest.approx(SECONDS_PER_TRIAL_OVERHEAD + expected)


def test_untrained_trial_has_no_curve(trial, slow_extractor):
    start = replace(trial, budget=Budget("images", 0), points=1000)
    seconds = estimate_trial_seconds(start, METRICS, "ganbench")
    assert seconds == pytest.approx(SECONDS_PER_TRIAL_OVERHEAD + 2 * measurement_seconds())


def test_one_trial_is_not_shared_among_workers(trial, slow_extractor):
    alone, shared = (estimate_seconds([trial], workers, METRICS) for workers in (1, 64))
    assert shared == pytest.approx(alone)


@pytest.mark.parametrize(
    ("sides", "factor"), [((600, 1200, 64), 1), ((10_000, 10_000, 2048), 4.68)]
)
def test_large_sets_are_timed_smaller(sides, factor):
    assert choose_shrinkage(*sides) == pytest.approx(factor, abs=0.01)
