"""Adaptive seeds by the command line: rounds, interruption, resumption, budget, forecast."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from executor_runs import wait_until
from helpers import held_by_another_process

from ganbench.experiments.merge_stores import merge_source
from ganbench.experiments.store import Store
from ganbench.files import read_json, write_json

SUITE = """
schema = 1
name = "tiny"
data = ["ring"]
metrics = ["fid"]
points = 1
[seeds]
rounds = [2, 3, 4]
chance = 0
[[grid]]
variants = ["gan2d(width=8)"]
[grid.tricks]
chains = [[], ["ema(decay=0.9)"], ["instance_noise"]]
[budget.cpu]
images = 640
"""
FIXED = SUITE.replace("[seeds]\nrounds = [2, 3, 4]\nchance = 0\n", "seeds = 2\n")
FAILING_TRICK = """
from ganbench.extend import Trick


class Fails(Trick):
    def generator_terms(self, batch):
        if self.context.step:  # a run refuses a trick whose first step fails
            raise RuntimeError("it fails")
        return ()
"""
PROGRAM = Path(sys.executable).parent / "ganbench"
OPTIONS = ("--device", "cpu", "--workers", "0")


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    path = tmp_path_factory.mktemp("suite") / "tiny.toml"
    path.write_text(SUITE)
    return path


@pytest.fixture(scope="module")
def whole(suite, tmp_path_factory):
    """The results of an uninterrupted run without workers, and its output."""
    results = tmp_path_factory.mktemp("whole")
    command = [sys.executable, "-m", "ganbench", "run", suite, "--results", results, *OPTIONS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    return results, done.stdout


def outcomes(results):
    """Returns the looks, the trials and their values, which do not depend on interruptions."""
    plan = read_json(results / "tiny" / "plan.json")
    rows = pd.read_parquet(results / "tiny" / "results.parquet")
    values = rows[rows["kind"].eq("quality")].dropna(subset=["trial"])
    keys = ["trial", "checkpoint", "metric", "value"]
    return (
        plan["adaptive"],
        sorted(item["trial"] for item in plan["trials"]),
        values[keys].sort_values(keys).reset_index(drop=True).to_dict(),
    )


def seeds_by_tricks(results):
    trials = read_json(results / "tiny" / "plan.json")["trials"]
    arms = pd.DataFrame([item for item in trials if item["role"] == "trial"])
    return arms.groupby("tricks")["seed"].nunique().to_dict()


def test_decided_arms_get_no_more_seeds(whole):
    results, output = whole
    looks, _, _ = outcomes(results)
    states = {effect["tricks"]: effect for effect in looks["effects"]}
    assert looks["over"]
    assert states["instance_noise"] == {
        "tricks": "instance_noise",
        "seeds": 2,
        "state": "equivalent",
    }
    assert states["ema(decay=0.9)"]["seeds"] > 2
    seeds = seeds_by_tricks(results)
    assert seeds["instance_noise"] == 2
    assert seeds["none"] == seeds["ema(decay=0.9)"] == states["ema(decay=0.9)"]["seeds"]
    assert "look 1 of 3, after 2 seeds: 1 effect decided, 1 gets more seeds." in output


def test_report_repeats_the_decisions_of_the_looks(whole):
    results, _ = whole
    looks, _, _ = outcomes(results)
    table = pd.read_parquet(results / "tiny" / "tables" / "effects.parquet")
    pooled = table[table[["variant", "loss", "data"]].eq("").all(axis=1)].set_index("tricks")
    for effect in looks["effects"]:
        assert pooled.loc[effect["tricks"], "verdict"] == effect["state"]
        assert pooled.loc[effect["tricks"], "pairs"] == effect["seeds"]


def test_interrupted_run_takes_the_same_rounds(ganbench, suite, whole, tmp_path):
    command = ("run", suite, "--results", tmp_path / "r", *OPTIONS)
    assert ganbench(*command, "--limit", 9)[0] == 0  # one trial of the second round
    assert read_json(tmp_path / "r" / "tiny" / "plan.json")["adaptive"]["taken"] == 1
    assert ganbench(*command)[0] == 0
    assert outcomes(tmp_path / "r") == outcomes(whole[0])


def test_trial_of_a_later_round_is_trained_alone(ganbench, suite, whole, tmp_path):
    trials = read_json(whole[0] / "tiny" / "plan.json")["trials"]
    last = next(item for item in trials if item["seed"] == 2 and item["role"] == "trial")
    command = ("run", suite, "--only", last["trial"], "--results", tmp_path / "r", *OPTIONS)
    code, _, error = ganbench(*command)
    assert code == 2
    assert "seeds after the first 2 are not planned yet" in error
    assert "in another --results, --seeds 4 plans all seeds" in error
    assert (
        "seeds" not in ganbench("run", suite, "--only", "emma", "--results", tmp_path, *OPTIONS)[2]
    )
    assert ganbench(*command, "--seeds", 4)[0] == 0
    rows = [
        pd.read_parquet(place / "tiny" / "results.parquet") for place in (whole[0], tmp_path / "r")
    ]
    values = [
        own[own["trial"].eq(last["trial"][:16]) & own["kind"].eq("quality")]["value"].tolist()
        for own in rows
    ]
    assert values[0] == values[1] != []


@pytest.mark.slow
def test_killed_workers_take_the_same_rounds(suite, whole, tmp_path):
    command = [PROGRAM, "run", suite, "--results", tmp_path, "--device", "cpu", "--workers", "1"]
    trials = read_json(whole[0] / "tiny" / "plan.json")["trials"]
    held = next(item["trial"] for item in trials if item["seed"] == 1)  # of the first round
    with held_by_another_process(Store(tmp_path).trial_folder(held).folder):  # it cannot be done
        runner = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        wait_until(lambda: len(list(tmp_path.glob("trials/*/*/result.json"))) >= 3)
        runner.send_signal(signal.SIGINT)
        assert runner.wait(200) == 130
    assert len(list(tmp_path.glob("trials/*/*/result.json"))) < 8  # of the first round
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    assert outcomes(tmp_path) == outcomes(whole[0])


@pytest.mark.parametrize(
    ("budget", "seeds"), [("hours=1e-6", 2), ("trainings=7", 2), ("trainings=8", 3)]
)
def test_budget_ends_seeds(ganbench, suite, whole, budget, seeds):
    """The first round has 6 trainings, and each later one of the undecided trick 2 more."""
    options = ("--no-estimate", "--json", "--results", whole[0], "-o", f"seeds.{budget}")
    content = json.loads(ganbench("plan", suite, *options)[1])
    record = content["adaptive"]
    effects = {effect["tricks"]: effect for effect in record["effects"]}
    assert record["over"]
    assert record["taken"] == seeds - 1
    assert effects["instance_noise"]["state"] == "equivalent"
    assert effects["ema(decay=0.9)"]["state"] == "budget"
    assert effects["ema(decay=0.9)"]["seeds"] == seeds
    assert content["trials"] == 2 * seeds + 2 + 2  # with instance noise and untrained references


def test_merged_stores_keep_the_later_look(suite, whole, tmp_path):
    early, late = tmp_path / "early", tmp_path / "late"
    for results in (early, late):
        shutil.copytree(whole[0], results)
    plan = read_json(whole[0] / "tiny" / "plan.json")
    first = [item for item in plan["trials"] if item["seed"] < 2]
    looks = {**plan["adaptive"], "taken": 0, "over": False}
    write_json(early / "tiny" / "plan.json", {**plan, "trials": first, "adaptive": looks})
    assert merge_source(late, early).differences == []
    assert read_json(early / "tiny" / "plan.json")["adaptive"] == plan["adaptive"]
    other = {**plan, "adaptive": {**plan["adaptive"], "rounds": [2, 5]}}
    write_json(early / "tiny" / "plan.json", other)
    (difference,) = merge_source(late, early).differences
    assert "adaptive.rounds" in difference


@pytest.mark.slow
def test_failed_trial_holds_up_the_look(ganbench, tmp_path):
    suite = tmp_path / "tiny.toml"
    suite.write_text(SUITE)
    (tmp_path / "own.py").write_text(FAILING_TRICK)
    tricks = "grid.0.tricks.chains=[[],['own.py:Fails']]"
    options = ("--trust", "-o", tricks, "-o", "budget.cpu.images=256", *OPTIONS)
    command = ("run", suite, "--results", tmp_path / "r", *options)
    code, output, _ = ganbench(*command)
    assert code == 4
    assert "The round of 2 seeds has unfinished trials" in output
    record = read_json(tmp_path / "r" / "tiny" / "plan.json")["adaptive"]
    assert (record["taken"], record["over"]) == (0, False)


@pytest.mark.slow
def test_results_of_other_code_are_trained_again(ganbench, suite, whole, tmp_path):
    results = tmp_path / "r"
    shutil.copytree(whole[0], results)
    give_results_other_code(results)
    command = ("run", suite, "--results", results, *OPTIONS)
    code, _, errors = ganbench(*command)
    assert code == 2
    assert "trained by other code" in errors
    assert ganbench(*command, "--stale", "rerun")[0] == 0
    assert outcomes(results) == outcomes(whole[0])


def give_results_other_code(results):
    for path in results.glob("trials/*/*/result.json"):
        content = read_json(path)
        write_json(path, {**content, "provenance": {**content["provenance"], "code": "other"}})


def test_selected_run_deletes_no_result_of_other_trials(ganbench, suite, whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "r")
    last = read_json(whole[0] / "tiny" / "plan.json")["trials"][-1]["trial"]
    shutil.rmtree(Store(tmp_path / "r").trial_folder(last).folder)  # the last round is not done
    give_results_other_code(tmp_path / "r")
    before = set(tmp_path.glob("r/trials/*/*/result.json"))
    options = ("--results", tmp_path / "r", "--stale", "rerun", "--limit", 1, *OPTIONS)
    assert ganbench("run", suite, *options)[0] == 0
    assert set(tmp_path.glob("r/trials/*/*/result.json")) >= before


def test_budget_below_the_first_round_is_refused(ganbench, suite, tmp_path):
    code, _, errors = ganbench("plan", suite, "-o", "seeds.trainings=5", "--no-estimate")
    assert code == 2
    assert "3 arms with 2 seeds are 6 trainings" in errors


def test_plan_forecasts_trainings_and_detectable_effects(ganbench, suite, tmp_path):
    code, output, _ = ganbench("plan", suite, "--no-estimate", "--json", "--results", tmp_path)
    assert code == 0
    forecast = json.loads(output)["adaptive"]["forecast"]
    assert [entry["trainings"] for entry in forecast] == [6, 9, 12]
    sizes = [entry["detectable"][0] for entry in forecast]
    assert sizes == sorted(sizes, reverse=True)
    text = ganbench("plan", suite, "--no-estimate", "--results", tmp_path)[1]
    assert "adaptive seeds: 6 to 12 trainings" in text


def test_number_of_seeds_replaces_adaptive_ones(ganbench, suite, tmp_path):
    output = ganbench("plan", suite, "--seeds", 5, "--no-estimate", "--json")[1]
    content = json.loads(output)
    assert content["seeds"] == [0, 1, 2, 3, 4]
    assert "adaptive" not in content


def test_fixed_suite_has_the_same_trials_as_the_first_round(ganbench, suite, whole, tmp_path):
    fixed = tmp_path / "tiny.toml"
    fixed.write_text(FIXED)
    ganbench("run", fixed, "--results", tmp_path / "r", *OPTIONS, "--limit", 1)
    plan = read_json(tmp_path / "r" / "tiny" / "plan.json")
    assert "adaptive" not in plan
    assert {t["trial"] for t in plan["trials"]} < {
        t["trial"] for t in read_json(whole[0] / "tiny" / "plan.json")["trials"]
    }


def test_suite_without_an_applicable_trick_ends_after_a_round(ganbench, tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(
        SUITE.replace('"instance_noise"', '"diffaugment"').replace('["ema(decay=0.9)"], ', "")
    )
    code, out, err = ganbench("plan", path, "--json")
    assert code == 0, err
    assert all(entry["detectable"] == [] for entry in json.loads(out)["adaptive"]["forecast"])
    code, _, err = ganbench("run", path, "--results", tmp_path, *OPTIONS)
    assert code == 0, err
    assert "unfinished trials" not in err
    assert read_json(tmp_path / "tiny" / "plan.json")["adaptive"]["over"]
