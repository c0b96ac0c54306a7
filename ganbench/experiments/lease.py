"""A lease: the right of one process to write a folder, on a disk that machines may share.

    leases/<number>/owner.json     one folder for each owner so far; the highest number counts

A claim is a folder that is renamed to the next number, which fails where another claim came first. It
needs an atomic rename and file times alone, which network file systems have. The owner renews the time
of its file every few seconds. A lease expires when its owner is gone:

- on the same machine, when its process is gone;
- on another machine, when its file is old by the clock of the disk and then stays unchanged for longer
  than the time between two renewals. A wrong clock alone thus takes no lease from its owner.

An owner that was suspended for so long finds that its lease is lost when it goes on.
"""

import json
import os
import platform
import shutil
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from ganbench.errors import GanbenchError
from ganbench.files import has_process, temporary_path

RENEWAL_SECONDS = 10.0
EXPIRY_SECONDS = 60.0  # age from which on a lease of another machine may be taken over
CONFIRM_SECONDS = 25.0  # of watching such a lease before that: more than two renewals
LEASES, OWNER, RELEASED = "leases", "owner.json", "released"


class Busy(GanbenchError, RuntimeError):
    """Another process holds the lease of this trial."""


class LeaseLost(Busy):
    """Another process took over the trial while this one was suspended or cut off."""


class Lease:
    """A claim to a folder. The holder of the highest number owns it until it is released."""

    def __init__(self, folder: Path, number: int):
        self.folder, self.number = folder, number
        self.owner_path = claim_path(folder, number) / OWNER
        self.ended, self.lost = threading.Event(), threading.Event()
        self.renewal = threading.Thread(target=self._renew, name="lease", daemon=True)

    @classmethod
    def acquire(cls, folder: Path) -> Self:
        """Claims a folder; raises Busy if another process owns it, or is faster."""
        latest = latest_number(folder)
        if latest and is_held(folder, latest):
            raise Busy(f"another run is training {folder.name}")
        if not rename_claim(folder, latest + 1):
            raise Busy(f"another run has just begun to train {folder.name}")
        delete_older_claims(folder, latest + 1)
        lease = cls(folder, latest + 1)
        lease.renewal.start()
        return lease

    def release(self) -> None:
        """Ends the lease, so that the next claim need not wait."""
        self.ended.set()
        with suppress(OSError):  # a full disk: the lease expires with this process
            self.owner_path.with_name(RELEASED).touch()

    def guard(self, stop: Callable[[], bool]) -> Callable[[], bool]:
        """Returns a `stop` that raises LeaseLost once another process has taken over."""

        def stop_if_owned() -> bool:
            if self.lost.is_set():
                raise LeaseLost(f"another process took over {self.folder.name}")
            return stop()

        return stop_if_owned

    def _renew(self) -> None:
        while not self.ended.wait(RENEWAL_SECONDS):
            with suppress(OSError):  # the network may be away for a while
                if latest_number(self.folder) > self.number:
                    self.lost.set()
                    return
                os.utime(self.owner_path)


def rename_claim(folder: Path, number: int) -> bool:
    """Claims a number for this process; returns whether no other process was faster."""
    claim = temporary_path(folder / LEASES / uuid.uuid4().hex)
    claim.mkdir(parents=True)
    try:
        (claim / OWNER).write_text(json.dumps(describe_this_process()))
        os.rename(claim, claim_path(folder, number))
    except OSError:
        if not claim_path(folder, number).exists():  # for example a full disk
            raise
        return False
    finally:
        shutil.rmtree(claim, ignore_errors=True)
    if latest_number(folder) == number:
        return True
    shutil.rmtree(claim_path(folder, number))  # the list of numbers was an old one
    return False


def delete_older_claims(folder: Path, number: int) -> None:
    for path in (folder / LEASES).glob("[0-9]*"):
        if int(path.name) < number:
            shutil.rmtree(path, ignore_errors=True)


def claim_path(folder: Path, number: int) -> Path:
    return folder / LEASES / f"{number:06d}"


def latest_number(folder: Path) -> int:
    """Returns the number of the latest claim, or 0 if there is none."""
    return max((int(path.name) for path in (folder / LEASES).glob("[0-9]*")), default=0)


def is_held(folder: Path, number: int) -> bool:
    """Returns whether the owner of a lease may be alive; watches one that looks expired.

    An owner may be alive while a network disk fails.
    """
    path = claim_path(folder, number) / OWNER
    owner = read_owner(path)
    if path.with_name(RELEASED).exists():
        return False
    if is_of_this_system(owner):
        return is_alive(owner)
    try:
        age = measure_age(folder, path)
        if age is None or abs(age) <= EXPIRY_SECONDS:
            return age is not None
        return does_change(path)  # a clock that was set back gives a negative age
    except OSError:
        return True


def read_holder(folder: Path) -> dict[str, Any] | None:
    """Returns the machine and process that seem to own a folder now, or None; never waits."""
    number = latest_number(folder)
    path = claim_path(folder, number) / OWNER
    owner, renewed = read_owner(path), read_time_or_none(path)
    if not number or renewed is None or path.with_name(RELEASED).exists():
        return None
    if is_of_this_system(owner):
        return owner if is_alive(owner) else None
    return owner if time.time() - renewed <= EXPIRY_SECONDS else None


def read_owner(path: Path) -> dict[str, Any]:
    """Returns the content of an owner's file, or an empty dict if it is missing or damaged."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) and is_number(content.get("process")) else {}


def is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def read_time(path: Path) -> float | None:
    """Returns the time of a file, or None if it is missing.

    It opens the file, since network disks refresh its time then.
    """
    try:
        with open(path, "rb") as file:
            return os.fstat(file.fileno()).st_mtime
    except FileNotFoundError:
        return None


def read_time_or_none(path: Path) -> float | None:
    """Returns the time of a file, or None if it cannot be read."""
    try:
        return read_time(path)
    except OSError:
        return None


def measure_age(folder: Path, path: Path) -> float | None:
    """Returns the seconds since the last renewal by the clock of the disk, or None."""
    probe = temporary_path(folder / LEASES / uuid.uuid4().hex)
    try:
        probe.write_bytes(b"now")
        now, renewed = read_time(probe), read_time(path)
    finally:
        probe.unlink(missing_ok=True)
    return None if renewed is None or now is None else now - renewed


def does_change(path: Path, sleep: Callable[[float], None] = time.sleep) -> bool:
    """Returns whether a lease is renewed while this process watches it."""
    before = read_time(path)
    sleep(CONFIRM_SECONDS)
    return read_time(path) != before


def describe_this_process() -> dict[str, Any]:
    return describe_process(os.getpid()) or {"process": os.getpid(), **describe_system()}


def describe_process(process: int) -> dict[str, Any] | None:
    """Returns a description of a process on this system that no later process shares, or None."""
    try:
        with open(f"/proc/{process}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return describe_without_proc(process)
    state, started = fields[0], fields[19]
    if state in "ZX":  # dead, and not yet collected by its parent
        return None
    return {"process": process, "started": started, **describe_system()}


def describe_without_proc(process: int) -> dict[str, Any] | None:
    """Returns the description of a living process where the system has no /proc."""
    if Path("/proc/self/stat").exists() or not has_process(process):
        return None
    return {"process": process, "started": "", **describe_system()}


def is_alive(owner: dict[str, Any]) -> bool:
    """Returns whether an owner on this system is alive, even if it is hidden from this user."""
    process = owner["process"]
    if (now := describe_process(process)) is not None:
        return now == owner
    return not os.access(f"/proc/{process}/stat", os.R_OK) and has_process(process)


def is_of_this_system(owner: dict[str, Any]) -> bool:
    return {key: owner.get(key) for key in describe_system()} == describe_system()


@lru_cache
def describe_system() -> dict[str, str]:
    """Returns the name of this machine, its boot, and its space of process numbers.

    Containers may share a name, so the name alone does not identify a system.
    """
    return {
        "machine": platform.node(),
        "boot": read_text("/proc/sys/kernel/random/boot_id"),
        "space": read_link("/proc/self/ns/pid"),
    }


def read_text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def read_link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
