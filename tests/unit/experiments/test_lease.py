"""Leases: one owner at a time, also between machines, with wrong clocks and dead owners."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from executor_runs import wait_until

from ganbench.experiments import lease as leases
from ganbench.experiments.lease import Busy, Lease, LeaseLost, claim_path, read_holder

OLD = leases.EXPIRY_SECONDS + 1  # age in seconds

HOLD = """
import sys, time
from pathlib import Path
from ganbench.experiments import lease as leases
folder, machine, renewal, clock = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
leases.describe_system = lambda: {"machine": machine, "boot": machine, "space": ""}
leases.RENEWAL_SECONDS = renewal
real_time = time.time
time.time = lambda: real_time() + clock
held = leases.Lease.acquire(folder)
print("held", flush=True)
for line in sys.stdin:
    print("lost" if held.lost.is_set() else "held", flush=True)
"""
RACE = """
import sys
from pathlib import Path
from ganbench.experiments.lease import Busy, Lease
for number in range(100):
    sys.stdin.readline()
    try:
        Lease.acquire(Path(sys.argv[1]) / str(number))
        print("won", flush=True)
    except Busy:
        print("busy", flush=True)
"""


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "trial"


@pytest.fixture
def start_owner(folder):
    """Starts an owner on a machine of that name, with its own clock."""
    processes = []

    def start(machine="elsewhere", renewal=0.1, clock=0.0):
        command = [sys.executable, "-c", HOLD, folder, machine, str(renewal), str(clock)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def while_watched(monkeypatch):
    """Replaces the wait for a renewal by an action; returns the list of waits in seconds."""

    def replace_wait(action=lambda: None):
        waits = []

        def wait(seconds):
            waits.append(seconds)
            action()

        monkeypatch.setattr(leases, "does_change", partial(leases.does_change, sleep=wait))
        return waits

    return replace_wait


def set_age(folder, seconds):
    """Sets the time of the last renewal to this many seconds ago; returns that time."""
    path = claim_path(folder, 1) / "owner.json"
    os.utime(path, (time.time() - seconds, time.time() - seconds))
    return path.stat().st_mtime


def wait_for_renewal(folder, since):
    """Waits until the owner renews a lease whose last renewal was at that time."""
    wait_until(lambda: (claim_path(folder, 1) / "owner.json").stat().st_mtime != since)


def kill(owner):
    """Kills an owner and waits for its end, so that it renews nothing later."""
    owner.kill()
    owner.wait()


def test_lease_has_one_owner(folder):
    lease = Lease.acquire(folder)
    with pytest.raises(Busy):
        Lease.acquire(folder)
    lease.release()
    Lease.acquire(folder).release()
    assert [path.name for path in (folder / "leases").iterdir()] == ["000002"]


def test_owner_elsewhere_keeps_its_lease(folder, start_owner, while_watched):
    waits = while_watched()
    start_owner()
    wait_for_renewal(folder, set_age(folder, OLD))
    with pytest.raises(Busy):
        Lease.acquire(folder)
    assert waits == []


def test_killed_owner_elsewhere_expires(folder, start_owner, while_watched):
    waits = while_watched()
    kill(start_owner())
    set_age(folder, 0)
    with pytest.raises(Busy):
        Lease.acquire(folder)  # it may be alive until its lease is old
    assert waits == []
    set_age(folder, OLD)
    Lease.acquire(folder).release()
    assert waits == [leases.CONFIRM_SECONDS]


def test_killed_owner_here_expires_at_once(folder):
    script = HOLD.replace("leases.describe_system", "unused")
    owner = subprocess.Popen(
        [sys.executable, "-c", script, folder, "here", "10", "0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout.readline() == "held\n"
    with pytest.raises(Busy):
        Lease.acquire(folder)
    owner.send_signal(signal.SIGKILL)  # not yet waited for: a zombie owns nothing
    wait_until(lambda: read_holder(folder) is None)
    Lease.acquire(folder).release()
    owner.communicate()


@pytest.mark.parametrize("seconds", [-7200, 7200])
def test_wrong_clock_of_owner_changes_nothing(folder, start_owner, while_watched, seconds):
    waits = while_watched()
    start_owner(clock=seconds)
    wait_for_renewal(folder, set_age(folder, OLD))
    with pytest.raises(Busy):
        Lease.acquire(folder)
    assert waits == []


@pytest.mark.parametrize("seconds", [-7200, 7200])
def test_jump_of_the_disks_clock_keeps_a_living_lease(folder, start_owner, while_watched, seconds):
    start_owner(renewal=3600)
    set_age(folder, seconds)
    waits = while_watched(lambda: set_age(folder, 0))  # as a renewal does
    with pytest.raises(Busy):
        Lease.acquire(folder)
    assert waits == [leases.CONFIRM_SECONDS]


def test_watch_covers_two_renewals():
    assert leases.CONFIRM_SECONDS > 2 * leases.RENEWAL_SECONDS


@pytest.mark.parametrize("seconds", [-7200, 7200])
def test_jump_of_the_clock_frees_a_dead_lease(folder, start_owner, while_watched, seconds):
    waits = while_watched()
    kill(start_owner())
    set_age(folder, seconds)
    Lease.acquire(folder).release()
    assert waits == [leases.CONFIRM_SECONDS]


def test_suspended_owner_finds_its_lease_lost(folder, start_owner, while_watched):
    while_watched()
    owner = start_owner()
    owner.send_signal(signal.SIGSTOP)
    os.waitpid(owner.pid, os.WUNTRACED)  # until it has stopped
    set_age(folder, OLD)
    Lease.acquire(folder)
    owner.send_signal(signal.SIGCONT)
    wait_until(lambda: ask(owner) == "lost")


def ask(owner):
    """Returns what an owner says of its lease: `held` or `lost`."""
    owner.stdin.write("?\n")
    owner.stdin.flush()
    return owner.stdout.readline().strip()


def test_lost_lease_stops_the_training(folder):
    lease = Lease.acquire(folder)
    assert not lease.guard(lambda: False)()
    assert lease.guard(lambda: True)()
    lease.lost.set()
    with pytest.raises(LeaseLost, match="trial"):
        lease.guard(lambda: False)()


def test_another_boot_does_not_own_this_process_id(folder, monkeypatch, while_watched):
    while_watched()
    lease = Lease.acquire(folder)  # a process of this id lives, but under another boot
    lease.ended.set()
    monkeypatch.setattr(leases, "describe_system", lambda: {"machine": "here", "boot": "later"})
    set_age(folder, OLD)
    Lease.acquire(folder).release()


def test_two_processes_never_both_win(tmp_path):
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    rivals = [subprocess.Popen([sys.executable, "-c", RACE, tmp_path], **pipes) for _ in range(2)]
    for _ in range(100):
        for rival in rivals:
            rival.stdin.write("go\n")
            rival.stdin.flush()
        assert sorted(rival.stdout.readline() for rival in rivals) == ["busy\n", "won\n"]
    for rival in rivals:
        rival.communicate()


def test_threads_never_both_win(folder):
    barrier = threading.Barrier(8)

    def claim(_):
        barrier.wait()
        try:
            return Lease.acquire(folder)
        except Busy:
            return None

    with ThreadPoolExecutor(8) as pool:
        won = [lease for lease in pool.map(claim, range(8)) if lease]
    assert len(won) == 1


def test_holder_is_shown(folder, start_owner):
    assert read_holder(folder) is None
    owner = start_owner("node7")
    holder = read_holder(folder)
    assert (holder["machine"], holder["process"]) == ("node7", owner.pid)


def test_damaged_owner_file_expires(folder, while_watched):
    while_watched()
    lease = Lease.acquire(folder)
    lease.ended.set()
    lease.owner_path.write_text("{")
    set_age(folder, OLD)
    Lease.acquire(folder).release()


def test_failing_network_disk_frees_no_lease(folder, start_owner, monkeypatch):
    kill(start_owner())
    set_age(folder, OLD)

    def fail(*_):
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(leases, "read_time", fail)
    with pytest.raises(Busy):
        Lease.acquire(folder)


def test_hidden_process_keeps_its_lease(folder, monkeypatch):
    Lease.acquire(folder).ended.set()
    monkeypatch.setattr(leases, "describe_process", lambda _: None)  # as under hidepid=2
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(Busy):
        Lease.acquire(folder)


def test_full_disk_is_not_busy(folder, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(OSError, match="No space"):
        Lease.acquire(folder)
    assert list((folder / "leases").iterdir()) == []
