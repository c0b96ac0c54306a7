"""Faults of clusters: dead nodes, a dead head, preemption, and a runner that is killed."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from executor_runs import (
    attempts,
    has_trained,
    make_trained_statuses,
    once,
    read_losses,
    wait_until,
)
from slurm_cluster import SlurmCluster, find_slurm, free_port

from ganbench.experiments.executors import EXECUTORS
from ganbench.experiments.executors import ray as ray_executor
from ganbench.experiments.executors.base import TrialLimits
from ganbench.experiments.lease import read_holder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LIMITS = TrialLimits(wall=500, stall=500)
PROGRAM = str(Path(sys.executable).parent / "ganbench")
needs_slurm = pytest.mark.skipif(not find_slurm(), reason="no Slurm on this machine")


@pytest.fixture
def make_statuses(tmp_path):
    def make(seeds=2, images=300_000, store="store"):
        return make_trained_statuses(tmp_path, store, images, seeds)

    return make


def read_curves(statuses):
    return [read_losses(status) for status in statuses]


def unbroken_curves(make_statuses, **settings):
    statuses = make_statuses(store="unbroken", **settings)
    EXECUTORS.make("inline").run(statuses, LIMITS, lambda: None)
    return read_curves(statuses)


def steps_of(attempt):
    return [event["step"] for event in attempt.read_events() if event.get("step")]


# Ray


@pytest.fixture
def cluster(monkeypatch):
    """A Ray cluster of two nodes."""
    ray_clusters = pytest.importorskip("ray.cluster_utils")
    head = {"num_cpus": 1, "gcs_server_port": free_port()}
    cluster = ray_clusters.Cluster(initialize_head=True, head_node_args=head)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    yield cluster
    cluster.shutdown()


def test_trial_of_a_dead_node_runs_elsewhere(cluster, make_statuses):
    second, statuses = cluster.add_node(num_cpus=1), make_statuses()
    kill = once(
        lambda: all(map(has_trained, statuses)),
        lambda: cluster.remove_node(second, allow_graceful=False),
    )
    EXECUTORS.make("ray").run(statuses, LIMITS, kill)
    assert [status.state for status in statuses] == ["done", "done"]
    assert sorted(attempts(statuses)) == [1, 2]
    assert read_curves(statuses) == unbroken_curves(make_statuses)


def test_run_goes_on_under_a_new_head(cluster, make_statuses):
    from ray.cluster_utils import Cluster

    cluster.add_node(num_cpus=1)
    statuses, new = make_statuses(seeds=6, images=150_000), []  # four of them wait in Ray

    port = int(cluster.address.rpartition(":")[2])

    def replace_head():
        cluster.shutdown()
        wait_until(lambda: not any(read_holder(s.folder.folder) for s in statuses))
        head = {"num_cpus": 2, "gcs_server_port": port}
        new.append(Cluster(initialize_head=True, head_node_args=head))

    two_train = once(lambda: sum(map(has_trained, statuses)) >= 2, replace_head)
    EXECUTORS.make("ray").run(statuses, LIMITS, two_train)
    new[0].shutdown()
    assert [status.state for status in statuses] == ["done"] * 6
    assert sum(count > 1 for count in attempts(statuses)) >= 2
    assert read_curves(statuses) == unbroken_curves(make_statuses, seeds=6, images=150_000)


def test_lost_cluster_ends_with_a_sentence(make_statuses, monkeypatch, ganbench, tmp_path):
    pytest.importorskip("ray")
    monkeypatch.setattr(ray_executor, "SECONDS_TO_CONNECT", 5.0)
    make_statuses()
    code, _, errors = ganbench(
        "run",
        tmp_path / "small.toml",
        *("--device", "cpu", "--results", tmp_path / "store"),
        *("--executor", "ray(address='127.0.0.1:9')"),
    )
    assert code == 4
    assert "no Ray cluster can be reached" in errors
    assert "internal error" not in errors


# Slurm


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    with SlurmCluster(tmp_path / "slurm", array_size=3) as environment:
        monkeypatch.setenv("SLURM_CONF", environment["SLURM_CONF"])
        yield environment


def list_jobs(environment, what="%i"):
    command = ["squeue", "--noheader", "--array", f"--format={what}"]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    ).stdout.split()


@needs_slurm
def test_preempted_job_resumes_from_its_checkpoint(slurm, make_statuses):
    statuses = make_statuses(seeds=1, images=400_000)

    def preempt():
        (job,) = list_jobs(slurm)
        subprocess.run(["scancel", "--signal=USR2", job], env=slurm, check=True)

    preempt_once = once(lambda: has_trained(statuses[0]), preempt)
    EXECUTORS.make("slurm(minutes=30)").run(statuses, LIMITS, preempt_once)
    assert [status.state for status in statuses] == ["done"]
    first, second = statuses[0].folder.attempts()
    assert first.read_end()["outcome"] == "interrupted"
    assert steps_of(second)[0] >= steps_of(first)[-1] > 0
    assert read_curves(statuses) == unbroken_curves(make_statuses, seeds=1, images=400_000)


@needs_slurm
def test_arrays_stay_below_the_sites_limit(slurm, make_statuses):
    statuses, arrays = make_statuses(seeds=3, images=64), set()
    EXECUTORS.make("slurm(minutes=5)").run(
        statuses, LIMITS, lambda: arrays.update(list_jobs(slurm, "%A"))
    )
    assert [status.state for status in statuses] == ["done"] * 3
    log = Path(slurm["SLURM_CONF"]).with_name("slurmctld.log").read_text()
    assert len(set(re.findall(r"_slurm_rpc_submit_batch_job: JobId=(\d+)", log))) == 2
    assert "Invalid job array" not in log


@needs_slurm
def test_jobs_outlive_a_killed_runner(slurm, make_statuses, tmp_path):
    statuses = make_statuses(seeds=1)
    options = ["--device", "cpu", "--results", str(tmp_path / "store")]
    command = [PROGRAM, "run", str(tmp_path / "small.toml"), *options]
    runner = subprocess.Popen([*command, "--executor", "slurm(minutes=30)"])
    wait_until(lambda: has_trained(statuses[0]), 120)
    os.kill(runner.pid, signal.SIGKILL)
    runner.wait()
    again = subprocess.run([*command, "--executor", "slurm(minutes=30)"], timeout=240)
    assert again.returncode == 0
    assert attempts(statuses) == [1]
    assert read_curves(statuses) == unbroken_curves(make_statuses, seeds=1)


@needs_slurm
def test_refused_job_ends_with_slurms_reason(slurm, make_statuses, ganbench, tmp_path):
    make_statuses()
    code, _, errors = ganbench(
        "run",
        tmp_path / "small.toml",
        *("--device", "cpu", "--results", tmp_path / "store"),
        *("--executor", "slurm(partition='nowhere')"),
    )
    assert code == 4
    assert "Slurm refuses the jobs" in errors
    assert "partition" in errors
