"""A run as a whole, through the command line: it resumes, repeats itself bit for bit, and loses nothing."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

import ganbench
from ganbench.evaluation.evaluator import evaluator_for
from ganbench.experiments.plan import plan_trials
from ganbench.experiments.run_trial import run_trial
from ganbench.experiments.session import STEPS_PER_LOG
from ganbench.experiments.store import Store
from ganbench.experiments.suite_loader import load_suite
from ganbench.files import read_json, read_json_lines

PROGRAM = Path(sys.executable).parent / "ganbench"
SUITES = Path(__file__).parents[2] / "suites"
METRICS = ("fid", "recall")

SUITE = """
schema = 1
name = "tiny"
data = ["digits"]
metrics = ["fid", "recall"]
seeds = 2
points = 2
[[grid]]
variants = ["gan(width=16)"]
losses = ["non_saturating", "hinge"]
[grid.tricks]
chains = [[], ["instance_noise", "ema(decay=0.9)"]]
[budget.cpu]
images = 12_800
"""


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    path = tmp_path_factory.mktemp("suite") / "tiny.toml"
    path.write_text(SUITE)
    return path


def command(suite, results, *options, workers=2):
    return [PROGRAM, "run", suite, "--results", results, "--workers", str(workers), *options]


def ran(suite, results, *options, workers=2):
    arguments = [*command(suite, results, *options, workers=workers), "--device", "cpu"]
    return subprocess.run(list(map(str, arguments)), capture_output=True, text=True, timeout=250)


def quality(results, name="tiny"):
    frame = ganbench.load(results / name)
    frame = frame[frame["kind"] == "quality"].drop(columns=["reason"])
    keys = ["role", "trial", "data", "checkpoint", "metric", "seed"]
    return frame.sort_values(keys).reset_index(drop=True)


@pytest.fixture(scope="module")
def unbroken(suite, tmp_path_factory):
    """The results of a run that nothing disturbed, with two workers."""
    results = tmp_path_factory.mktemp("unbroken")
    done = ran(suite, results)
    assert done.returncode == 0, done.stderr
    return results


def results_of(root):
    return sorted(root.glob("trials/*/*/result.json"))


def processes(results):
    """The workers that have begun a trial of this store, and still live."""
    found = set()
    for events in results.glob("trials/*/*/attempts/*/events.jsonl"):
        found |= {event["process"] for event in read_json_lines(events) if "process" in event}
    return {process for process in found if Path(f"/proc/{process}").exists()}


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_a_run_measures_every_cell_and_seed_and_its_references(unbroken):
    frame = quality(unbroken)
    trials = frame[frame["role"] == "trial"]
    assert len(trials) == 2 * 2 * 2 * 2 * len(METRICS)  # losses, chains, seeds, checkpoints
    assert set(frame["outcome"]) == {"done"}
    assert frame["value"].notna().all()
    assert set(frame["role"]) == {"trial", "untrained", "floor"}
    assert frame.loc[frame["role"] == "untrained", "collapsed"].all()
    assert frame.loc[frame["role"] == "floor", "collapsed"].isna().all()
    for name in ("leaderboard.md", "leaderboard.csv", "effects.md", "results.csv"):
        assert (unbroken / "tiny" / name).stat().st_size > 100
    assert list((unbroken / "tiny" / "figures").glob("*.png"))


@pytest.mark.parametrize("workers", [0, 1])
def test_the_number_of_workers_changes_no_number(suite, unbroken, tmp_path, workers):
    assert ran(suite, tmp_path, workers=workers).returncode == 0
    pd.testing.assert_frame_equal(quality(tmp_path), quality(unbroken), check_exact=True)


def test_a_second_run_trains_nothing_again(suite, unbroken):
    before = {path: path.stat().st_mtime_ns for path in results_of(unbroken)}
    done = ran(suite, unbroken, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outcomes"] == {}
    assert {path: path.stat().st_mtime_ns for path in results_of(unbroken)} == before


def test_kill_9_loses_nothing_that_was_finished(suite, unbroken, tmp_path):
    runner = subprocess.Popen(list(map(str, command(suite, tmp_path))), stdout=subprocess.DEVNULL)
    until(lambda: len(results_of(tmp_path)) >= 3)
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    until(lambda: not processes(tmp_path), 20)  # no worker outlives the runner
    finished = {path: path.read_bytes() for path in results_of(tmp_path)}
    assert len(finished) < len(results_of(unbroken))
    assert ran(suite, tmp_path).returncode == 0
    assert all(path.read_bytes() == content for path, content in finished.items())
    pd.testing.assert_frame_equal(quality(tmp_path), quality(unbroken), check_exact=True)


def test_kill_9_in_the_middle_of_a_training_goes_on_from_its_checkpoint(suite, tmp_path):
    one = [
        "--seeds",
        "1",
        "-o",
        "grid.0.losses=['hinge']",
        "-o",
        "grid.0.tricks={chains=[['ema']]}",
    ]
    long = [*one, "-o", "budget.cpu.images=192_000"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert ran(suite, whole, *long, workers=1).returncode == 0
    arguments = list(map(str, command(suite, broken, *long, workers=1)))
    runner = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    until(lambda: list(broken.glob("trials/*/*/checkpoint.pt")))
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    until(lambda: not processes(broken), 20)
    (checkpoint,) = broken.glob("trials/*/*/checkpoint.pt")
    assert not (checkpoint.parent / "result.json").exists()
    assert ran(suite, broken, *long, workers=1).returncode == 0
    (second,) = checkpoint.parent.glob("attempts/002/events.jsonl")
    first_step = next(event["step"] for event in read_json_lines(second) if "step" in event)
    assert first_step > STEPS_PER_LOG  # it did not begin again
    pd.testing.assert_frame_equal(quality(broken), quality(whole), check_exact=True)


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])  # as batch systems do it
def test_ctrl_c_writes_checkpoints_and_says_how_to_go_on(suite, unbroken, tmp_path, asked):
    slow = ["-o", "budget.cpu.images=128_000"]
    arguments = list(map(str, command(suite, tmp_path, *slow)))
    runner = subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell's background job, as CI may be, has Ctrl-C switched off, and so have its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    until(lambda: any('"step"' in p.read_text() for p in tmp_path.glob("trials/*/*/attempts/*/e*")))
    os.killpg(runner.pid, asked)  # as a terminal does it: to the workers too
    _, told = runner.communicate(timeout=60)
    assert runner.returncode == 130, told
    assert "To go on: ganbench run" in told
    assert list(tmp_path.glob("trials/*/*/checkpoint.pt"))
    assert not processes(tmp_path)


def test_two_runs_on_one_store_train_no_trial_twice(suite, unbroken, tmp_path):
    arguments = list(map(str, command(suite, tmp_path, workers=1)))
    runners = [subprocess.Popen(arguments, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [runner.wait(timeout=250) for runner in runners] == [0, 0]
    for trial in tmp_path.glob("trials/*/*"):
        assert len(list(trial.glob("attempts/*"))) == 1
    pd.testing.assert_frame_equal(quality(tmp_path), quality(unbroken), check_exact=True)


def test_a_worker_that_is_killed_costs_one_try_at_one_trial(suite, tmp_path):
    slow = ["-o", "budget.cpu.images=64_000", "-o", "seeds=1", "-o", "grid.0.losses=['hinge']"]
    arguments = list(map(str, command(suite, tmp_path, *slow, workers=1)))
    runner = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    until(lambda: len(results_of(tmp_path)) >= 1 and processes(tmp_path))
    until(lambda: any('"step"' in p.read_text() for p in tmp_path.glob("trials/*/*/attempts/*/e*")))
    (worker,) = processes(tmp_path)
    os.kill(worker, signal.SIGKILL)
    assert runner.wait(timeout=200) == 0
    endings = [read_json(path) for path in tmp_path.glob("trials/*/*/attempts/*/exit.json")]
    assert sorted(e["outcome"] for e in endings).count("done") == len(results_of(tmp_path))


def test_a_trial_beyond_its_limit_fails_and_the_exit_code_says_so(suite, tmp_path):
    endless = ["-o", "budget.cpu.images=100_000_000", "-o", "limits.wall='3 s'", "--seeds", "1"]
    done = ran(suite, tmp_path, *endless, "-o", "grid.0.losses=['hinge']", workers=2)
    assert done.returncode == 4
    frame = quality(tmp_path)
    assert set(frame[frame["role"] == "trial"]["outcome"]) == {"failed"}
    assert "timeout: not done after 3 s" in done.stderr
    reasons = ganbench.load(tmp_path / "tiny")["reason"]
    assert reasons.str.contains("timeout").any()


def test_divergence_is_a_result_and_not_a_failure(suite, tmp_path):
    wild = ["-o", "grid.0.plan={lr=1e30}", "-o", "grid.0.losses=['wasserstein']", "--seeds", "1"]
    done = ran(suite, tmp_path, *wild)
    assert done.returncode == 0, done.stderr
    frame = ganbench.load(tmp_path / "tiny")
    trials = frame[frame["role"] == "trial"]
    assert set(trials["outcome"]) == {"diverged"}
    assert trials["reason"].str.startswith("step ").all()
    assert trials.loc[trials["kind"] == "quality", "value"].isna().all()


def test_a_generator_that_makes_no_numbers_has_diverged(suite, tmp_path):
    wild = ["-o", "grid.0.plan={generator_lr=1e37}", "--seeds", "1", "-o", "budget.cpu.images=640"]
    assert ran(suite, tmp_path, *wild, workers=0).returncode == 0
    frame = ganbench.load(tmp_path / "tiny")
    assert set(frame[frame["role"] == "trial"]["outcome"]) == {"diverged"}


def test_a_report_without_the_store_keeps_what_the_rows_say(unbroken, tmp_path):
    shutil.copytree(unbroken / "tiny", tmp_path / "tiny")
    before = ganbench.load(tmp_path / "tiny")
    told = subprocess.run([PROGRAM, "report", tmp_path / "tiny", "--json"], capture_output=True)
    assert told.returncode == 0
    pd.testing.assert_frame_equal(ganbench.load(tmp_path / "tiny"), before, check_exact=True)
    assert json.loads(told.stdout)["leaderboard"][0]["role"] == "floor"


def test_a_results_folder_that_cannot_be_is_told_in_a_sentence(suite, tmp_path):
    (tmp_path / "file").touch()
    done = ran(suite, tmp_path / "file")
    assert done.returncode == 2
    assert "cannot be written" in done.stderr


def test_results_of_other_code_are_not_mixed_in_silence(suite, unbroken, tmp_path):
    assert ran(suite, tmp_path, "--seeds", "1").returncode == 0
    (changed, *_) = results_of(tmp_path)
    content = json.loads(changed.read_text())
    content["provenance"]["code"] = "0" * 16
    changed.write_text(json.dumps(content))
    asked = ran(suite, tmp_path, "--seeds", "1")
    assert asked.returncode == 2
    assert "--stale reuse" in asked.stderr
    assert ran(suite, tmp_path, "--seeds", "1", "--stale", "reuse").returncode == 0
    assert json.loads(changed.read_text())["provenance"]["code"] == "0" * 16
    assert ran(suite, tmp_path, "--seeds", "1", "--stale", "rerun").returncode == 0
    assert json.loads(changed.read_text())["provenance"]["code"] != "0" * 16


@pytest.mark.parametrize("number", range(1, 4))
def test_an_interrupted_trial_repeats_an_unbroken_one(suite, tmp_path, number):
    """Stopped at every look at the device, and taken up from its checkpoint each time."""
    trial = [p.trial for p in plan_trials(load_suite(suite), "cpu", "cpu")][number]
    whole, broken = Store(tmp_path / "whole"), Store(tmp_path / "broken")
    assert run_trial(trial, whole, METRICS, lambda: False) == "done"
    outcomes = []
    while "done" not in outcomes:
        outcomes.append(run_trial(trial, broken, METRICS, lambda: True))
    assert outcomes.count("interrupted") == 4  # 200 steps, a look every 50
    protocol = evaluator_for(trial.data, "cpu").protocol.id
    first, second = whole.trial_folder(trial.id), broken.trial_folder(trial.id)
    for name in ("last", "best"):
        assert first.generator_path(name).read_bytes() == second.generator_path(name).read_bytes()
        kept = [folder.scores_path(protocol, name).read_bytes() for folder in (first, second)]
        assert kept[0] == kept[1]
    assert read_json(first.curve_path)["losses"] == read_json(second.curve_path)["losses"]


@pytest.mark.parametrize("harm", ["damaged", "made by other code"])
def test_a_checkpoint_that_cannot_be_gone_on_from_begins_the_trial_again(suite, tmp_path, harm):
    trial = plan_trials(load_suite(suite), "cpu", "cpu")[1].trial
    whole, broken = Store(tmp_path / "whole"), Store(tmp_path / "broken")
    assert run_trial(trial, whole, METRICS, lambda: False) == "done"
    assert run_trial(trial, broken, METRICS, lambda: True) == "interrupted"
    checkpoint = broken.trial_folder(trial.id).checkpoint_path
    content = torch.load(checkpoint, weights_only=True)
    content["made_by"]["code"] = "0" * 16
    torch.save(content, checkpoint)
    if harm == "damaged":
        checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    assert run_trial(trial, broken, METRICS, lambda: False) == "done"
    kept = [
        store.trial_folder(trial.id).generator_path("last").read_bytes()
        for store in (whole, broken)
    ]
    assert kept[0] == kept[1]
    losses = [
        read_json(store.trial_folder(trial.id).curve_path)["losses"] for store in (whole, broken)
    ]
    assert losses[0] == losses[1]


def test_new_metrics_are_measured_from_kept_samplers_without_training(suite, tmp_path):
    trial = replace(plan_trials(load_suite(suite), "cpu", "cpu")[1].trial, points=1)
    store = Store(tmp_path)
    run_trial(trial, store, ("fid",), lambda: False)
    result = store.trial_folder(trial.id).result_path
    before = result.stat().st_mtime_ns
    run_trial(trial, store, ("fid", "precision"), lambda: False)
    protocol = evaluator_for(trial.data, "cpu").protocol.id
    found = read_json(store.trial_folder(trial.id).scores_path(protocol, "last"))["metrics"]
    assert set(found) == {"fid", "precision"}
    assert result.stat().st_mtime_ns == before


def test_the_smoke_suite_runs_from_end_to_end(tmp_path):
    done = ran(SUITES / "smoke.toml", tmp_path)
    assert done.returncode == 0, done.stderr
    frame = ganbench.load(tmp_path / "smoke")
    assert set(frame["data"].dropna()) == {"digits", "ring"}
    assert {"done", "not_applicable"} <= set(frame["outcome"].dropna())
    last = frame[(frame["metric"] == "fid") & (frame["checkpoint"] != "best")]
    floor = last[last["role"] == "floor"].set_index("data")["value"]
    for data, part in last[last["role"] == "trial"].groupby("data"):
        assert (part["value"].dropna() > floor[data]).all()
