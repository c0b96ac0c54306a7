"""Trials of two processes: kills, stops and hangs end them, and resumption gives the same bits.

Each trial runs in a process of its own, which leads, so that the tests can kill it. The processes are
real, on the CPU.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ganbench.experiments.plan import plan_trials
from ganbench.experiments.run_trial import run_trial
from ganbench.experiments.store import Store
from ganbench.experiments.suite_loader import load_suite
from ganbench.files import read_json

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads children in /proc"),
]

SUITE = """
schema = 1
name = "two"
data = ["digits"]
metrics = ["fid"]
seeds = 1
points = 2
[[grid]]
variants = ["dcgan(width=4)"]
tricks = { chains = [["ema(decay=0.9)"]] }
plan = { batch = 16 }
numerics = { gpus = 2 }
[budget.cpu]
generator_turns = 120
"""
LEAD = """
import sys
from datetime import timedelta
from pathlib import Path
from ganbench.experiments import followers, session
from ganbench.experiments.run_trial import run_trial
from ganbench.experiments.store import Store
from ganbench.experiments.trial import Trial
from ganbench.training.distributed import DistributedTrainer
import torch

session.STEPS_PER_LOG = 5
session.MIN_SECONDS_PER_CHECKPOINT = session.MIN_SAVE_TIMES_PER_CHECKPOINT = 0
{setup}
if __name__ == "__main__":
    trial = Trial.from_json(Path(sys.argv[1]).read_text())
    print(run_trial(trial, Store(Path(sys.argv[2])), ("fid",), lambda: {stop}))
"""
TOLERANCE = 1e-3  # of a loss term in float32, after 120 steps


@pytest.fixture(scope="module")
def suite_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("suite") / "two.toml"
    path.write_text(SUITE)
    return path


def make_trial(suite_file, *overrides):
    plan = plan_trials(load_suite(suite_file, list(overrides)), "cpu", "cpu")
    (item,) = [item for item in plan if item.role == "trial"]
    assert item.incompatibility == ""
    return item.trial


@pytest.fixture(scope="module")
def trial(suite_file):
    return make_trial(suite_file)


def start(trial, folder: Path, setup="", stop="False") -> subprocess.Popen:
    """Starts the leader of a trial."""
    (folder / "trial.json").write_text(trial.to_json())
    (folder / "lead.py").write_text(LEAD.format(setup=setup, stop=stop))
    command = [sys.executable, "lead.py", "trial.json", "store"]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)


def finish(leader: subprocess.Popen) -> str:
    """Returns the outcome that the leader prints."""
    output, _ = leader.communicate(timeout=120)
    return output.strip()


def files_of(trial, folder: Path):
    return Store(folder / "store").trial_folder(trial.id)


def list_followers(leader: int) -> list[int]:
    """Returns the processes that train with a leader."""
    children = Path(f"/proc/{leader}/task/{leader}/children").read_text().split()
    return [int(c) for c in children if b"spawn_main" in Path(f"/proc/{c}/cmdline").read_bytes()]


def wait_for(condition, seconds=60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def wait_for_checkpoint(trial, folder: Path) -> None:
    wait_for(files_of(trial, folder).checkpoint_path.exists)


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture(scope="module")
def unbroken(trial, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    assert finish(start(trial, folder)) == "done"
    return files_of(trial, folder)


def assert_same_bits(files, expected) -> None:
    for name in ("last", "best"):
        assert files.generator_path(name).read_bytes() == expected.generator_path(name).read_bytes()
    assert rows_without_times(files) == rows_without_times(expected)
    assert files.training_path.read_bytes() == expected.training_path.read_bytes()


def rows_without_times(files) -> list[dict]:
    curve = read_json(files.curve_path)
    return [row | {"seconds": 0} for row in (*curve["losses"], *curve["scores"])]


@pytest.mark.slow
def test_killed_leader_takes_its_followers(trial, unbroken, tmp_path):
    leader = start(trial, tmp_path)
    wait_for_checkpoint(trial, tmp_path)
    (follower,) = list_followers(leader.pid)
    leader.kill()
    leader.wait()
    wait_for(lambda: not is_alive(follower))
    assert files_of(trial, tmp_path).read_result() is None
    assert finish(start(trial, tmp_path)) == "done"
    assert_same_bits(files_of(trial, tmp_path), unbroken)


@pytest.mark.slow
def test_killed_follower_fails_the_trial(trial, unbroken, tmp_path):
    leader = start(trial, tmp_path)
    wait_for_checkpoint(trial, tmp_path)
    (follower,) = list_followers(leader.pid)
    os.kill(follower, signal.SIGKILL)
    assert finish(leader) == "failed"  # sooner than a message is awaited
    (attempt,) = files_of(trial, tmp_path).attempts()
    reason = "process 2 of 2 failed: it ended with exit code -9, SIGKILL"
    assert reason in attempt.read_end()["reason"]
    assert finish(start(trial, tmp_path)) == "done"
    assert files_of(trial, tmp_path).attempts()[1].read_events()[1]["step"] > 0
    assert_same_bits(files_of(trial, tmp_path), unbroken)


def test_follower_killed_at_its_start_fails_the_trial(trial, tmp_path):
    leader = start(trial, tmp_path)
    wait_for(lambda: leader.poll() is not None or list_followers(leader.pid))
    os.kill(list_followers(leader.pid)[0], signal.SIGKILL)
    assert finish(leader) == "failed"


@pytest.mark.slow
def test_hanging_follower_fails_the_trial(trial, tmp_path):
    leader = start(trial, tmp_path, "followers.MESSAGE_TIMEOUT = timedelta(seconds=4)")
    wait_for_checkpoint(trial, tmp_path)
    (follower,) = list_followers(leader.pid)
    os.kill(follower, signal.SIGSTOP)
    assert finish(leader) == "failed"
    assert not is_alive(follower)
    reason = files_of(trial, tmp_path).attempts()[0].read_end()["reason"]
    assert "a process of this trial did not answer for 4 s" in reason


FAIL_IN_FOLLOWER = """
if __name__ != "__main__":  # the follower imports this file
    def flush(self):
        raise torch.OutOfMemoryError("the second GPU is full")
    DistributedTrainer.flush = flush
"""
DRIFT_IN_FOLLOWER = """
if __name__ != "__main__":
    average = DistributedTrainer.transform_gradients
    def transform_gradients(self, side):
        average(self, side)
        self.sides[side][0].grad *= 1.001
    DistributedTrainer.transform_gradients = transform_gradients
"""


@pytest.mark.parametrize(
    ("setup", "reason"),
    [
        (FAIL_IN_FOLLOWER, "process 2 of 2 failed: torch.OutOfMemoryError: the second GPU is full"),
        pytest.param(
            DRIFT_IN_FOLLOWER, "the 2 processes drifted apart: game.", marks=pytest.mark.slow
        ),
    ],
)
def test_failure_of_a_follower_is_explained(trial, tmp_path, setup, reason):
    assert finish(start(trial, tmp_path, setup)) == "failed"
    assert reason in files_of(trial, tmp_path).attempts()[0].read_end()["reason"]


def test_stopped_trial_resumes_to_the_same_bits(trial, unbroken, tmp_path):
    leader = start(trial, tmp_path, stop='Path("stop").exists()')
    wait_for_checkpoint(trial, tmp_path)
    (follower,) = list_followers(leader.pid)
    os.kill(follower, signal.SIGTERM)  # batch systems send it to every process
    (tmp_path / "stop").touch()
    assert finish(leader) == "interrupted"
    assert not is_alive(follower)
    assert finish(start(trial, tmp_path)) == "done"
    assert_same_bits(files_of(trial, tmp_path), unbroken)


def test_two_processes_have_the_curve_of_one(suite_file, unbroken, tmp_path):
    one = make_trial(suite_file, "grid.0.numerics={gpus=1}")
    store = Store(tmp_path)
    assert run_trial(one, store, ("fid",), lambda: False) == "done"
    curve, expected = (
        read_json(files.curve_path)["losses"] for files in (unbroken, store.trial_folder(one.id))
    )
    last = {row["step"]: row for row in curve}[120]
    assert last == pytest.approx(expected[-1], rel=0.02, abs=0.02)
    assert unbroken.read_result()["spent"]["images"] == 120 * 16


@pytest.mark.slow
def test_divergence_ends_all_processes(suite_file, tmp_path):
    overrides = ('grid.0.variants=["r3gan(width=8)"]', "grid.0.plan={lr=1000, batch=16}")
    others = ('grid.0.losses=["least_squares"]', "grid.0.tricks={chains=[[]]}")
    trial = make_trial(suite_file, *overrides, *others)
    assert finish(start(trial, tmp_path)) == "diverged"
    assert files_of(trial, tmp_path).read_result()["outcome"] == "diverged"


def test_plan_names_the_reason_and_the_label(suite_file):
    suite = load_suite(suite_file, ["grid.0.plan={batch=9}", "grid.0.numerics={gpus=[1, 2]}"])
    trials = [item for item in plan_trials(suite, "cpu", "cpu") if item.role == "trial"]
    assert [item.trial.plan for item in trials] == ["batch=9", "batch=9, gpus=2"]
    reason = "numerics: gpus = 2: a batch of 9 cannot be divided among 2 processes"
    assert [item.incompatibility for item in trials] == ["", reason]


def test_identity_has_the_number_of_processes(suite_file, trial):
    one = make_trial(suite_file, "grid.0.numerics={gpus=1}")
    plain = make_trial(suite_file, "grid.0.numerics={}")
    assert one.id == plain.id != trial.id
    assert json.loads(trial.to_json())["numerics_spec"] == "numerics(gpus=2)"
    assert trial.code_provenance() != plain.code_provenance()


def list_descendants(process: int) -> list[int]:
    own = list_followers(process)
    return [*own, *(below for child in own for below in list_descendants(child))]


@pytest.mark.slow
def test_run_goes_on_after_a_killed_follower(suite_file, tmp_path):
    command = [sys.executable, "-m", "ganbench", "run", suite_file, "--results", "store"]
    command += ["--workers", "1", "--device", "cpu", "--seeds", "2", "-o"]
    command += ["budget.cpu.generator_turns=300"]
    run = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: len(list_descendants(run.pid)) == 2)  # a worker and its follower
    os.kill(list_descendants(run.pid)[1], signal.SIGKILL)
    _, errors = run.communicate(timeout=120)
    assert run.returncode == 4, errors.decode()
    assert errors.count(b"failed:") == 2  # the kind and the reason, of one trial
    assert b"process 2 of 2 failed" in errors
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 0
