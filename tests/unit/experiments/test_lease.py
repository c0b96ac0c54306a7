"""Leases: one owner at a time, also between machines, with wrong clocks and dead owners."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ganbench.experiments import lease as leases
from ganbench.experiments.lease import Busy, Lease, LeaseLost, claim_path, read_holder

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
def short_times(monkeypatch):
    """Makes leases of other machines expire after half a second."""
    monkeypatch.setattr(leases, "EXPIRY_SECONDS", 0.5)
    monkeypatch.setattr(leases, "CONFIRM_SECONDS", 0.4)


def set_time(folder, seconds):
    """Sets the time of the last renewal to this many seconds from now."""
    path = claim_path(folder, 1) / "owner.json"
    os.utime(path, (time.time() + seconds, time.time() + seconds))


def test_lease_has_one_owner(folder):
    lease = Lease.acquire(folder)
    with pytest.raises(Busy):
        Lease.acquire(folder)
    lease.release()
    Lease.acquire(folder).release()
    assert [path.name for path in (folder / "leases").iterdir()] == ["000002"]


def test_owner_elsewhere_keeps_its_lease(folder, start_owner, short_times):
    start_owner()
    time.sleep(0.8)
    with pytest.raises(Busy):
        Lease.acquire(folder)


def test_killed_owner_elsewhere_expires(folder, start_owner, short_times):
    owner = start_owner()
    owner.kill()
    with pytest.raises(Busy):
        Lease.acquire(folder)  # it may be alive for half a second
    time.sleep(0.6)
    Lease.acquire(folder).release()


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
    deadline = time.monotonic() + 10
    while read_holder(folder) and time.monotonic() < deadline:
        time.sleep(0.01)
    Lease.acquire(folder).release()
    owner.communicate()


@pytest.mark.parametrize("seconds", [-7200, 7200])
def test_wrong_clock_of_owner_changes_nothing(folder, start_owner, short_times, seconds):
    start_owner(clock=seconds)
    time.sleep(0.8)
    with pytest.raises(Busy):
        Lease.acquire(folder)


@pytest.mark.parametrize("seconds", [-7200, 7200])
def test_jump_of_the_disks_clock_keeps_a_living_lease(folder, start_owner, short_times, seconds):
    start_owner(renewal=0.3)
    set_time(folder, seconds)
    with pytest.raises(Busy):
        Lease.acquire(folder)


@pytest.mark.parametrize("seconds", [-7200, 7200])
def test_jump_of_the_clock_frees_a_dead_lease(folder, start_owner, short_times, seconds):
    start_owner().kill()
    set_time(folder, seconds)
    Lease.acquire(folder).release()


def test_suspended_owner_finds_its_lease_lost(folder, start_owner, short_times):
    owner = start_owner()
    owner.send_signal(signal.SIGSTOP)
    time.sleep(0.6)
    Lease.acquire(folder)
    owner.send_signal(signal.SIGCONT)
    time.sleep(0.5)
    owner.stdin.write("?\n")
    owner.stdin.flush()
    assert owner.stdout.readline() == "lost\n"


def test_lost_lease_stops_the_training(folder):
    lease = Lease.acquire(folder)
    assert not lease.guard(lambda: False)()
    assert lease.guard(lambda: True)()
    lease.lost.set()
    with pytest.raises(LeaseLost, match="trial"):
        lease.guard(lambda: False)()


def test_another_boot_does_not_own_this_process_id(folder, monkeypatch, short_times):
    lease = Lease.acquire(folder)  # a process of this id lives, but under another boot
    lease.ended.set()
    monkeypatch.setattr(leases, "describe_system", lambda: {"machine": "here", "boot": "later"})
    time.sleep(0.6)
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


def test_damaged_owner_file_expires(folder, short_times):
    lease = Lease.acquire(folder)
    lease.ended.set()
    lease.owner_path.write_text("{")
    time.sleep(0.6)
    Lease.acquire(folder).release()


def test_failing_network_disk_frees_no_lease(folder, start_owner, short_times, monkeypatch):
    start_owner().kill()
    time.sleep(0.6)

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
