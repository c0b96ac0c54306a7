"""Executors: labels, errors, deaths of workers, and values that do not depend on the executor."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from contextlib import ExitStack, suppress
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from executor_runs import attempts, has_trained, wait_until

from ganbench.experiments.deadline import DeadlineNear, DeadlineReached
from ganbench.experiments.executors import EXECUTORS, executor_label, local, outage
from ganbench.experiments.executors.base import Executor, Job, JobStatus, TrialLimits
from ganbench.experiments.executors.inline import Inline
from ganbench.experiments.executors.local import Local, WorkersDied, run_all
from ganbench.experiments.plan import plan_trials
from ganbench.experiments.prepared_run import execute_jobs
from ganbench.experiments.run_trial import begin_attempt, record_outcome
from ganbench.experiments.suite_loader import load_suite
from ganbench.registry import SpecError

pytestmark = pytest.mark.heavy

SUITE = """
schema = 1
name = "small"
data = ["ring"]
metrics = ["fid"]
seeds = 2
[[grid]]
variants = ["gan(width=8)"]
[budget.cpu]
images = 640
"""


@pytest.mark.parametrize(
    ("text", "workers", "label"),
    [
        ("auto", 0, "inline"),
        ("auto", 3, "local(workers=3)"),
        ("inline", 3, "inline"),
        ("local", 1, "local"),
        ("local", 4, "local(workers=4)"),
        ("local(workers=2)", 4, "local(workers=2)"),
        ("local( workers = 2 )", 4, "local(workers=2)"),
        ("stacked(members=8)", 2, "stacked(members=8, workers=2)"),
        ("ray(gpus=0.25)", 4, "ray(gpus=0.25)"),
    ],
)
def test_executor_has_one_label(text, workers, label):
    assert executor_label(text, workers) == label


def test_label_makes_its_executor():
    assert EXECUTORS.make("local(workers=2)") == Local(2)
    assert all(isinstance(EXECUTORS.make(name), Executor) for name in EXECUTORS.modules())


def test_typo_has_a_suggestion():
    with pytest.raises(SpecError, match="local"):
        executor_label("locl", 2)


@pytest.fixture
def suite_file(tmp_path):
    (tmp_path / "small.toml").write_text(SUITE)
    return str(tmp_path / "small.toml")


@pytest.mark.parametrize(
    "text", ["locl", "local(worker=2)", "local(workers=0)", "inline(workers=2)"]
)
def test_invalid_executor_exits_2_with_message(ganbench, suite_file, text):
    code, output, errors = ganbench("run", suite_file, "--device", "cpu", "--executor", text)
    assert (code, output) == (2, "")
    assert "workers" in errors or "did you mean" in errors
    assert "Traceback" not in errors


def test_values_do_not_depend_on_executor(ganbench, suite_file, tmp_path):
    values = {}
    for text in ("inline", "local(workers=2)"):
        folder = tmp_path / text
        options = ["--device", "cpu", "--results", str(folder), "--executor", text, "--json"]
        code, output, errors = ganbench("run", suite_file, *options)
        assert code == 0, errors
        assert json.loads(output)["outcomes"] == {"done": 4}
        frame = pd.read_parquet(folder / "small" / "results.parquet").query("metric == 'fid'")
        values[text] = frame.sort_values(["trial", "checkpoint"])["value"].tolist()
    assert values["inline"] == values["local(workers=2)"]
    assert len(values["inline"]) > 3


# Deaths of workers

LIMITS = TrialLimits(wall=300, stall=300)
DIE_WHILE_IMPORTING = """
import os, signal, sys, threading
if "--multiprocessing-fork" in sys.orig_argv and len(os.listdir({folder!r})) < {deaths}:
    open(os.path.join({folder!r}, str(os.getpid())), "w")
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGKILL)).start()
"""
LACK_MEMORY = """
import resource, sys
if "--multiprocessing-fork" in sys.orig_argv:
    resource.setrlimit(resource.RLIMIT_AS, (600_000_000, 600_000_000))
"""
HANG_WHILE_IMPORTING = """
import sys
if "--multiprocessing-fork" in sys.orig_argv:
    class Hang:
        def find_spec(self, name, *_):
            if name == "torch":
                import time
                time.sleep(600)
    sys.meta_path.insert(0, Hang())
"""


@pytest.fixture
def add_start_code(monkeypatch, tmp_path):
    """Adds code that Python runs at the start of each worker."""

    def add(code):
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "sitecustomize.py").write_text(code)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))

    return add


@pytest.fixture
def statuses(suite_file, tmp_path):
    """Two short trials, of which the first is an untrained reference."""
    return make_statuses(suite_file, tmp_path, images=64)


def make_statuses(suite_file, tmp_path, images):
    suite = load_suite(Path(suite_file), [f"budget.cpu.images={images}", "seeds=1"])
    trials = [item.trial for item in plan_trials(suite, "cpu", "cpu")]
    return [JobStatus(Job(trial, ("fid",), tmp_path / "results")) for trial in trials]


def test_assigned_job_has_no_time_left_from_its_last_attempt(statuses):
    status = statuses[1]
    status.assign()
    first = status.job.folder.new_attempt()
    for progress in (0.0, 0.9):
        first.append_event(step=1, progress=progress, measuring=True)
        status.read_last_event()
    assert status.seconds_left() is not None
    status.assign()
    status.read_last_event()
    assert (status.seconds_left(), status.measuring) == (None, False)


def test_death_during_imports_costs_no_attempt(add_start_code, statuses, tmp_path):
    (tmp_path / "deaths").mkdir()
    add_start_code(DIE_WHILE_IMPORTING.format(folder=str(tmp_path / "deaths"), deaths=2))
    Local(1).run(statuses, LIMITS, lambda: None)
    assert len(list((tmp_path / "deaths").iterdir())) == 2
    assert [status.state for status in statuses] == ["done", "done"]
    assert attempts(statuses) == [1, 1]


def test_third_death_stops_the_run(add_start_code, statuses, tmp_path):
    (tmp_path / "deaths").mkdir()
    add_start_code(DIE_WHILE_IMPORTING.format(folder=str(tmp_path / "deaths"), deaths=99))
    with pytest.raises(WorkersDied, match=r"SIGKILL, perhaps for lack of memory.*3 times in a row"):
        Local(1).run(statuses, LIMITS, lambda: None)
    assert len(list((tmp_path / "deaths").iterdir())) == 3
    assert [status.state for status in statuses] == ["waiting", "waiting"]
    assert attempts(statuses) == [0, 0]


def test_memory_limit_shows_the_last_output(ganbench, add_start_code, suite_file, tmp_path):
    add_start_code(LACK_MEMORY)
    options = ("--device", "cpu", "--results", tmp_path / "results", "--workers", 1)
    code, _, errors = ganbench("run", suite_file, *options)
    assert code == 4
    assert "use fewer --workers, then repeat the command; its last output:" in errors
    assert "Error" in errors.splitlines()[-1]
    assert "internal error" not in errors
    code, output, _ = ganbench("status", suite_file, "--results", tmp_path / "results")
    assert (code, output.splitlines()[0]) == (0, "4 trials: 4 not run")


def test_endless_import_counts_as_a_death(add_start_code, statuses):
    add_start_code(HANG_WHILE_IMPORTING)
    with pytest.raises(WorkersDied):
        Local(1).run(statuses, TrialLimits(wall=300, stall=1), lambda: None)
    assert attempts(statuses) == [0, 0]


def test_worker_ends_with_its_runner_during_imports(add_start_code, suite_file, tmp_path):
    add_start_code(HANG_WHILE_IMPORTING)
    program = str(Path(sys.executable).parent / "ganbench")
    options = ("--device", "cpu", "--results", str(tmp_path / "results"), "--workers", "1")
    runner = subprocess.Popen([program, "run", suite_file, *options], stdout=subprocess.DEVNULL)
    wait_until(lambda: children_of(runner.pid))
    workers = children_of(runner.pid)
    time.sleep(1)  # the worker starts to import
    runner.kill()
    runner.wait()
    wait_until(lambda: not any(map(is_alive, workers)), 20)


def test_second_death_fails_the_trial(suite_file, tmp_path):
    statuses = make_statuses(suite_file, tmp_path, images=10_000_000)
    Local(1).run(statuses, LIMITS, lambda: kill_worker(statuses[1]))
    assert [status.state for status in statuses] == ["done", "failed"]
    assert "SIGKILL" in statuses[1].reason
    assert attempts(statuses) == [1, 2]


def kill_worker(status):
    attempt = status.job.last_attempt()
    if attempt and attempt.read_end() is None and attempt.events_path.exists():
        process = json.loads(attempt.events_path.read_text().splitlines()[0])["process"]
        with suppress(ProcessLookupError):  # killed before, and not yet noticed
            os.kill(process, signal.SIGKILL)


DIE_BEFORE_THE_ATTEMPT = """
import sys
if "--multiprocessing-fork" in sys.orig_argv:
    import os
    from ganbench.experiments.trial import Trial
    Trial.from_json = staticmethod(lambda text: os._exit(7))
"""


def test_trial_that_kills_at_once_fails(add_start_code, statuses):
    add_start_code(DIE_BEFORE_THE_ATTEMPT)
    Local(1).run(statuses, LIMITS, lambda: None)
    assert [status.state for status in statuses] == ["failed", "failed"]
    assert statuses[0].reason == "the worker died (exit code 7)"


@pytest.mark.parametrize("hours", [-2, pytest.param(2, marks=pytest.mark.slow)])
def test_clock_may_jump(suite_file, tmp_path, monkeypatch, hours):
    statuses = make_statuses(suite_file, tmp_path, images=64_000)
    real_time, jumped = time.time, []
    monkeypatch.setattr(time, "time", lambda: real_time() + 3600 * hours * len(jumped))

    def jump():
        if statuses[1].state == "running" and not jumped:
            jumped.append(True)

    Local(1).run(statuses, TrialLimits(wall=300, stall=60), jump)
    assert jumped
    assert [status.state for status in statuses] == ["done", "done"]
    assert attempts(statuses) == [1, 1]


def test_pause_of_the_run_costs_no_trial(statuses, monkeypatch):
    """As by Ctrl-Z and `fg`: the runner and its workers stop for an hour."""
    real_time, paused = time.monotonic, []
    monkeypatch.setattr(time, "monotonic", lambda: real_time() + 3600 * len(paused))

    def pause():
        if statuses[0].state == "running" and not paused:
            paused.append(True)

    Local(1).run(statuses, TrialLimits(wall=300, stall=60), pause)
    assert paused
    assert [status.state for status in statuses] == ["done", "done"]
    assert attempts(statuses) == [1, 1]


def test_ctrl_c_starts_no_further_trial(statuses):
    def press_ctrl_c():
        if statuses[0].state == "running":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Local(1).run(statuses, LIMITS, press_ctrl_c)
    assert attempts(statuses)[1] == 0


@pytest.mark.parametrize("name", ["assign", "read_last_event", "read_events"])
def test_failing_disk_delays_the_runner(statuses, monkeypatch, name):
    working, failures = getattr(JobStatus, name), []

    def fail_first(status):
        if len(failures) < 2:
            failures.append(status)
            raise OSError(116, "Stale file handle")
        return working(status)

    monkeypatch.setattr(JobStatus, name, fail_first)
    Local(1).run(statuses, LIMITS, lambda: None)
    assert len(failures) == 2
    assert [status.state for status in statuses] == ["done", "done"]
    assert attempts(statuses) == [1, 1]


def test_disk_that_fails_for_long_ends_the_run(statuses, monkeypatch):
    monkeypatch.setattr(outage, "MAX_OUTAGE_SECONDS", 0.5)

    def fail(_):
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(JobStatus, "read_last_event", fail)
    with pytest.raises(OSError, match="Stale file handle"):
        Local(1).run(statuses, LIMITS, lambda: None)


def test_outage_does_not_count_as_a_stall(monkeypatch):
    session = local._LocalRun(deque(), 1, LIMITS, waits_if_busy=True)
    worker = SimpleNamespace(outage=outage.Outage(), last_life=-1.0)
    session.workers.append(worker)

    def fail(_):
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(local, "wait_for_message", lambda *_: None)
    monkeypatch.setattr(session, "poll_worker", fail)
    session.poll()
    assert worker.last_life == session.clock.seconds >= 0


def test_timeout_is_named_if_the_disk_fails_meanwhile(suite_file, tmp_path, monkeypatch):
    statuses = make_statuses(suite_file, tmp_path, images=10_000_000)[1:]
    working, failures = JobStatus.read_events, []

    def fail_once(status):
        if not failures:
            failures.append(status)
            raise OSError(116, "Stale file handle")
        return working(status)

    monkeypatch.setattr(JobStatus, "read_events", fail_once)
    Local(1).run(statuses, TrialLimits(wall=3, stall=300), lambda: None)
    assert (len(failures), attempts(statuses)) == (1, [1])
    assert statuses[0].reason == "timeout: not done after 3 s"


def test_full_disk_under_the_output_stops_trials_with_checkpoints(suite_file, tmp_path):
    statuses = make_statuses(suite_file, tmp_path, images=10_000_000)

    def fill_disk():
        if has_trained(statuses[1]):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        Local(1).run(statuses, LIMITS, fill_disk)
    assert [status.state for status in statuses] == ["done", "interrupted"]
    assert statuses[1].folder.checkpoint_path.exists()


def test_full_disk_fails_trials_and_goes_on(suite_file, statuses, limit_file_size):
    limit_file_size(1000)
    Inline().run(statuses, LIMITS, lambda: None)
    limit_file_size(resource.RLIM_INFINITY)
    assert [status.state for status in statuses] == ["failed", "failed"]
    for status in statuses:
        assert f"File too large: '{status.folder.spec_path}'" in status.reason
    Inline().run(statuses, LIMITS, lambda: None)
    assert [status.state for status in statuses] == ["done", "done"]


def test_trial_of_another_run_is_awaited_without_workers(statuses):
    states = []
    with ExitStack() as other_run:
        other_run.enter_context(statuses[0].folder.lock())

        def end_other_run():
            states.append(statuses[0].state)
            if states[-2:] == ["running", "waiting"]:
                other_run.close()

        Inline().run(statuses, LIMITS, end_other_run)
    assert "waiting" in states
    assert [status.state for status in statuses] == ["done", "done"]


def test_ctrl_c_without_workers_is_recorded(statuses):
    def press_ctrl_c(*_):
        raise KeyboardInterrupt

    attempt = begin_attempt(statuses[0].folder)
    with pytest.raises(KeyboardInterrupt):
        record_outcome(attempt, statuses[0].folder, press_ctrl_c)
    assert attempt.read_end()["reason"] == "stopped without a new checkpoint"


def test_run_goes_on_with_the_workers_that_can_be_started(statuses, monkeypatch):
    started = []

    class Scarce(local.WorkerProcess):
        def __init__(self, clock):
            if started:
                raise OSError("Cannot allocate memory")
            super().__init__(clock)
            started.append(self)

    monkeypatch.setattr(local, "WorkerProcess", Scarce)
    Local(2).run(statuses, LIMITS, lambda: None)
    assert [status.state for status in statuses] == ["done", "done"]
    assert len(started) == 1


def test_deleted_result_is_not_trained(suite_file, statuses):
    def delete_first():
        if statuses[0].state == "done":
            shutil.rmtree(statuses[0].folder.folder, ignore_errors=True)

    execute_jobs(statuses, load_suite(Path(suite_file)).limits, Inline(), delete_first)
    assert [status.state for status in statuses] == ["failed", "done"]
    assert statuses[0].reason == "its result was deleted during the run: run it again"


def children_of(process):
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [child for child in children if b"multiprocessing-fork" in command_line(child)]


def command_line(process):
    return Path(f"/proc/{process}/cmdline").read_bytes()


def is_alive(process):
    status = Path(f"/proc/{process}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


# Deadlines


class StoppedRun:
    """A run of one worker that needs three polls to write its checkpoint."""

    def __init__(self):
        self.polls = 0

    def has_work(self):
        return True

    def start_workers(self):
        pass

    assign_jobs = stop_jobs = start_workers

    def poll(self):
        self.polls += 1

    def running_workers(self):
        return ["worker"] if self.polls < 4 else []


def test_notice_of_a_deadline_kills_no_worker_of_a_run_that_stops():
    run, events = StoppedRun(), iter([KeyboardInterrupt, DeadlineNear, None, None])

    def on_progress():
        if error := next(events):
            raise error

    with pytest.raises(KeyboardInterrupt) as stopped:
        run_all(run, on_progress)
    assert stopped.type is KeyboardInterrupt
    assert run.polls == 4


def test_deadline_kills_the_workers_of_a_run_that_stops():
    run, events = StoppedRun(), iter([KeyboardInterrupt, DeadlineReached])

    def on_progress():
        raise next(events)

    with pytest.raises(DeadlineReached):
        run_all(run, on_progress)
    assert run.polls == 2
