"""Every executor: the same values, limits, retries and stops, on real clusters where there are any.

Ray runs on two nodes that the tests start, Slurm on one node (`tests/slurm_cluster.py`).
"""

import json
import os
import signal
import threading
import time
from contextlib import contextmanager
from importlib.util import find_spec

import pytest
from executor_runs import (
    attempts,
    forget_plugins,
    has_trained,
    make_trained_statuses,
    once,
    read_losses,
    wait_until,
    write_fault_plugin,
)
from slurm_cluster import SlurmCluster, find_slurm

from ganbench.experiments.executors import EXECUTORS
from ganbench.experiments.executors import remote as remote_module
from ganbench.experiments.executors.base import TrialLimits
from ganbench.experiments.executors.local import Local
from ganbench.experiments.executors.worker_process import WorkerProcess
from ganbench.experiments.lease import read_holder

pytestmark = pytest.mark.heavy

LONG, SHORT = 100_000_000, 12_800
HOLD = "\"fault(kind='hold')\""
LIMITS = TrialLimits(wall=250, stall=250)
STALL = 30  # seconds, which also limit the start of a worker
needs_ray = pytest.mark.skipif(not find_spec("ray"), reason="no Ray on this machine")
needs_slurm = pytest.mark.skipif(not find_slurm(), reason="no Slurm on this machine")
HERE = ["inline", "local(workers=2)"]
SAMPLED = [
    pytest.param("ray", marks=needs_ray),
    pytest.param("slurm(minutes=5)", marks=needs_slurm),
]
SLOW = [
    pytest.param("ray", marks=[pytest.mark.slow, needs_ray]),
    pytest.param("slurm(cluster='local', jobs=2)", marks=pytest.mark.slow),
    pytest.param("slurm(minutes=5)", marks=[pytest.mark.slow, needs_slurm]),
    pytest.param("slurm(minutes=5, trials=2)", marks=[pytest.mark.slow, needs_slurm]),
]
EVERY = [*HERE, *SLOW]
WITH_WORKERS = EVERY[1:]  # executors that keep limits and survive dead workers


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    """Installs the trick `fault` for this process, and for those that start later."""
    folder = tmp_path_factory.mktemp("plugin")
    write_fault_plugin(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        patch.syspath_prepend(folder)
        forget_plugins()
        yield folder
    forget_plugins()


@pytest.fixture(scope="module")
def ray_cluster(plugin):
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", cluster.address)
        yield cluster
    cluster.shutdown()


@pytest.fixture(scope="module")
def slurm_cluster(plugin, tmp_path_factory):
    with SlurmCluster(tmp_path_factory.mktemp("slurm") / "daemons", array_size=4) as environment:
        yield environment


@pytest.fixture
def executor(request, plugin, monkeypatch):
    """An executor whose cluster runs."""
    monkeypatch.setattr(remote_module, "BUSY_RETRY_SECONDS", 1.0)
    if request.param.startswith("ray"):
        request.getfixturevalue("ray_cluster")
    if request.param.startswith("slurm(minutes"):
        environment = request.getfixturevalue("slurm_cluster")
        monkeypatch.setenv("SLURM_CONF", environment["SLURM_CONF"])
    return EXECUTORS.make(request.param)


def for_executors(names):
    return pytest.mark.parametrize("executor", names, indirect=True)


@pytest.fixture
def make_statuses(tmp_path):
    """Makes the jobs of a small suite in a store."""

    def make(store="store", images=SHORT, **settings):
        return make_trained_statuses(tmp_path, store, images, **settings)

    return make


def run(executor, statuses, on_progress=lambda: None, limits=LIMITS):
    executor.run(statuses, limits, on_progress)
    return [status.state for status in statuses]


def read_values(statuses):
    """Returns the numbers of trials: curves, and readings of both checkpoints."""
    values = []
    for status in statuses:
        folder = status.folder
        scores = [
            json.loads(path.read_text()) for path in sorted(folder.folder.glob("evaluations/*"))
        ]
        readings = {(m, r["value"]) for score in scores for m, r in score["metrics"].items()}
        values.append((readings, read_losses(status)))
    return values


@pytest.fixture
def unbroken_values(make_statuses):
    """The numbers of an unbroken run in this process."""
    statuses = make_statuses("unbroken")
    assert run(EXECUTORS.make("inline"), statuses) == ["done", "done"]
    return read_values(statuses)


@pytest.fixture
def release(plugin):
    """Lets trials of `fault(kind='hold')` go on, which wait in the middle of their training."""
    (plugin / "released").unlink(missing_ok=True)
    return (plugin / "released").touch


def process_of(status):
    attempt = status.job.last_attempt()
    return attempt.read_events()[0]["process"] if attempt else None


@for_executors([*HERE, *SAMPLED, SLOW[1], SLOW[3]])
def test_values_are_those_of_one_process(executor, make_statuses, unbroken_values):
    statuses = make_statuses()
    assert run(executor, statuses) == ["done", "done"]
    assert read_values(statuses) == unbroken_values
    assert attempts(statuses) == [1, 1]
    assert not (statuses[0].job.store / "bundles").exists()


@for_executors(WITH_WORKERS)
def test_stopped_run_resumes(executor, make_statuses, unbroken_values, release):
    statuses, presses = make_statuses(trick=HOLD), []

    def press():
        if presses:
            release()  # after the request to stop
        elif has_trained(statuses[0]):
            presses.append(True)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(executor, statuses, press)
    states = ("interrupted",) if isinstance(executor, Local) else ("interrupted", "done")
    assert statuses[0].state in states
    assert not any(read_holder(status.folder.folder) for status in statuses)
    again = make_statuses(trick=HOLD)
    assert run(executor, again) == ["done", "done"]
    assert read_values(again) == unbroken_values


@for_executors(WITH_WORKERS)
def test_second_ctrl_c_kills(executor, make_statuses, plugin):
    (plugin / "hanging").unlink(missing_ok=True)
    statuses = make_statuses(trick="\"fault(kind='hang')\"", seeds=1)
    presses = []

    def press():
        hangs = (plugin / "hanging").exists()
        if hangs and (not presses or time.monotonic() - presses[-1] > 1.5):
            presses.append(time.monotonic())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(executor, statuses, press)
    assert len(presses) == 2
    wait_until(lambda: read_holder(statuses[0].folder.folder) is None, 30)


@for_executors(WITH_WORKERS)
def test_wall_limit_fails_a_trial(executor, make_statuses):
    statuses = make_statuses(images=LONG, seeds=1)
    assert run(executor, statuses, limits=TrialLimits(wall=4, stall=250)) == ["failed"]
    assert statuses[0].reason == "timeout: not done after 4 s"
    assert read_holder(statuses[0].folder.folder) is None


class LimitsOfHanging(TrialLimits):
    """Limits without events that are short once a trial hangs, not while its worker starts."""

    def __init__(self, hanging):
        super().__init__(wall=250, stall=250)
        object.__setattr__(self, "hanging", hanging)

    def __getattribute__(self, name):
        if name == "stall" and self.hanging.exists():
            return 1
        return super().__getattribute__(name)


@pytest.fixture
def long_dumps(monkeypatch):
    """Makes the local executor wait for the stacks of a worker, however long they take."""
    dump = WorkerProcess.dump_stacks

    def dump_and_wait(worker):
        dump(worker)
        wait_until(lambda: "begin_step" in worker.read_last_output(worker.job_output_start))

    monkeypatch.setattr(WorkerProcess, "dump_stacks", dump_and_wait)


@for_executors(WITH_WORKERS)
def test_hanging_trial_fails_with_its_stacks(executor, make_statuses, plugin, long_dumps):
    (plugin / "hanging").unlink(missing_ok=True)
    statuses = make_statuses(trick="\"fault(kind='hang')\"", seeds=1)
    limits = TrialLimits(wall=250, stall=STALL)
    if isinstance(executor, Local):
        limits = LimitsOfHanging(plugin / "hanging")
    assert run(executor, statuses, limits=limits) == ["failed"]
    assert statuses[0].reason == f"stall: no sign of life for {limits.stall} s"
    log = statuses[0].job.last_attempt().log_path.read_text()
    assert "fault_trick.py" in log
    assert "begin_step" in log


@for_executors(EVERY)
def test_lack_of_memory_fails_one_trial(executor, make_statuses, unbroken_values):
    broken = make_statuses(trick="\"fault(kind='allocate')\"", seeds=1)
    whole = make_statuses()
    statuses = [*broken, *whole]
    assert run(executor, statuses) == ["failed", "done", "done"]
    assert "memory" in statuses[0].reason
    assert read_values(whole) == unbroken_values


@for_executors(WITH_WORKERS)
def test_killed_worker_is_replaced(executor, make_statuses, unbroken_values, release):
    statuses = make_statuses(trick=HOLD)

    def kill_worker():
        os.kill(process_of(statuses[0]), signal.SIGKILL)
        release()

    kill = once(lambda: has_trained(statuses[0]), kill_worker)
    assert run(executor, statuses, kill) == ["done", "done"]
    assert read_values(statuses) == unbroken_values
    assert attempts(statuses)[0] == 2


@for_executors(WITH_WORKERS)
def test_trial_of_another_run_is_awaited(executor, make_statuses, unbroken_values):
    statuses = make_statuses()
    with hold_lease(statuses[0]) as release:
        wait_for_second = once(lambda: statuses[1].state == "done", release)
        assert run(executor, statuses, wait_for_second) == ["done", "done"]
    assert read_values(statuses) == unbroken_values
    assert attempts(statuses) == [1, 1]


@contextmanager
def hold_lease(status):
    """Holds a trial's lease as another run would, until it is released."""
    released = threading.Event()
    with status.folder.lock() as lease:

        def release():
            released.set()
            lease.release()

        yield release
    assert released.is_set()


def test_every_executor_is_tested_here():
    tested = {str(getattr(name, "values", [name])[0]).partition("(")[0] for name in EVERY}
    assert tested | {"stacked"} == set(EXECUTORS.modules())  # stacked: test_stacked_trials.py
