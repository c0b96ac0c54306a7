"""Detection: what was planted is found with its step, and what noise makes is not."""

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


def looks(values, name="fake_score") -> list[dict[str, float]]:
    """The rows of a curve: looks at even distances."""
    return [{"step": EVERY * n, name: float(value)} for n, value in enumerate(values, 1)]


def scores(values, name="recall") -> list[dict[str, float]]:
    return [{"step": 100 * n, name: value} for n, value in enumerate(values, 1)]


def collapsed(values, floor=0.8, share=0.25) -> int | None:
    curve = {"scores": scores(values), "floor": {"recall": floor}}
    return detect_flags(curve, {}, share).get("collapse")


# Collapse: below 0.25 * 0.8 = 0.2


def test_a_collapse_begins_with_the_first_of_the_low_scores_at_the_end():
    assert collapsed([0.1, 0.5, 0.6, 0.1, 0.0, 0.1]) == 400
    assert collapsed([0.5, 0.6, 0.6, 0.1]) == 400


def test_what_was_made_good_again_is_no_collapse():
    assert collapsed([0.5, 0.0, 0.0, 0.3]) is None
    assert collapsed([0.0, 0.1, 0.2]) is None  # the share itself is not below it


def test_what_never_learned_is_collapsed_since_the_first_score():
    assert collapsed([0.1, 0.0, 0.1]) == 100


def test_one_of_several_metrics_is_enough_and_the_first_counts():
    both = [{"step": n, "recall": r, "modes": m} for n, r, m in [(1, 1, 9), (2, 1, 1), (3, 0, 1)]]
    curve = {"scores": both, "floor": {"recall": 1.0, "modes": 10.0}}
    assert detect_flags(curve, {}, 0.5) == {"collapse": 2}
    assert detect_flags(curve, {}, 0.05) == {"collapse": 3}


def test_scores_without_the_metric_say_nothing():
    found = scores([0.5, 0.1, 0.1])
    del found[1]["recall"]
    assert detect_flags({"scores": found, "floor": {"recall": 0.8}}, {}, 0.25) == {"collapse": 300}


@pytest.mark.parametrize("curve", [{}, {"losses": [], "scores": []}, {"scores": scores([0.0])}])
def test_a_curve_that_holds_nothing_or_no_floor_has_no_flags(curve):
    assert detect_flags(curve, {"outcome": "done"}, 0.25) == {}


# A discriminator that has won


def test_a_discriminator_has_won_since_it_told_apart_nearly_all_pairs_to_the_end():
    told = [0.7, 0.999, 0.9, *[0.995] * 7]
    assert detect_discriminator_dominance(looks(told, "told_apart")) == 4 * EVERY
    assert detect_discriminator_dominance(looks([1.0] * 10, "told_apart")) == EVERY
    assert detect_discriminator_dominance(looks([*told, 0.98], "told_apart")) is None


@pytest.mark.parametrize("count", [4, 10, 30, 100, 400])
def test_it_has_won_only_if_it_did_for_a_share_of_the_training_and_some_looks(count):
    least = max(3, math.ceil(MIN_LASTING_SHARE * count))
    told = np.full(count, MIN_DOMINANT_ACCURACY - 0.01)
    told[-least:] = MIN_DOMINANT_ACCURACY
    assert detect_discriminator_dominance(looks(told, "told_apart")) == (count - least + 1) * EVERY
    told[-least] = MIN_DOMINANT_ACCURACY - 0.01
    assert detect_discriminator_dominance(looks(told, "told_apart")) is None


def test_a_look_of_a_few_pairs_is_judged_with_its_neighbours():
    """One of 4 pairs missed in a look of one step is 0.75 there, and 0.995 over fifty steps."""
    even = looks([0.8, *[1.0] * 9], "told_apart")
    short = {"step": 301, "told_apart": 0.75}
    assert detect_discriminator_dominance([*even[:6], short, *even[6:]]) == 2 * EVERY


# Cycles


def red(random, count: int, memory: float) -> np.ndarray:
    """AR(1) noise that has forgotten its beginning."""
    return signal.lfilter([1], [1, -memory], random.normal(size=count + 300))[300:]


def noises(random, count: int):
    """A series of each kind in which nothing cycles."""
    time, size = np.linspace(0, 1, count), random.uniform(3, 30)
    for memory in (0, 0.5, 0.8, 0.9, 0.95):
        yield f"AR({memory})", red(random, count, memory)
    white, place = random.normal(size=count), random.uniform(0.1, 0.9)
    yield "trend", size * time + white
    yield "step", size * (time > place) + white
    yield "decay", size * np.exp(-time * random.uniform(2, 20)) + white
    yield "hump", size * np.exp(-(((time - place) / random.uniform(0.03, 0.3)) ** 2)) + white
    yield "decay of AR(0.8)", size * np.exp(-10 * time) + red(random, count, 0.8)


@pytest.mark.parametrize(("count", "draws"), [(20, 60), (40, 60), (100, 60), (300, 30), (1000, 10)])
def test_noise_and_trends_have_a_cycle_in_one_series_of_a_hundred_at_most(count, draws):
    """In 2,000 draws a kind it was 0.25 % of all, and 1.0 % of AR(0.9) with 200 looks, the most."""
    random = np.random.default_rng(count)
    found = [
        (kind, detect_oscillation(looks(series)))
        for _ in range(draws)
        for kind, series in noises(random, count)
    ]
    assert sum(step is not None for _, step in found) <= 0.01 * len(found)


def sine(count: int, periods: float, seed: int, since=0.0) -> np.ndarray:
    """A sine of twice the noise's deviation, from a share of the training on."""
    random, time = np.random.default_rng(seed), np.arange(count) / count
    wave = 2 * np.sin(2 * np.pi * (periods * time + random.uniform()))
    return np.where(time >= since, wave, 0) + random.normal(size=count)


@pytest.mark.parametrize(
    ("count", "periods", "least"),
    [(20, 5, 0.6), (30, 4, 0.9), (50, 4, 0.97), (100, 25, 0.97), (1000, 4.5, 0.97)],
)
def test_a_noisy_sine_of_a_few_periods_is_found_from_its_beginning(count, periods, least):
    found = [detect_oscillation(looks(sine(count, periods, seed))) for seed in range(40)]
    steps = [step for step in found if step is not None]
    assert len(steps) >= least * len(found)
    assert np.median(steps) <= 0.15 * count * EVERY


@pytest.mark.parametrize("since", [0.25, 0.5])
def test_a_cycle_that_begins_late_is_found_where_it_begins(since):
    found = [detect_oscillation(looks(sine(200, 10, seed, since))) for seed in range(20)]
    assert None not in found
    assert np.array(found) / (200 * EVERY) == pytest.approx(since, abs=0.06)


def test_the_step_is_that_of_the_first_look_that_cycles():
    quiet = 0.01 * np.random.default_rng(0).normal(size=200)
    quiet[80:] += np.cos(0.7 * np.arange(120))
    assert detect_oscillation(looks(quiet)) == 81 * EVERY


@pytest.mark.parametrize("trend", [30 * np.exp(-np.arange(100) / 3), 0.3 * np.arange(100)])
def test_a_cycle_on_a_trend_or_behind_the_first_fall_is_found(trend):
    found = [detect_oscillation(looks(sine(100, 8, seed) + trend)) for seed in range(20)]
    assert sum(step is not None for step in found) >= 19


@pytest.mark.parametrize("left", [np.exp(-6 * np.arange(200) / 200), np.arange(200) < 120])
def test_a_cycle_that_dies_out_is_a_training_that_settles(left):
    for seed in range(20):
        noise = red(np.random.default_rng(seed), 200, 0)
        assert detect_oscillation(looks(left * sine(200, 10, seed) + 0.5 * noise)) is None


def test_a_cycle_that_noise_hides_from_the_eye_is_none():
    """A long series shows it, with 40 times the noise's power, but it is 7 % of the variance."""
    faint = 0.4 * np.sin(np.arange(1000) / 8)
    found = [
        detect_oscillation(looks(faint + red(np.random.default_rng(s), 1000, 0))) for s in range(20)
    ]
    assert found == [None] * 20


def test_a_cycle_without_noise_is_found_and_a_line_is_none():
    time = np.arange(60)
    assert detect_oscillation(looks(np.sin(time))) <= 7 * EVERY  # within its first period
    for still in (0 * time, 0 * time + 3.7, 1e6 + 0.1 * time):
        assert detect_oscillation(looks(still)) is None


def test_of_few_looks_nothing_is_said():
    assert detect_oscillation(looks(np.sin(1.5 * np.arange(MIN_SERIES_LENGTH)))) is not None
    assert detect_oscillation(looks(np.sin(1.5 * np.arange(MIN_SERIES_LENGTH - 1)))) is None


def test_looks_between_the_even_ones_change_nothing():
    """A score reads the terms in the middle of a look: its two parts have the look's mean."""
    even = looks(sine(60, 6, 0))
    parts = ((-20, 2.0), (0, -3.0))  # 30 steps 2 above the mean, 20 steps 3 below it
    parted = [
        {"step": row["step"] + at, "fake_score": row["fake_score"] + change}
        for number, row in enumerate(even)
        for at, change in (parts if number % 3 else [(0, 0.0)])
    ]
    assert len(parted) == 100
    assert detect_oscillation(parted) == detect_oscillation(even) is not None


def test_the_scale_of_a_loss_does_not_matter():
    series = sine(60, 6, 0)
    found = {detect_oscillation(looks(factor * series + shift)) for factor, shift in
             ((1, 0), (1e-6, 0), (1e20, 0), (-1, 5))}  # fmt: skip
    assert len(found) == 1
    assert None not in found


# Real trainings in which something was planted


class Forgetful(Trick):
    """From a step on the generator does not read its latents: it makes one point."""

    def __init__(self, step: int):
        super().__init__()
        self.step = step

    @torch.no_grad()
    def after_generator_step(self, task, pairs):
        if self.context.step >= self.step:
            next(task.generators.parameters()).zero_()


class Broken(Trick):
    """From a step on one of the discriminator's terms is no number."""

    def __init__(self, step: int):
        super().__init__()
        self.step = step

    def discriminator_terms(self, pair):
        lost = self.context.step >= self.step
        yield "broken", pair.fake_score.mean() * (math.nan if lost else 0)


@pytest.fixture
def planted(monkeypatch, tmp_path):
    """Trains one arm on a wide ring; its rows, and the trial's folder."""
    ours = {"forgetful": "test_detection:Forgetful", "broken": "test_detection:Broken"}
    offered = {"ganbench.tricks": ours}
    monkeypatch.setattr("ganbench.registry.entry_points_of", lambda group: offered.get(group, {}))

    def train(*tricks, turns, points=10, loss="non_saturating", **plan):
        content = dict(
            schema=1, name="planted", data=["ring(std=0.2)"], metrics=["fid"], seeds=1,
            points=points, analysis=dict(collapse=0.5),
            grid=[dict(variants=["gan(width=16)"], losses=[loss], plan=plan or dict(lr=2e-3),
                       tricks=dict(chains=[list(tricks)]))],
            budget=dict(cpu=dict(generator_turns=turns)),
        )  # fmt: skip
        suite = Suite.model_validate(content)
        found = plan_trials(suite, "cpu", "cpu")
        (arm,) = [item.trial for item in found if item.role == "trial"]
        run_trial(arm, Store(tmp_path), ("fid",), lambda: False)
        made = collect_rows(plan_record(suite, "cpu", "cpu", found), Store(tmp_path))
        return made[made["role"] == "trial"], Store(tmp_path).trial_folder(arm.id)

    return train


def told(made: pd.DataFrame) -> dict[str, int]:
    """The flags of the one trial, which all its rows have."""
    (found,) = {tuple(flags_of(row).items()) for row in made.itertuples()}
    return dict(found)


def test_a_healthy_training_has_no_flags(planted):
    made, folder = planted("r1(weight=0.1)", turns=1000)
    assert len(read_json(folder.curve_path)["losses"]) >= MIN_SERIES_LENGTH
    assert (set(made["outcome"]), told(made)) == ({"done"}, {})


def test_a_planted_collapse_is_found_at_the_first_score_after_it(planted):
    made, folder = planted("r1(weight=0.1)", "forgetful(step=350)", turns=500, points=5)
    assert set(made["outcome"]) == {"done"}
    assert told(made)["collapse"] == 400
    modes = [point["modes"] for point in read_json(folder.curve_path)["scores"]]
    assert min(modes[1:3]) >= 4 > 1 >= max(modes[3:])


def test_a_planted_nan_is_found_at_its_step(planted):
    made, folder = planted("broken(step=130)", turns=400)
    assert told(made) == {"diverged": 130}
    assert read_json(folder.result_path)["reason"].startswith("step 130: ")


def test_a_rate_that_is_far_too_high_diverges_at_the_step_that_the_reason_tells(planted):
    made, folder = planted(turns=400, loss="wasserstein", lr=1e30)
    assert set(made["outcome"]) == {"diverged"}
    step = told(made)["diverged"]
    assert step < 10
    assert read_json(folder.result_path)["reason"].startswith(f"step {step}: ")


def test_a_discriminator_whose_generator_stands_still_has_won(planted):
    made, _ = planted(turns=400, points=2, generator_lr=1e-12, discriminator_lr=2e-3)
    found = told(made)
    assert EVERY <= found["won"] <= 4 * EVERY
    assert found["collapse"] == 200  # the first score: it never learned
