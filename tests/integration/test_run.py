"""A run as a whole, by the command line: it resumes, repeats its bits, and loses nothing.

Tests that need no worker process run the program in this process, which saves imports.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from executor_runs import forget_plugins, wait_until, write_fault_plugin
from helpers import held_by_another_process

import ganbench as package
from ganbench.counts import count_of
from ganbench.evaluation.evaluator import evaluator_for
from ganbench.experiments import session
from ganbench.experiments.plan import plan_trials
from ganbench.experiments.run_trial import run_trial
from ganbench.experiments.session import STEPS_PER_LOG
from ganbench.experiments.store import Store
from ganbench.experiments.suite_loader import load_suite
from ganbench.files import read_json, read_json_lines
from ganbench.processor import describe_processor
from ganbench.report.page.provenance import run_versions

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
ONE_TRIAL = (
    *("--seeds", "1", "-o", "grid.0.losses=['hinge']"),
    *("-o", "grid.0.tricks={chains=[['ema']]}"),
)
HELD_TRIAL = (
    *("--seeds", "1", "-o", "grid.0.losses=['hinge']"),
    *("-o", "grid.0.tricks={chains=[[\"fault(kind='hold_with_checkpoint')\"]]}"),
)


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    path = tmp_path_factory.mktemp("suite") / "tiny.toml"
    path.write_text(SUITE)
    return path


def command(suite, results, *options, workers=2):
    options = ("--results", results, "--workers", workers, "--device", "cpu", *options)
    return list(map(str, [PROGRAM, "run", suite, *options]))


@pytest.fixture
def hold(tmp_path_factory, monkeypatch):
    """The folder of the trick `fault`, whose trials wait there for the file `released`."""
    folder = tmp_path_factory.mktemp("plugin")
    write_fault_plugin(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
    monkeypatch.syspath_prepend(folder)
    forget_plugins()
    yield folder
    forget_plugins()


def run_process(suite, results, *options, workers=2):
    arguments = command(suite, results, *options, workers=workers)
    return subprocess.run(arguments, capture_output=True, text=True, timeout=250)


@pytest.fixture
def run_here(ganbench, suite):
    """Runs the suite in this process without workers: code, output, errors."""

    def call(results, *options):
        options = ("--results", results, "--workers", 0, "--device", "cpu", *options)
        return ganbench("run", suite, *options)

    return call


def quality(results, name="tiny"):
    frame = package.load(results / name)
    frame = frame[frame["kind"] == "quality"].drop(columns=["reason"])
    keys = ["role", "trial", "data", "checkpoint", "metric", "seed"]
    return frame.sort_values(keys).reset_index(drop=True)


def assert_same_quality(results, expected):
    pd.testing.assert_frame_equal(quality(results), quality(expected), check_exact=True)


@pytest.fixture(scope="module")
def unbroken(suite, tmp_path_factory):
    """The results of an undisturbed run with two workers."""
    results = tmp_path_factory.mktemp("unbroken")
    done = run_process(suite, results)
    assert done.returncode == 0, done.stderr
    return results


def finished(root):
    return sorted(root.glob("trials/*/*/result.json"))


def live_workers(results):
    """The processes that began a trial of this store and still live."""
    processes = set()
    for events in results.glob("trials/*/*/attempts/*/events.jsonl"):
        processes |= {event["process"] for event in read_json_lines(events) if "process" in event}
    return {process for process in processes if Path(f"/proc/{process}").exists()}


def is_training(results):
    events = results.glob("trials/*/*/attempts/*/events.jsonl")
    return any(event.get("step") for path in events for event in read_json_lines(path))


def kill_run(runner, results):
    """Kills the runner and waits until its workers have ended too."""
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    wait_until(lambda: not live_workers(results))


def test_budget_of_seconds_reaches_the_tables(run_here, tmp_path):
    options = (*ONE_TRIAL, "-o", "budget.cpu={seconds=0.5}", "-o", "points=1")
    code, _, errors = run_here(tmp_path, *options)
    assert code == 0, errors
    assert (quality(tmp_path)["role"] == "trial").any()
    assert "0 trials trained" in run_here(tmp_path, *options)[1]


def test_run_measures_every_cell_seed_and_reference(unbroken):
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


def test_numbers_do_not_depend_on_workers(run_here, unbroken, tmp_path):
    """No workers here, two in `unbroken`, and one below where two runs share a store."""
    assert run_here(tmp_path)[0] == 0
    assert_same_quality(tmp_path, unbroken)


def test_second_run_trains_nothing(run_here, unbroken):
    before = {path: path.stat().st_mtime_ns for path in finished(unbroken)}
    code, out, err = run_here(unbroken, "--json")
    assert code == 0, err
    assert json.loads(out)["outcomes"] == {}
    assert {path: path.stat().st_mtime_ns for path in finished(unbroken)} == before


def test_kill_9_loses_no_finished_trial(suite, run_here, unbroken, tmp_path):
    last = plan_trials(load_suite(suite), "cpu", "cpu")[-1].trial
    with held_by_another_process(Store(tmp_path).trial_folder(last.id).folder):  # it cannot be done
        runner = subprocess.Popen(command(suite, tmp_path), stdout=subprocess.DEVNULL)
        wait_until(lambda: len(finished(tmp_path)) >= 3)
        kill_run(runner, tmp_path)
    contents = {path: path.read_bytes() for path in finished(tmp_path)}
    assert len(contents) < len(finished(unbroken))
    assert run_here(tmp_path)[0] == 0
    assert all(path.read_bytes() == content for path, content in contents.items())
    assert_same_quality(tmp_path, unbroken)


def test_training_resumes_from_its_checkpoint_after_kill_9(suite, run_here, tmp_path, hold):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    runner = subprocess.Popen(
        command(suite, broken, *HELD_TRIAL, workers=1), stdout=subprocess.DEVNULL
    )
    wait_until((hold / "held").exists)
    kill_run(runner, broken)
    (hold / "released").touch()
    (checkpoint,) = broken.glob("trials/*/*/checkpoint.pt")
    assert not (checkpoint.parent / "result.json").exists()
    step = torch.load(checkpoint, weights_only=True)["losses"][-1]["step"]
    assert step >= STEPS_PER_LOG
    assert run_here(broken, *HELD_TRIAL)[0] == 0
    (second,) = checkpoint.parent.glob("attempts/002/events.jsonl")
    steps = [event["step"] for event in read_json_lines(second) if "step" in event]
    assert steps[0] == step  # not from the beginning
    assert run_here(whole, *HELD_TRIAL)[0] == 0
    assert_same_quality(broken, whole)


@pytest.mark.parametrize(  # batch systems send SIGTERM, and terminals that close send SIGHUP
    "sent",
    [signal.SIGINT, signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)],
)
def test_signal_writes_checkpoints_and_names_the_command(suite, tmp_path, sent):
    arguments = command(suite, tmp_path, "-o", "budget.cpu.images=100_000_000", workers=1)
    runner = subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A background job of a shell ignores Ctrl-C, one of nohup SIGHUP, and so do their children.
        preexec_fn=lambda: signal.signal(sent, signal.SIG_DFL),
    )
    wait_until(lambda: is_training(tmp_path))
    os.killpg(runner.pid, sent)  # to the workers too, as a terminal does
    out, err = runner.communicate(timeout=200)
    assert out.count("Press Ctrl-C again") == (sent != signal.SIGHUP)
    assert runner.returncode == 130, err
    assert re.search(r"^Stopped after [01] of \d+ trials?\. To resume: ganbench run", err, re.M)
    assert list(tmp_path.glob("trials/*/*/checkpoint.pt"))
    assert not live_workers(tmp_path)


def test_printed_commands_continue_the_same_experiment(ganbench, tmp_path):
    """Those of `status` and `why` have the options of the run that wrote the plan."""
    (tmp_path / "tiny.toml").write_text(SUITE)
    options = ("--seeds", 1, "-o", "budget.cpu.images=640", "-o", "grid.0.losses=['hinge']")
    more = ("--device", "cpu", "--workers", 0, "--numerics", "dtype=bfloat16", "--limit", 1)
    assert ganbench("run", "tiny.toml", *options, *more)[0] == 0
    planned = read_json(tmp_path / "results/tiny/plan.json")["trials"]
    _, name, *words = shlex.split(json.loads(ganbench("status", "tiny", "--json")[1])["command"])
    assert (name, "--limit" in words) == ("run", False)
    code, out, _ = ganbench(name, *words)
    assert (code, "trained, 1 kept" in out) == (0, True)
    assert read_json(tmp_path / "results/tiny/plan.json")["trials"] == planned
    assert json.loads(ganbench("status", "tiny", "--json")[1])["command"] == ""
    trial = next(item["trial"] for item in planned if item["tricks"] == "none")
    again = json.loads(ganbench("why", "tiny", trial[:16], "--json")[1])["command"]
    assert "1 trial trained, 2 kept" in ganbench(*shlex.split(again)[1:])[1]
    assert read_json(tmp_path / "results/tiny/plan.json")["trials"] == planned


def test_two_runs_on_one_store_share_the_trials(suite, unbroken, tmp_path):
    commands = [command(suite, tmp_path, workers=workers) for workers in (0, 1)]
    runners = [subprocess.Popen(each, stdout=subprocess.DEVNULL) for each in commands]
    assert [runner.wait(timeout=250) for runner in runners] == [0, 0]
    for trial in tmp_path.glob("trials/*/*"):
        assert len(list(trial.glob("attempts/*"))) == 1
    assert_same_quality(tmp_path, unbroken)


@pytest.mark.slow
def test_killed_worker_costs_one_attempt(suite, tmp_path, hold):
    arguments = command(suite, tmp_path, *HELD_TRIAL, workers=1)
    runner = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    wait_until((hold / "held").exists)
    (worker,) = live_workers(tmp_path)
    os.kill(worker, signal.SIGKILL)
    (hold / "released").touch()
    assert runner.wait(timeout=200) == 0
    ends = [read_json(path) for path in tmp_path.glob("trials/*/*/attempts/*/exit.json")]
    outcomes = [end["outcome"] for end in ends]
    assert outcomes.count("done") == len(finished(tmp_path))
    assert outcomes.count("failed") == 1


def test_trial_beyond_its_limit_fails_with_exit_code_4(suite, tmp_path):
    endless = ("-o", "budget.cpu.images=100_000_000", "-o", "limits.wall='3 s'")
    done = run_process(suite, tmp_path, *ONE_TRIAL, *endless, workers=1)
    assert done.returncode == 4
    frame = quality(tmp_path)
    assert set(frame[frame["role"] == "trial"]["outcome"]) == {"failed"}
    assert "timeout: not done after 3 s" in done.stderr
    reasons = package.load(tmp_path / "tiny")["reason"]
    assert reasons.str.contains("timeout").any()


def test_divergence_is_a_result_with_exit_code_0(run_here, tmp_path, any_learning_rate):
    wild = ["-o", "grid.0.plan={lr=1e30}", "-o", "grid.0.losses=['wasserstein']", "--seeds", "1"]
    code, _, err = run_here(tmp_path, *wild)
    assert code == 0, err
    frame = package.load(tmp_path / "tiny")
    trials = frame[frame["role"] == "trial"]
    assert set(trials["outcome"]) == {"diverged"}
    assert trials["reason"].str.startswith("step ").all()
    assert trials.loc[trials["kind"] == "quality", "value"].isna().all()


def test_generator_without_finite_images_has_diverged(run_here, tmp_path, any_learning_rate):
    wild = ["-o", "grid.0.plan={generator_lr=1e37}", "--seeds", "1", "-o", "budget.cpu.images=640"]
    assert run_here(tmp_path, *wild)[0] == 0
    frame = package.load(tmp_path / "tiny")
    assert set(frame[frame["role"] == "trial"]["outcome"]) == {"diverged"}


def test_report_without_store_keeps_the_rows(ganbench, unbroken, tmp_path):
    shutil.copytree(unbroken / "tiny", tmp_path / "tiny")
    before = package.load(tmp_path / "tiny")
    code, out, _ = ganbench("report", tmp_path / "tiny", "--json")
    assert code == 0
    pd.testing.assert_frame_equal(package.load(tmp_path / "tiny"), before, check_exact=True)
    assert json.loads(out)["leaderboard"][0]["role"] == "floor"


def test_results_path_that_is_a_file_is_refused(run_here, tmp_path):
    (tmp_path / "file").touch()
    code, _, err = run_here(tmp_path / "file")
    assert code == 2
    assert "cannot be written" in err


def test_processors_of_trials_stand_in_the_table(run_here, tmp_path):
    assert run_here(tmp_path, *ONE_TRIAL, "-o", "budget.cpu.images=640")[0] == 0
    frame = package.load(tmp_path / "tiny")
    assert set(frame[frame["role"] == "trial"]["processor"]) == {describe_processor()}
    assert torch.backends.cpu.get_cpu_capability() in describe_processor()
    (path, *_) = finished(tmp_path)
    content = json.loads(path.read_text())
    content["provenance"]["gpu"] = "NVIDIA H100"
    path.write_text(json.dumps(content))
    assert run_here(tmp_path, *ONE_TRIAL, "-o", "budget.cpu.images=640")[0] == 0
    frame = package.load(tmp_path / "tiny")
    assert "NVIDIA H100" in run_versions(frame)["processor"]


def test_results_of_other_code_need_a_decision(run_here, tmp_path):
    one = (*ONE_TRIAL, "-o", "budget.cpu.images=640")
    assert run_here(tmp_path, *one)[0] == 0
    (changed, *_) = finished(tmp_path)
    content = json.loads(changed.read_text())
    content["provenance"]["code"] = "0" * 16
    changed.write_text(json.dumps(content))
    code, _, err = run_here(tmp_path, *one)
    assert code == 2
    assert "--stale reuse" in err
    assert run_here(tmp_path, *one, "--stale", "reuse")[0] == 0
    assert json.loads(changed.read_text())["provenance"]["code"] == "0" * 16
    assert run_here(tmp_path, *one, "--stale", "rerun")[0] == 0
    assert json.loads(changed.read_text())["provenance"]["code"] != "0" * 16


def test_rerun_deletes_only_the_results_that_it_trains(run_here, tmp_path):
    one = (*ONE_TRIAL, "-o", "budget.cpu.images=640", "--stale", "rerun")
    assert run_here(tmp_path, *one)[0] == 0
    files = finished(tmp_path)
    for path in files:
        content = json.loads(path.read_text())
        content["provenance"]["code"] = "0" * 16
        path.write_text(json.dumps(content))
    code, _, err = run_here(tmp_path, *one, "--only", "emaa")
    assert code == 2
    assert "has all the words 'emaa'" in err
    assert finished(tmp_path) == files
    code, output, _ = run_here(tmp_path, *one, "--only", "untrained")
    assert code == 0
    kept = [p for p in files if json.loads(p.read_text())["provenance"]["code"] == "0" * 16]
    assert len(kept) == len(files) - 1
    assert f"{count_of(len(kept), 'result')} of other code stay" in output


@pytest.mark.parametrize("number", range(1, 4))
def test_interrupted_trial_gives_the_same_bits(suite, tmp_path, number):
    """Interrupted at every log point, and resumed from its checkpoint each time."""
    trial = [p.trial for p in plan_trials(load_suite(suite), "cpu", "cpu")][number]
    whole, broken = Store(tmp_path / "whole"), Store(tmp_path / "broken")
    assert run_trial(trial, whole, METRICS, lambda: False) == "done"
    outcomes = []
    while "done" not in outcomes:
        outcomes.append(run_trial(trial, broken, METRICS, lambda: True))
    assert outcomes.count("interrupted") == 4  # 200 steps, a log point every 50
    protocol = evaluator_for(trial.data, "cpu").protocol.id
    first, second = whole.trial_folder(trial.id), broken.trial_folder(trial.id)
    for name in ("last", "best"):
        assert first.generator_path(name).read_bytes() == second.generator_path(name).read_bytes()
        contents = [folder.scores_path(protocol, name).read_bytes() for folder in (first, second)]
        assert contents[0] == contents[1]
    assert read_json(first.curve_path)["losses"] == read_json(second.curve_path)["losses"]
    assert first.training_path.read_bytes() == second.training_path.read_bytes()


@pytest.mark.parametrize("harm", ["damaged", "made by other code", "of another trial"])
def test_unusable_checkpoint_restarts_the_trial(suite, tmp_path, harm):
    trial = plan_trials(load_suite(suite), "cpu", "cpu")[1].trial
    whole, broken = Store(tmp_path / "whole"), Store(tmp_path / "broken")
    assert run_trial(trial, whole, METRICS, lambda: False) == "done"
    assert run_trial(trial, broken, METRICS, lambda: True) == "interrupted"
    checkpoint = broken.trial_folder(trial.id).checkpoint_path
    content = torch.load(checkpoint, weights_only=True)
    if harm == "of another trial":
        content["trial"] = "0" * 64
    else:
        content["made_by"]["code"] = "0" * 16
    torch.save(content, checkpoint)
    if harm == "damaged":
        checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    assert run_trial(trial, broken, METRICS, lambda: False) == "done"
    contents = [
        store.trial_folder(trial.id).generator_path("last").read_bytes()
        for store in (whole, broken)
    ]
    assert contents[0] == contents[1]
    losses = [
        read_json(store.trial_folder(trial.id).curve_path)["losses"] for store in (whole, broken)
    ]
    assert losses[0] == losses[1]


def test_training_goes_on_without_checkpoints(suite, tmp_path, monkeypatch):
    """A full disk costs the checkpoint alone."""
    trial = plan_trials(load_suite(suite), "cpu", "cpu")[1].trial
    store = Store(tmp_path)
    monkeypatch.setattr(session, "MIN_SECONDS_PER_CHECKPOINT", 0.0)
    monkeypatch.setattr(session, "MIN_SAVE_TIMES_PER_CHECKPOINT", 0)
    write = session.write_bytes

    def refuse_checkpoints(path, content):
        if path.name == "checkpoint.pt":
            raise OSError(28, "No space left on device", str(path))
        write(path, content)

    monkeypatch.setattr(session, "write_bytes", refuse_checkpoints)
    assert run_trial(trial, store, METRICS, lambda: False) == "done"
    events = read_json_lines(store.trial_folder(trial.id).attempts()[0].events_path)
    assert any("No space left" in event.get("checkpoint_error", "") for event in events)


def test_new_metrics_need_no_training(suite, tmp_path):
    trial = replace(plan_trials(load_suite(suite), "cpu", "cpu")[1].trial, points=1)
    store = Store(tmp_path)
    run_trial(trial, store, ("fid",), lambda: False)
    result = store.trial_folder(trial.id).result_path
    before = result.stat().st_mtime_ns
    run_trial(trial, store, ("fid", "precision"), lambda: False)
    protocol = evaluator_for(trial.data, "cpu").protocol.id
    scores = read_json(store.trial_folder(trial.id).scores_path(protocol, "last"))["metrics"]
    assert set(scores) == {"fid", "precision"}
    assert result.stat().st_mtime_ns == before


def test_trials_that_are_only_measured_are_counted_apart(run_here, tmp_path):
    def last_count(*options):
        return re.search(r"^\d+ trials? .* kept, in ", run_here(tmp_path, *options)[1], re.M)[0]

    assert last_count(*ONE_TRIAL) == "2 trials trained, 0 kept, in "
    more = (*ONE_TRIAL, "-o", "metrics=['fid', 'recall', 'precision']")
    assert last_count(*more) == "2 trials measured, 0 kept, in "
    other = ("--seeds", "2", *ONE_TRIAL[2:], "-o", "metrics=['fid', 'recall', 'kid']")
    assert last_count(*other) == "2 trials trained, 2 measured, 0 kept, in "


def test_smoke_suite_runs_from_end_to_end(tmp_path):
    done = run_process(SUITES / "smoke.toml", tmp_path)
    assert done.returncode == 0, done.stderr
    frame = package.load(tmp_path / "smoke")
    assert set(frame["data"].dropna()) == {"digits", "ring"}
    assert {"done", "not_applicable"} <= set(frame["outcome"].dropna())
    last = frame[(frame["metric"] == "fid") & (frame["checkpoint"] != "best")]
    floor = last[last["role"] == "floor"].set_index("data")["value"]
    for data, part in last[last["role"] == "trial"].groupby("data"):
        assert (part["value"].dropna() > floor[data]).all()
