"""Effects of runs with adaptive seeds: seeds, levels and claims of each look."""

import json
import math

import adaptive_seeds
import numpy as np
import pytest
from scipy import optimize, stats
from synthetic_rows import arms, frame, row

from ganbench.analysis.adaptive_seeds import (
    EffectState,
    LookReplay,
    TrainingBudget,
    arms_of_effects,
)
from ganbench.analysis.effects import effects_by_variant, trick_effects
from ganbench.analysis.looks import Looks
from ganbench.analysis.seed_forecast import describe_rounds, forecast_record, forecast_rounds
from ganbench.experiments.plan import plan_trials
from ganbench.experiments.seed_rounds import SeedRounds, planned_arms
from ganbench.experiments.store import Store
from ganbench.experiments.suite import AdaptiveSeeds, Suite

ROUNDS = [3, 5, 8, 12]


def record(taken, error=0.05, **seeds):
    effects = [{"tricks": name, "seeds": count, "state": "-"} for name, count in seeds.items()]
    settings = AdaptiveSeeds(rounds=ROUNDS, error=error).model_dump()
    return {**settings, "taken": taken, "over": True, "effects": effects}


def suite(seeds="adaptive", **analysis):
    return Suite.model_validate(
        {
            "schema": 1,
            "name": "s",
            "data": ["ring"],
            "metrics": ["fid"],
            "seeds": seeds,
            "grid": [
                {
                    "variants": ["gan2d"],
                    "tricks": {"design": "one_at_a_time", "of": ["ema", "instance_noise"]},
                }
            ],
            "budget": {"cpu": {"images": 640}},
            "analysis": analysis,
        }
    )


def replay(effects, settings, taken=0, **analysis):
    """Makes a replay of looks at effects that all go on."""
    names = [EffectState(name, ROUNDS[0]) for name in effects]
    made = LookReplay(suite(**analysis), "cpu", "cpu", Store("none"), settings)
    made.effects, made.taken = names, taken
    return made


# Intervals


def test_effect_has_the_seeds_and_the_level_of_its_last_look():
    rows = arms({"a": 0.7, "b": 0.9}, seeds=8)
    (effect, other) = trick_effects(frame(*rows, adaptive=record(3, a=5, b=8)))
    assert (effect.seeds, effect.pairs, other.seeds, other.pairs) == (5, 5, 8, 8)
    values = {(r["tricks"], r["seed"]): math.log(r["value"]) for r in rows}
    changes = [values["a", n] - values["none", n] for n in range(5)]
    level = 0.05 * (25 - 9) / 144
    half = stats.t.isf(level / 2 / 2, 4) * stats.sem(changes)
    assert math.log(effect.adjusted_high) == pytest.approx(np.mean(changes) + half)
    assert math.log(effect.high) == pytest.approx(
        np.mean(changes) + stats.t.isf(level / 2, 4) * stats.sem(changes)
    )
    p = stats.ttest_1samp(changes, 0).pvalue
    assert effect.p == pytest.approx(min(1, 2 * p * 0.05 / level))


@pytest.mark.parametrize("error", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("seed", range(4))
def test_verdict_follows_interval_and_p(error, seed):
    tricks = dict(zip("abc", (0.5, 0.8, 0.9), strict=True))
    rows = arms(tricks, seeds=5, cells=(1.0, 2.0), random=seed)
    for effect in trick_effects(frame(*rows, adaptive=record(2, error, a=5, b=5, c=5))):
        excludes = effect.adjusted_low > 1 or effect.adjusted_high < 1
        assert excludes == (effect.p < error)
        assert (effect.verdict in ("helps", "harms")) == excludes


def test_fixed_seeds_have_no_looks():
    assert Looks.of_plan(frame(*arms({"a": 0.7})).attrs["plan"]) is None
    assert [e.seeds for e in trick_effects(frame(*arms({"a": 0.7})))] == [0]


def test_effects_within_variants_have_the_seeds_that_all_arms_have():
    rows = [
        *arms({"a": 0.7}, seeds=8, variant="x"),
        *arms({"a": 0.7}, seeds=8, variant="y"),
    ]
    rows = [r for r in rows if not (r["tricks"] == "a" and r["seed"] >= 5)]
    table = frame(*rows, adaptive=record(3, a=5))
    assert [effect.seeds for effect in effects_by_variant(table)] == [5, 5]


# Looks


def test_looks_of_rows_equal_those_of_the_study():
    """The product estimates from rows, the study from arrays; both take the same decisions."""
    ratios, settings = (0.6, 0.9, 1.0), AdaptiveSeeds(rounds=ROUNDS)
    scenario = adaptive_seeds.Scenario("mixed", ratios, 2)
    differences = scenario.draw(6, 12, np.random.default_rng(1))
    answers = adaptive_seeds.decide_adaptively(differences, tuple(ROUNDS), settings.chance)
    for grid, signs, seeds in zip(differences, answers.signs, answers.seeds, strict=True):
        rows = [
            row(tricks, seed, math.exp(value), variant=f"cell{cell}")
            for cell in range(2)
            for tricks, values in [("none", np.zeros(12)), *zip("abc", grid[:, cell], strict=True)]
            for seed, value in enumerate(values)
        ]
        looks = replay("abc", settings)
        for look in range(4):
            decided = (
                {e.tricks: e for e in looks.decide(look, frame(*rows))} if looks.undecided else {}
            )
            looks.effects = [decided.get(e.tricks, e) for e in looks.effects]
        names = {-1: "helps", 1: "harms"}
        for effect, sign, count in zip(looks.effects, signs, seeds, strict=True):
            assert effect.seeds == count
            assert names.get(int(sign), effect.state) == effect.state


def test_trick_whose_trainings_all_diverge_gets_no_more_seeds():
    rows = [*arms({}, seeds=3), *(row("a", seed) for seed in range(3))]
    (state,) = replay("a", AdaptiveSeeds(rounds=ROUNDS)).decide(0, frame(*rows))
    assert state.state == "no values"


def test_higher_outcome_helps_where_higher_is_better():
    rows = arms({"a": 5.0}, seeds=3, metric="is")
    (state,) = replay("a", AdaptiveSeeds(rounds=ROUNDS)).decide(0, frame(*rows, outcome="is"))
    assert state.state == "helps"


# Seeds of arms


def test_each_arm_has_its_own_seeds():
    first = SeedRounds(2, {}, {})
    plan = [p for p in plan_trials(suite(), "cpu", "cpu", first) if p.role == "trial"]
    arms_of_plan = planned_arms([p.record("ganbench") for p in plan])
    grown = SeedRounds(2, dict(zip(arms_of_plan, (4, 2, 3), strict=True)), {})
    counts = {}
    for item in plan_trials(suite(), "cpu", "cpu", grown):
        name = item.role if item.role == "untrained" else " + ".join(item.trial.tricks)
        counts[name] = counts.get(name, 0) + 1
    assert counts == {"untrained": 2, "": 4, "ema": 2, "instance_noise": 3}
    ids = {p.trial.id for p in plan_trials(suite(4), "cpu", "cpu")}
    assert {p.trial.id for p in plan_trials(suite(), "cpu", "cpu", grown)} < ids


def test_effect_of_a_factorial_design_needs_all_arms():
    rows = arms({"a": 0.9, "b": 0.9, "a + b": 0.8})
    wanted = arms_of_effects(frame(*rows))
    assert {arm[3] for arm in wanted["a"]} == {"none", "a", "b", "a + b"}


def test_budget_covers_trainings_and_hours():
    arm, other = ("d", "v", "l", "a", ""), ("d", "v", "l", "none", "")
    budget = TrainingBudget(5, 1.0, {arm: 0.1, other: 0.3})
    assert not budget.spend({arm: 6})
    assert not budget.spend({other: 4})  # 1.2 hours
    assert budget.spend({arm: 2, other: 2})
    assert budget.hours == pytest.approx(0.2)
    assert not budget.spend({arm: 2})


# Forecast


def test_forecast_detects_with_the_promised_power():
    settings = AdaptiveSeeds(rounds=ROUNDS, trainings=40)
    planned = [row(r["tricks"], r["seed"], None, "done", variant=r["plan"])
               for r in arms({"a": 1, "b": 1}, seeds=3, cells=(1.0, 1.0))]  # fmt: skip
    rounds = forecast_rounds(frame(*planned), settings)
    assert [entry.trainings for entry in rounds] == [18, 30, 48, 72]
    assert [entry.is_covered for entry in rounds] == [True, True, False, False]
    scenario = adaptive_seeds.Scenario("x", (1.0, 1.0), 2, noise=1.0)
    rng = np.random.default_rng(0)
    values = scenario.draw(4000, 12, rng) / np.sqrt(1 - adaptive_seeds.SHARED)
    size = max(rounds[-1].sizes)
    mean, error, freedom = adaptive_seeds.estimate(values + size)
    level = 0.05 * (144 - 64) / 144 / 2
    power = (mean / error > stats.t.isf(level / 2, freedom))[:, 0].mean()
    assert power == pytest.approx(0.8, abs=0.02)


def test_forecast_equals_a_noncentral_t_test_in_one_cell():
    settings = AdaptiveSeeds(rounds=[3, 6])
    planned = [row(name, seed, None, "done") for name in ("none", "a") for seed in range(3)]
    entry = forecast_rounds(frame(*planned), settings)[1]
    bound = stats.t.isf(0.05 * 0.75 / 2, 5)
    size = optimize.brentq(lambda d: stats.nct.sf(bound, 5, d / math.sqrt(2 / 6)) - 0.8, 0.1, 20)
    assert entry.sizes == [pytest.approx(size, rel=1e-6)]


def test_forecast_without_an_arm_without_tricks_promises_nothing():
    settings = AdaptiveSeeds(rounds=[3, 6])
    planned = [row(name, seed, None, "done") for name in ("a + b", "b + c") for seed in range(3)]
    rounds = forecast_rounds(frame(*planned), settings)
    assert [entry.sizes for entry in rounds] == [[], []]
    assert (
        "no effect, because no trick has an arm without it" in describe_rounds(rounds, settings)[1]
    )
    assert json.loads(json.dumps(list(map(forecast_record, rounds)), allow_nan=False))
