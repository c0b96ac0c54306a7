"""Followers: the other processes of a trial, each on a GPU and a slice of every batch.

The process that holds the trial leads. It starts the followers, and announces each method of the
trainer that all have to call. A follower writes nothing. It ends when the leader closes its pipe,
fails or dies; if a follower fails or dies, the trial fails in the leader.
"""

import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Self

import torch
from torch import distributed

from ganbench.errors import GanbenchError
from ganbench.gan.batch_slices import BatchSlice
from ganbench.registry import explain_error
from ganbench.training.build_trainer import make_trainer
from ganbench.training.distributed import DistributedTrainer
from ganbench.training.trainer import Diverged

from .session import Interrupted, TrainingRecord
from .signals import defer_ctrl_c, end_with_parent_process
from .store import Attempt, TrialFolder
from .trial import Trial

MESSAGE_TIMEOUT = timedelta(minutes=5)  # for a message between processes, which are in step
MAX_SECONDS_TO_EXPLAIN = 3.0  # for a follower that ended to have its reason arrive
MAX_SECONDS_TO_DIE = 30.0  # after the pipe closed: a busy machine frees gigabytes for seconds
MAX_SECONDS_TO_EXIT = 10.0
READY = "ready"


class ProcessFailed(GanbenchError, RuntimeError):
    """One of the processes of a trial failed or died."""


@dataclass(frozen=True, eq=False)
class Follower:
    """A follower as the leader handles it. The pipe carries orders, and back an error."""

    rank: int
    process: BaseProcess
    pipe: Connection

    def read_failure(self) -> tuple[bool, str] | None:
        """Returns whether its own work failed, and why; None if it goes on.

        Otherwise it lost the connection to another process, which failed before.
        """
        try:
            while self.pipe.poll():
                if (message := self.pipe.recv()) != READY:
                    return bool(message[0]), str(message[1])
        except (EOFError, OSError):  # it is dead, or about to be
            self.process.join(MAX_SECONDS_TO_DIE)
        if self.process.is_alive():
            return None
        code = self.process.exitcode or 0
        name = f", {signal.Signals(-code).name}" if code < 0 else ""
        return True, f"it ended with exit code {code}{name}"


class Followers:
    """The followers of a trial, from their start to their end. A context manager."""

    def __init__(self, record: TrainingRecord):
        self.count, self.device = record.trial.numerics.gpus, record.device
        self.folder = tempfile.TemporaryDirectory(prefix="ganbench-")
        self.members: list[Follower] = []
        self.closing = threading.Event()
        try:
            with defer_ctrl_c():  # followers inherit the blocked signals
                for rank in range(1, self.count):
                    self.members.append(self.start(rank, record))
        except BaseException as error:  # no memory, or too many processes
            self.__exit__(type(error))
            raise

    def start(self, rank: int, record: TrainingRecord) -> Follower:
        context = multiprocessing.get_context("spawn")
        own, other = context.Pipe()
        arguments = (rank, record.trial.to_json(), record.folder.folder, self.meeting_path, other)
        process = context.Process(target=follow, args=arguments)
        with other:
            process.start()
        return Follower(rank, process, own)

    @property
    def meeting_path(self) -> Path:
        """The file in which the processes find each other. No port is fixed, so none is taken."""
        return Path(self.folder.name) / "meeting"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.closing.set()
        for member in self.members:
            member.pipe.close()
        if distributed.is_initialized():
            with suppress(RuntimeError):
                distributed.destroy_process_group()
        for member in self.members:
            member.process.join(0 if error[0] else MAX_SECONDS_TO_EXIT)
            member.process.kill()
            member.process.join()
        self.folder.cleanup()

    def join_group(self) -> None:
        """Waits until all followers have built their trainers, then connects all processes.

        Raises ProcessFailed if one of them fails before.
        """
        for member in self.members:
            connection.wait([member.pipe, member.process.sentinel])
            if (failure := self.find_failure()) is not None:
                raise ProcessFailed(failure)
        join_group(BatchSlice(0, self.count), self.meeting_path, self.device)
        if self.device.type == "cuda":  # gloo notices a closed connection, NCCL waits for it
            threading.Thread(target=self.abort_after_death, daemon=True).start()

    def announce(self, method: str) -> None:
        """Makes the followers call a method of their trainers."""
        for member in self.members:
            try:
                member.pipe.send(method)
            except OSError:
                raise ProcessFailed(self.wait_for_failure() or "a process is gone") from None

    @contextmanager
    def explaining_failures(self) -> Iterator[None]:
        """Raises ProcessFailed, with the reason, if an error inside is that of a follower."""
        try:
            yield
        except (GanbenchError, Interrupted, torch.OutOfMemoryError):
            raise
        except RuntimeError as error:
            if reason := self.wait_for_failure() or explain_timeout(error):
                raise ProcessFailed(reason) from error
            raise

    def wait_for_failure(self) -> str | None:
        """Returns the failure of a follower that has just ended, or None."""
        ends = [handle for m in self.members for handle in (m.pipe, m.process.sentinel)]
        connection.wait(ends, MAX_SECONDS_TO_EXPLAIN)
        return self.find_failure()

    def find_failure(self) -> str | None:
        """Returns the sentence on a follower that failed, the one at fault before others."""
        failures = [(m.rank, found) for m in self.members if (found := m.read_failure())]
        for rank, (is_own, reason) in sorted(failures, key=lambda item: not item[1][0]):
            lost = "" if is_own else "lost the connection: "
            return f"process {rank + 1} of {self.count} failed: {lost}{reason}"
        return None

    def abort_after_death(self) -> None:
        """Ends the messages that this process waits for, once a follower is dead."""
        connection.wait([member.process.sentinel for member in self.members])
        if not self.closing.is_set() and distributed.group.WORLD is not None:
            distributed.group.WORLD.abort()


def explain_timeout(error: RuntimeError) -> str | None:
    """Returns the sentence on a message that did not come in time, or None for another error."""
    if not any(word in str(error) for word in ("Timed out", "timed out", "timeout")):
        return None
    seconds = MESSAGE_TIMEOUT.total_seconds()
    return f"a process of this trial did not answer for {seconds:g} s"


def follow(rank: int, trial: str, folder: Path, meeting_path: Path, orders: Connection) -> None:
    """Trains with the leader until it closes the pipe. The main function of a follower."""
    prepare_follower()
    try:
        own_trial = Trial.from_json(trial)
        own_trial.numerics.apply()
        if own_trial.device == "cuda":
            torch.cuda.set_device(rank)
        record = TrainingRecord(own_trial, TrialFolder(folder), Attempt(folder))  # only read
        trainer = make_slice_trainer(record, rank)
        orders.send(READY)
        join_group(trainer.place, meeting_path, torch.device(own_trial.device))
        obey(trainer, orders)
        distributed.destroy_process_group()
    except BaseException as error:
        is_lost = isinstance(error, RuntimeError) and not isinstance(
            error, (GanbenchError, torch.OutOfMemoryError)
        )
        with suppress(OSError):  # the leader is gone
            orders.send((not is_lost, explain_error(error)))
        os._exit(1)  # NCCL would wait for messages of processes that are gone


def prepare_follower() -> None:
    """Ignores the signals that stop a run, which the leader handles, and ends with the leader."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    end_with_parent_process()


def obey(trainer: DistributedTrainer, orders: Connection) -> None:
    """Calls the methods that the leader announces, until it closes the pipe."""
    while True:
        try:
            method = orders.recv()
        except EOFError:
            return
        with suppress(Diverged):  # the leader records it, and ends the training
            getattr(trainer, method)()


def make_slice_trainer(record: TrainingRecord, rank: int) -> DistributedTrainer:
    """Returns the trainer of a process, with the state of the trial's checkpoint."""
    numerics = record.trial.numerics
    eager = partial(DistributedTrainer, place=BatchSlice(rank, numerics.gpus))
    state = record.load_checkpoint()
    trainer = make_trainer(*record.build(), record.trial.budget, numerics, eager)
    assert isinstance(trainer, DistributedTrainer)
    if state:
        trainer.load_state_dict(state)
    return trainer


def join_group(place: BatchSlice, meeting_path: Path, device: torch.device) -> None:
    """Connects this process with the others, by NCCL on GPUs, else by gloo on this machine."""
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # nothing listens on the network
    distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        store=distributed.FileStore(str(meeting_path), place.count),  # type: ignore[attr-defined]
        rank=place.rank,
        world_size=place.count,
        timeout=MESSAGE_TIMEOUT,
    )
