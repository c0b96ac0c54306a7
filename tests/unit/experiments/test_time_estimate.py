"""The time estimate of a plan: training, learning curve and final measurements."""

import time
from dataclasses import replace

import pytest

from ganbench.evaluation.evaluator import Evaluator, evaluator_for
from ganbench.experiments import measurement_time
from ganbench.experiments.measurement_time import choose_shrinkage, time_per_example
from ganbench.experiments.plan import plan_trials
from ganbench.experiments.suite_loader import load_suite
from ganbench.experiments.time_estimate import estimate_seconds, estimate_trial_seconds
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


@pytest.fixture
def slow_extractor(monkeypatch):
    """Each image takes a millisecond longer, as with a large network."""
    own = Evaluator.extract

    def extract(evaluator, images):
        time.sleep(len(images) / 1000)
        return own(evaluator, images)

    monkeypatch.setattr(Evaluator, "extract", extract)
    clear_timings()
    yield
    clear_timings()


def clear_timings():
    measurement_time.time_measurement.cache_clear()
    measurement_time.time_extraction.cache_clear()


def test_seconds_per_example_are_those_slept():
    calls = []

    def sleep(count):
        calls.append(count)
        time.sleep(count / 500)

    assert time_per_example(sleep) == pytest.approx(1 / 500, rel=0.5)
    assert len(calls) <= 6


def test_estimate_counts_every_extraction(trial, slow_extractor):
    held_out = evaluator_for("digits", "cpu").protocol.fake
    few, many = (
        estimate_trial_seconds(replace(trial, points=points), METRICS, "ganbench")
        for points in (2, 102)
    )
    assert many - few == pytest.approx(100 * held_out / 1000, rel=0.5)
    assert few > 4 * held_out / 1000  # two points, last and best


def test_untrained_trial_has_no_curve(trial, slow_extractor):
    start = replace(trial, budget=Budget("images", 0), points=1000)
    held_out = evaluator_for("digits", "cpu").protocol.fake
    assert 2 < estimate_trial_seconds(start, METRICS, "ganbench") / (held_out / 1000) < 5


def test_one_trial_is_not_shared_among_workers(trial, slow_extractor):
    alone, shared = (estimate_seconds([trial], workers, METRICS) for workers in (1, 64))
    assert shared == pytest.approx(alone, rel=0.5)


@pytest.mark.parametrize(
    ("sides", "factor"), [((600, 1200, 64), 1), ((10_000, 10_000, 2048), 4.68)]
)
def test_large_sets_are_timed_smaller(sides, factor):
    assert choose_shrinkage(*sides) == pytest.approx(factor, abs=0.01)
