"""Stacked trials: files of a member, values, resumption, divergence, refusals and identities.

Stacks of different sizes agree within rounding: after 60 steps of these networks the loss terms
differ by less than 1e-4.
"""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ganbench import files
from ganbench.devices import Numerics
from ganbench.evaluation import heartbeat
from ganbench.experiments import run_stacked, session
from ganbench.experiments.executors import EXECUTORS, executor_label
from ganbench.experiments.executors.base import Job, JobStatus, TrialLimits
from ganbench.experiments.executors.stacked import Stacked
from ganbench.experiments.numerics_axes import numerics_spec, with_numerics
from ganbench.experiments.plan import plan_trials
from ganbench.experiments.run_stacked import run_stacked_trials
from ganbench.experiments.run_trial import run_trial
from ganbench.experiments.stacked_session import StackedSession
from ganbench.experiments.store import Attempt, Store
from ganbench.experiments.suite_loader import load_suite
from ganbench.files import read_json
from ganbench.training.stacked import StackedTrainer

pytestmark = pytest.mark.heavy

SUITE = """
schema = 1
name = "stack"
data = ["ring"]
metrics = ["fid"]
seeds = 4
points = 2
[[grid]]
variants = ["gan2d(width=8)"]
[budget.cpu]
generator_turns = 60
[numerics]
stacked = true
"""
TOLERANCE = 1e-4  # of a loss term after 60 steps
LIMITS = TrialLimits(wall=300, stall=300)


@pytest.fixture
def suite_file(tmp_path):
    (tmp_path / "stack.toml").write_text(SUITE)
    return tmp_path / "stack.toml"


@pytest.fixture
def trials(suite_file):
    """The four seeds of the arm."""
    return arm_trials(load_suite(suite_file))


def arm_trials(suite):
    return [item.trial for item in plan_trials(suite, "cpu", "cpu") if item.role == "trial"]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def run_group(trials, store, stop=lambda: False):
    return run_stacked_trials(trials, store, ("fid",), stop)


def losses(store, trial):
    return read_json(store.trial_folder(trial.id).curve_path)["losses"]


def generator(store, trial):
    return store.trial_folder(trial.id).generator_path("last").read_bytes()


def result(store, trial):
    return store.trial_folder(trial.id).read_result()


def assert_close(rows, others):
    assert len(rows) == len(others) > 0
    for row, other in zip(rows, others, strict=True):
        assert row == pytest.approx(other, abs=TOLERANCE, rel=TOLERANCE)


def poison(monkeypatch, seed, step):
    """Fills a weight of one seed with nan before a step."""
    take_step = StackedTrainer.train_step

    def train_step(self):
        for member in self.members:
            if member.streams.seed == seed and self.step == step:
                next(member.task.generators.parameters()).data.fill_(torch.nan)
        take_step(self)

    monkeypatch.setattr(StackedTrainer, "train_step", train_step)


# Members


def test_members_are_ordinary_trials(trials, store):
    assert run_group(trials, store) == ["done"] * 4
    for trial in trials:
        folder = store.trial_folder(trial.id)
        own = result(store, trial)
        assert (own["outcome"], own["stacked"], own["spent"]["generator_turns"]) == ("done", 4, 60)
        assert len(folder.read_curve()["scores"]) == 2
        assert [attempt.read_end()["outcome"] for attempt in folder.attempts()] == ["done"]
        assert not folder.checkpoint_path.exists()
    seconds = {result(store, trial)["costs"]["train_seconds"] for trial in trials}
    assert len(seconds) == 1  # an equal share of the time


def test_rates_of_members_add_up(trials, store):
    run_group(trials, store)
    for trial in trials:
        event = store.trial_folder(trial.id).attempts()[0].read_events()[-2]  # before the measuring
        costs = result(store, trial)["costs"]
        assert 4 * event["rate"] == pytest.approx(costs["train_images_per_second"], rel=0.2)


def test_last_event_is_read_from_the_end(tmp_path, monkeypatch):
    attempt = Attempt(tmp_path)
    assert attempt.read_last_event() == {}
    for step in range(300):
        attempt.append_event(step=step, terms={"generator": 0.1})
    monkeypatch.setattr(files, "MAX_LAST_EVENT_BYTES", 200)
    assert attempt.read_last_event() == attempt.read_events()[-1]
    with open(attempt.events_path, "ab") as file:
        file.write(b'{"time": 1, "ste')  # torn by a crash
    assert attempt.read_last_event()["step"] == 299


def test_values_equal_stacks_of_one(trials, store, tmp_path):
    run_group(trials, store)
    alone = Store(tmp_path / "alone")
    for trial in trials:
        assert run_trial(trial, alone, ("fid",), lambda: False) == "done"
        assert result(alone, trial)["stacked"] == 1
        assert_close(losses(store, trial), losses(alone, trial))


def test_values_follow_lone_trainings(trials, store, tmp_path):
    run_group(trials, store)
    plain = [replace(trial, numerics_spec="") for trial in trials]
    assert not {trial.id for trial in plain} & {trial.id for trial in trials}
    for trial, own in zip(trials, plain, strict=True):
        run_trial(own, store, ("fid",), lambda: False)
        assert "stacked" not in result(store, own)
        assert_close(losses(store, trial), losses(store, own))


def test_finished_members_are_kept(trials, store):
    run_group(trials[:2], store)
    before = [generator(store, trial) for trial in trials[:2]]
    assert run_group(trials, store) == ["done"] * 4
    assert [generator(store, trial) for trial in trials[:2]] == before
    assert result(store, trials[3])["stacked"] == 2


def test_held_member_is_left_out(trials, store):
    with store.trial_folder(trials[1].id).lock():
        assert run_group(trials, store) == ["done", "busy", "done", "done"]
    assert result(store, trials[1]) is None
    assert result(store, trials[0])["stacked"] == 3


def test_member_that_another_process_took_over_is_left_to_it(trials, store, monkeypatch):
    enter, second = run_stacked.enter_lock, store.trial_folder(trials[1].id)

    def lose_second(folder, locks):
        lease = enter(folder, locks)
        if folder == second:
            lease.lost.set()
        return lease

    monkeypatch.setattr(run_stacked, "enter_lock", lose_second)
    assert run_group(trials, store) == ["done", "busy", "done", "done"]
    assert result(store, trials[1]) is None
    assert result(store, trials[0])["stacked"] == 3
    end = store.trial_folder(trials[1].id).attempts()[0].read_end()
    assert end["outcome"] == "interrupted"
    assert "another process took over" in end["reason"]


def test_member_that_is_lost_before_its_measurement_is_not_measured(trials, store, monkeypatch):
    finish = run_stacked.finish_member

    def lose(run, *rest):
        run.lease.lost.set()
        return finish(run, *rest)

    monkeypatch.setattr(run_stacked, "finish_member", lose)
    assert run_group(trials[:2], store) == ["busy", "busy"]
    assert not list(store.trial_folder(trials[0].id).folder.glob("evaluations/*"))


def test_drawing_and_measuring_show_life(trials, store, monkeypatch):
    monkeypatch.setattr(heartbeat, "SECONDS_BETWEEN_HEARTBEATS", 0.0)
    run_group(trials[:2], store)
    for trial in trials[:2]:
        events = store.trial_folder(trial.id).attempts()[0].read_events()
        begun = next(n for n, event in enumerate(events) if event.get("measuring"))
        assert any("alive" in event for event in events[:begun])  # the points of the curve
        assert sum("alive" in event for event in events[begun:]) >= 2 * 3  # last and best


# Resumption


def test_resumed_group_gives_the_same_bits(trials, store, tmp_path):
    broken = Store(tmp_path / "broken")
    run_group(trials, store)
    assert run_group(trials, broken, lambda: True) == ["interrupted"] * 4
    assert all(broken.trial_folder(trial.id).checkpoint_path.exists() for trial in trials)
    assert run_group(trials, broken) == ["done"] * 4
    for trial in trials:
        assert losses(broken, trial) == losses(store, trial)
        assert generator(broken, trial) == generator(store, trial)
        strips = [part.trial_folder(trial.id).training_path for part in (broken, store)]
        assert strips[0].read_bytes() == strips[1].read_bytes()


def test_members_at_other_steps_form_own_groups(trials, store, tmp_path):
    whole = Store(tmp_path / "whole")
    run_group(trials, whole)
    assert run_group(trials[:3], store, lambda: True) == ["interrupted"] * 3
    assert run_group(trials, store) == ["done"] * 4
    assert [result(store, trial)["stacked"] for trial in trials] == [3, 3, 3, 1]
    for trial in trials:
        assert_close(losses(store, trial), losses(whole, trial))


def test_second_group_waits_after_a_stop(trials, store):
    run_group(trials[:1], store, lambda: True)
    assert run_group(trials, store, lambda: True) == ["interrupted"] * 4
    folders = [store.trial_folder(trial.id) for trial in trials]
    assert folders[0].attempts()[-1].read_end()["reason"] == run_stacked.STOPPED_BEFORE_STEP
    assert [folder.checkpoint_path.exists() for folder in folders] == [True] * 4


# Divergence and errors


@pytest.mark.parametrize("step", [20, 59])
def test_one_divergence_leaves_the_others(trials, store, monkeypatch, step):
    poison(monkeypatch, seed=2, step=step)
    assert run_group(trials, store) == ["done", "done", "diverged", "done"]
    assert result(store, trials[2])["step"] == step
    end = store.trial_folder(trials[2].id).attempts()[-1].read_end()
    assert end == {**end, "outcome": "diverged", "reason": result(store, trials[2])["reason"]}
    assert end["reason"].startswith(f"step {step}: ")
    assert result(store, trials[3])["costs"]["train_seconds"] > 0


def test_all_diverged_ends_the_group(trials, store, monkeypatch):
    for seed in (0, 1):
        poison(monkeypatch, seed, step=5)
    assert run_group(trials[:2], store) == ["diverged", "diverged"]
    assert result(store, trials[0])["spent"]["generator_turns"] < 60


def test_error_of_a_group_fails_its_members(trials, store, monkeypatch):
    def fail(self):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(StackedTrainer, "train_step", fail)
    assert run_group(trials[:2], store) == ["failed", "failed"]
    attempt = store.trial_folder(trials[1].id).attempts()[0]
    assert attempt.read_end()["reason"] == "RuntimeError: no such kernel"
    assert "no such kernel" in attempt.log_path.read_text()


def test_lack_of_memory_splits_the_group(trials, store, monkeypatch):
    build = StackedSession.__init__

    def limit(self, records):
        if len(records) > 2:
            raise torch.OutOfMemoryError("too many members")
        build(self, records)

    monkeypatch.setattr(StackedSession, "__init__", limit)
    assert run_group(trials, store) == ["done"] * 4
    assert [result(store, trial)["stacked"] for trial in trials] == [2, 2, 2, 2]


def test_full_disk_costs_checkpoints_alone(trials, store, monkeypatch):
    monkeypatch.setattr(session, "MIN_SECONDS_PER_CHECKPOINT", 0.0)
    monkeypatch.setattr(session, "MIN_SAVE_TIMES_PER_CHECKPOINT", 0)
    write = session.write_bytes

    def refuse_checkpoints(path, content):
        if path.name == "checkpoint.pt":
            raise OSError(28, "No space left on device", str(path))
        write(path, content)

    monkeypatch.setattr(session, "write_bytes", refuse_checkpoints)
    assert run_group(trials[:2], store) == ["done", "done"]


# Suites, plans and identities


def test_neutral_numerics_keep_identities():
    assert "stacked" not in Numerics().identity()
    assert Numerics(stacked=True).identity()["stacked"] is True
    assert numerics_spec({"stacked": False}) == ""
    assert numerics_spec({"stacked": True}) == "numerics(stacked=true)"


def test_stacked_code_is_in_provenance(trials):
    plain = replace(trials[0], numerics_spec="")
    assert plain.code_provenance()["code"] != trials[0].code_provenance()["code"]


def test_executor_sets_what_the_suite_leaves_out(suite_file):
    plain = load_suite(suite_file, ["numerics={}"])
    assert {trial.numerics_spec for trial in arm_trials(plain)} == {""}
    chosen = with_numerics(plain, Stacked.numerics)
    assert {trial.numerics_spec for trial in arm_trials(chosen)} == {"numerics(stacked=true)"}
    declined = load_suite(suite_file, ["numerics.stacked=false"])
    assert with_numerics(declined, Stacked.numerics).numerics.stacked is False


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["grid.0.tricks={chains=[['unrolled']]}"], "unrolled takes steps and reverts them"),
        (["budget.cpu={seconds=5}"], "give a budget of images or generator_turns"),
        (["numerics.dtype='bfloat16'"], "leave out dtype or stacked"),
        (["numerics.memory_format='channels_last'"], "leave out memory_format or stacked"),
        (
            ["data=['digits']", "grid.0.variants=['stylegan(width=4)']"],
            "progressive_growing changes the layers of networks",
        ),
    ],
)
def test_arms_that_cannot_stack_have_a_reason(suite_file, overrides, reason):
    for item in plan_trials(load_suite(suite_file, overrides), "cpu", "cpu"):
        assert reason in item.incompatibility
        assert item.incompatibility.startswith("numerics: ")


# The executor


def statuses_of(trials, store):
    return [JobStatus(Job(trial, ("fid",), store.root)) for trial in trials]


@pytest.mark.parametrize(
    ("workers", "members", "sizes"),
    [(1, 64, [4]), (1, 3, [2, 2]), (2, 64, [2, 2]), (3, 64, [1, 1, 2]), (9, 64, [1, 1, 1, 1])],
)
def test_groups_use_all_workers(trials, store, workers, members, sizes):
    groups = Stacked(workers, members).group_jobs(statuses_of(trials, store))
    assert [len(group) for group in groups] == sizes
    assert [status.job.trial.seed for group in groups for status in group] == [0, 1, 2, 3]


def test_other_numerics_run_alone(trials, store):
    plain = [replace(trial, numerics_spec="") for trial in trials[:2]]
    groups = Stacked(1).group_jobs(statuses_of([*plain, *trials], store))
    assert [len(group) for group in groups] == [1, 1, 4]


def test_arms_do_not_mix(suite_file, store):
    two = load_suite(suite_file, ["grid.0.losses=['hinge', 'wasserstein']", "seeds=3"])
    groups = Stacked(1).group_jobs(statuses_of(arm_trials(two), store))
    assert [{status.job.trial.loss for status in group} for group in groups] == [
        {"hinge"},
        {"wasserstein"},
    ]


def test_label_has_workers_and_members():
    assert executor_label("stacked", 2) == "stacked(workers=2)"
    assert EXECUTORS.make("stacked(workers=1, members=8)") == Stacked(1, 8)
    with pytest.raises(ValueError, match="members must be at least 1"):
        Stacked(1, 0)


def test_program_stacks_a_plain_suite(ganbench, suite_file, tmp_path):
    plain = suite_file.read_text().replace("[numerics]\nstacked = true\n", "")
    suite_file.write_text(plain)
    options = ("--device", "cpu", "--results", tmp_path / "results", "--json")
    code, output, errors = ganbench(
        "run", suite_file, "--executor", "stacked", "--workers", 1, *options
    )
    assert code == 0, errors
    assert json.loads(output)["outcomes"] == {"done": 8}  # with untrained references
    results = [json.loads(path.read_text()) for path in Path(tmp_path).rglob("result.json")]
    assert sorted(own.get("stacked", 0) for own in results) == [0] * 4 + [4] * 4


@pytest.mark.slow
def test_death_of_a_group_is_retried_in_halves(trials, store):
    long = [replace(trial, budget=replace(trial.budget, amount=10**7)) for trial in trials[:2]]
    statuses = statuses_of(long, store)
    sizes = kill_each_worker(statuses)
    assert [status.state for status in statuses] == ["failed", "failed"]
    assert [status.tries for status in statuses] == [2, 2]
    assert all("SIGKILL" in status.reason for status in statuses)
    assert sizes == [2, 1, 1, 1, 1]


def kill_each_worker(statuses):
    """Runs jobs whose workers are all killed; returns the number of jobs of each worker."""
    killed = {}

    def kill():
        for status in statuses:
            attempt = status.job.last_attempt()
            if attempt is None or attempt.read_end() or not attempt.events_path.exists():
                continue
            process = next(e["process"] for e in attempt.read_events() if "process" in e)
            killed.setdefault(process, set()).add(status.job.trial.seed)
        for process in killed:
            if Path(f"/proc/{process}").exists():
                os.kill(process, signal.SIGKILL)

    Stacked(1).run(statuses, LIMITS, kill)
    return [len(seeds) for seeds in killed.values()]


def test_ctrl_c_writes_checkpoints_of_all(trials, store):
    long = [replace(trial, budget=replace(trial.budget, amount=10**7)) for trial in trials[:2]]
    statuses, pressed = statuses_of(long, store), []

    def press_ctrl_c():
        if not pressed and all(status.step >= 50 for status in statuses):
            pressed.append(True)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Stacked(1).run(statuses, LIMITS, press_ctrl_c)
    assert [status.state for status in statuses] == ["interrupted", "interrupted"]
    assert all(status.folder.checkpoint_path.exists() for status in statuses)
