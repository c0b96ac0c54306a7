"""Detection of collapse, dominance, oscillation and divergence: finds faults, not noise."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import signal

from ganbench.analysis.detection import (
    MIN_DOMINANT_ACCURACY,
    MIN_LASTING_SHARE,
    MIN_SERIES_LENGTH,
    detect_discriminator_dominance,
    detect_flags,
    detect_oscillation,
)
from ganbench.analysis.rows import collect_rows, flags_of
from ganbench.experiments.plan import plan_record, plan_trials
from ganbench.experiments.run_trial import run_trial
from ganbench.experiments.store import Store
from ganbench.experiments.suite import Suite
from ganbench.files import read_json
from ganbench.gan.tricks.base import Trick

EVERY = 50


def loss_rows(values, name="fake_score") -> list[dict[str, float]]:
    """Rows of a loss curve at even distances."""
    return [{"step": EVERY * n, name: float(value)} for n, value in enumerate(values, 1)]


def score_rows(values, name="recall") -> list[dict[str, float]]:
    return [{"step": 100 * n, name: value} for n, value in enumerate(values, 1)]


def collapse_step(values, floor=0.8, share=0.25) -> int | None:
    curve = {"scores": score_rows(values), "floor": {"recall": floor}}
    return detect_flags(curve, {}, share).get("collapse")


# Collapse: below 0.25 * 0.8 = 0.2


def test_collapse_begins_with_last_low_scores():
    assert collapse_step([0.1, 0.5, 0.6, 0.1, 0.0, 0.1]) == 400
    assert collapse_step([0.5, 0.6, 0.6, 0.1]) == 400


def test_recovered_training_is_not_collapsed():
    assert collapse_step([0.5, 0.0, 0.0, 0.3]) is None
    assert collapse_step([0.0, 0.1, 0.2]) is None  # the share itself is not below it


def test_untrained_generator_collapses_at_first_score():
    assert collapse_step([0.1, 0.0, 0.1]) == 100


def test_first_collapsed_metric_sets_the_step():
    both = [{"step": n, "recall": r, "modes": m} for n, r, m in [(1, 1, 9), (2, 1, 1), (3, 0, 1)]]
    curve = {"scores": both, "floor": {"recall": 1.0, "modes": 10.0}}
    assert detect_flags(curve, {}, 0.5) == {"collapse": 2}
    assert detect_flags(curve, {}, 0.05) == {"collapse": 3}


def test_scores_without_the_metric_are_skipped():
    rows = score_rows([0.5, 0.1, 0.1])
    del rows[1]["recall"]
    assert detect_flags({"scores": rows, "floor": {"recall": 0.8}}, {}, 0.25) == {"collapse": 300}


@pytest.mark.parametrize("curve", [{}, {"losses": [], "scores": []}, {"scores": score_rows([0.0])}])
def test_incomplete_curve_has_no_flags(curve):
    assert detect_flags(curve, {"outcome": "done"}, 0.25) == {}


# A dominant discriminator


def test_dominance_lasts_to_the_end():
    accuracy = [0.7, 0.999, 0.9, *[0.995] * 7]
    assert detect_discriminator_dominance(loss_rows(accuracy, "told_apart")) == 4 * EVERY
    assert detect_discriminator_dominance(loss_rows([1.0] * 10, "told_apart")) == EVERY
    assert detect_discriminator_dominance(loss_rows([*accuracy, 0.98], "told_apart")) is None


@pytest.mark.parametrize("count", [4, 10, 30, 100, 400])
def test_dominance_needs_a_share_of_training(count):
    least = max(3, math.ceil(MIN_LASTING_SHARE * count))
    accuracy = np.full(count, MIN_DOMINANT_ACCURACY - 0.01)
    accuracy[-least:] = MIN_DOMINANT_ACCURACY
    assert (
        detect_discriminator_dominance(loss_rows(accuracy, "told_apart"))
        == (count - least + 1) * EVERY
    )
    accuracy[-least] = MIN_DOMINANT_ACCURACY - 0.01
    assert detect_discriminator_dominance(loss_rows(accuracy, "told_apart")) is None


def test_short_interval_is_averaged_with_neighbours():
    """A row of one step with 3 of 4 pairs correct is 0.75, but 0.995 over fifty steps."""
    even = loss_rows([0.8, *[1.0] * 9], "told_apart")
    short = {"step": 301, "told_apart": 0.75}
    assert detect_discriminator_dominance([*even[:6], short, *even[6:]]) == 2 * EVERY


# Oscillation


def ar1_noise(random, count: int, memory: float) -> np.ndarray:
    """Stationary AR(1) noise."""
    return signal.lfilter([1], [1, -memory], random.normal(size=count + 300))[300:]


def series_without_oscillation(random, count: int):
    """Yields a series of each kind that does not oscillate."""
    time, size = np.linspace(0, 1, count), random.uniform(3, 30)
    for memory in (0, 0.5, 0.8, 0.9, 0.95):
        yield f"AR({memory})", ar1_noise(random, count, memory)
    white, place = random.normal(size=count), random.uniform(0.1, 0.9)
    yield "trend", size * time + white
    yield "step", size * (time > place) + white
    yield "decay", size * np.exp(-time * random.uniform(2, 20)) + white
    yield "hump", size * np.exp(-(((time - place) / random.uniform(0.03, 0.3)) ** 2)) + white
    yield "decay of AR(0.8)", size * np.exp(-10 * time) + ar1_noise(random, count, 0.8)


@pytest.mark.parametrize(("count", "draws"), [(20, 60), (40, 60), (100, 60), (300, 30), (1000, 10)])
def test_noise_and_trends_rarely_oscillate(count, draws):
    """In 2,000 draws of each kind the rate was 0.25 %; at most 1.0 %, for AR(0.9) of 200 rows."""
    random = np.random.default_rng(count)
    steps = [
        (kind, detect_oscillation(loss_rows(series)))
        for _ in range(draws)
        for kind, series in series_without_oscillation(random, count)
    ]
    assert sum(step is not None for _, step in steps) <= 0.01 * len(steps)


def sine(count: int, periods: float, seed: int, since=0.0) -> np.ndarray:
    """A sine of twice the standard deviation of the noise, from the share `since` on."""
    random, time = np.random.default_rng(seed), np.arange(count) / count
    wave = 2 * np.sin(2 * np.pi * (periods * time + random.uniform()))
    return np.where(time >= since, wave, 0) + random.normal(size=count)


@pytest.mark.parametrize(
    ("count", "periods", "least"),
    [(20, 5, 0.6), (30, 4, 0.9), (50, 4, 0.97), (100, 25, 0.97), (1000, 4.5, 0.97)],
)
def test_noisy_sine_oscillates_from_its_beginning(count, periods, least):
    results = [detect_oscillation(loss_rows(sine(count, periods, seed))) for seed in range(40)]
    steps = [step for step in results if step is not None]
    assert len(steps) >= least * len(results)
    assert np.median(steps) <= 0.15 * count * EVERY


@pytest.mark.parametrize("since", [0.25, 0.5])
def test_late_oscillation_is_found_at_its_beginning(since):
    steps = [detect_oscillation(loss_rows(sine(200, 10, seed, since))) for seed in range(20)]
    assert None not in steps
    assert np.array(steps) / (200 * EVERY) == pytest.approx(since, abs=0.06)


def test_oscillation_step_is_its_first_step():
    quiet = 0.01 * np.random.default_rng(0).normal(size=200)
    quiet[80:] += np.cos(0.7 * np.arange(120))
    assert detect_oscillation(loss_rows(quiet)) == 81 * EVERY


@pytest.mark.parametrize("trend", [30 * np.exp(-np.arange(100) / 3), 0.3 * np.arange(100)])
def test_oscillation_on_a_trend_is_found(trend):
    steps = [detect_oscillation(loss_rows(sine(100, 8, seed) + trend)) for seed in range(20)]
    assert sum(step is not None for step in steps) >= 19


@pytest.mark.parametrize("envelope", [np.exp(-6 * np.arange(200) / 200), np.arange(200) < 120])
def test_damped_oscillation_is_not_flagged(envelope):
    for seed in range(20):
        noise = ar1_noise(np.random.default_rng(seed), 200, 0)
        assert detect_oscillation(loss_rows(envelope * sine(200, 10, seed) + 0.5 * noise)) is None


def test_faint_oscillation_is_not_flagged():
    """The peak has 40 times the noise's power, but the sine is only 7 % of the variance."""
    faint = 0.4 * np.sin(np.arange(1000) / 8)
    steps = [
        detect_oscillation(loss_rows(faint + ar1_noise(np.random.default_rng(s), 1000, 0)))
        for s in range(20)
    ]
    assert steps == [None] * 20


def test_noiseless_sine_oscillates_and_line_does_not():
    time = np.arange(60)
    assert detect_oscillation(loss_rows(np.sin(time))) <= 7 * EVERY  # within its first period
    for line in (0 * time, 0 * time + 3.7, 1e6 + 0.1 * time):
        assert detect_oscillation(loss_rows(line)) is None


def test_short_series_is_not_flagged():
    assert detect_oscillation(loss_rows(np.sin(1.5 * np.arange(MIN_SERIES_LENGTH)))) is not None
    assert detect_oscillation(loss_rows(np.sin(1.5 * np.arange(MIN_SERIES_LENGTH - 1)))) is None


def test_extra_rows_between_even_rows_change_nothing():
    """A score splits a row of terms in two parts, which together have the mean of the row."""
    even = loss_rows(sine(60, 6, 0))
    parts = ((-20, 2.0), (0, -3.0))  # 30 steps 2 above the mean, 20 steps 3 below it
    split_rows = [
        {"step": row["step"] + at, "fake_score": row["fake_score"] + change}
        for number, row in enumerate(even)
        for at, change in (parts if number % 3 else [(0, 0.0)])
    ]
    assert len(split_rows) == 100
    assert detect_oscillation(split_rows) == detect_oscillation(even) is not None


def test_oscillation_ignores_scale_and_offset():
    series = sine(60, 6, 0)
    steps = {detect_oscillation(loss_rows(factor * series + shift)) for factor, shift in
             ((1, 0), (1e-6, 0), (1e20, 0), (-1, 5))}  # fmt: skip
    assert len(steps) == 1
    assert None not in steps


# Trainings with a planted fault


class Forgetful(Trick):
    """From a given step on, the generator ignores its latents and generates one point."""

    def __init__(self, step: int):
        super().__init__()
        self.step = step

    @torch.no_grad()
    def after_generator_step(self, task, pairs):
        if self.context.step >= self.step:
            next(task.generators.parameters()).zero_()


class Broken(Trick):
    """From a given step on, a loss term of the discriminator is NaN."""

    def __init__(self, step: int):
        super().__init__()
        self.step = step

    def discriminator_terms(self, pair):
        lost = self.context.step >= self.step
        yield "broken", pair.fake_score.mean() * (math.nan if lost else 0)


@pytest.fixture
def train_with_fault(monkeypatch, tmp_path):
    """Trains one arm on a wide ring; returns its rows and the trial's folder."""
    tricks_here = {"forgetful": "test_detection:Forgetful", "broken": "test_detection:Broken"}
    entry_points = {"ganbench.tricks": tricks_here}
    monkeypatch.setattr(
        "ganbench.registry.registry.entry_points_of", lambda group: entry_points.get(group, {})
    )

    def train(*tricks, turns, points=10, loss="non_saturating", **plan):
        content = dict(
            schema=1, name="planted", data=["ring(std=0.2)"], metrics=["fid"], seeds=1,
            points=points, analysis=dict(collapse=0.5),
            grid=[dict(variants=["gan(width=16)"], losses=[loss], plan=plan or dict(lr=2e-3),
                       tricks=dict(chains=[list(tricks)]))],
            budget=dict(cpu=dict(generator_turns=turns)),
        )  # fmt: skip
        suite = Suite.model_validate(content)
        planned = plan_trials(suite, "cpu", "cpu")
        (arm,) = [item.trial for item in planned if item.role == "trial"]
        run_trial(arm, Store(tmp_path), ("fid",), lambda: False)
        rows = collect_rows(plan_record(suite, "cpu", "cpu", planned), Store(tmp_path))
        return rows[rows["role"] == "trial"], Store(tmp_path).trial_folder(arm.id)

    return train


def flags_of_trial(rows: pd.DataFrame) -> dict[str, int]:
    """The flags that all rows of one trial share."""
    (flags,) = {tuple(flags_of(row).items()) for row in rows.itertuples()}
    return dict(flags)


def test_healthy_training_has_no_flags(train_with_fault):
    rows, folder = train_with_fault("r1(weight=0.1)", turns=1000)
    assert len(read_json(folder.curve_path)["losses"]) >= MIN_SERIES_LENGTH
    assert (set(rows["outcome"]), flags_of_trial(rows)) == ({"done"}, {})


def test_planted_collapse_is_found_at_next_score(train_with_fault):
    rows, folder = train_with_fault("r1(weight=0.1)", "forgetful(step=350)", turns=500, points=5)
    assert set(rows["outcome"]) == {"done"}
    assert flags_of_trial(rows)["collapse"] == 400
    modes = [point["modes"] for point in read_json(folder.curve_path)["scores"]]
    assert min(modes[1:3]) >= 4 > 1 >= max(modes[3:])


def test_planted_nan_is_found_at_its_step(train_with_fault):
    rows, folder = train_with_fault("broken(step=130)", turns=400)
    assert flags_of_trial(rows) == {"diverged": 130}
    assert read_json(folder.result_path)["reason"].startswith("step 130: ")


def test_divergence_step_equals_step_of_reason(train_with_fault, any_learning_rate):
    rows, folder = train_with_fault(turns=400, loss="wasserstein", lr=1e30)
    assert set(rows["outcome"]) == {"diverged"}
    step = flags_of_trial(rows)["diverged"]
    assert step < 10
    assert read_json(folder.result_path)["reason"].startswith(f"step {step}: ")


def test_discriminator_dominates_a_frozen_generator(train_with_fault):
    rows, _ = train_with_fault(turns=400, points=2, generator_lr=1e-12, discriminator_lr=2e-3)
    flags = flags_of_trial(rows)
    assert EVERY <= flags["won"] <= 4 * EVERY
    assert flags["collapse"] == 200  # the first score: it never learned
