"""The Ray executor runs trials on a Ray cluster, with shares of GPUs.

Ray is documented on https://docs.ray.io. The connection to Ray is a process of its own, since Ray ends
the process that it runs in when the head node dies. The executor then connects again, for a while, and
sends the trials that were lost. All nodes must see the store under the same path, and have this version
of ganbench.
"""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import IO, Any

from ganbench.errors import GanbenchError, install_command

from .bundle import Bundle
from .remote import Carrier, ClusterLost, JobEnd, Remote

SECONDS_TO_CONNECT = 60.0
SECONDS_TO_RECONNECT = 300.0  # for a new head node to start
RETRY_SECONDS = 2.0


class RayNotInstalled(GanbenchError, RuntimeError):
    """The package ray is missing."""


@dataclass(frozen=True)
class Ray(Remote):
    """Runs each trial with `cpus` CPUs and `gpus` GPUs, which may be a share such as 0.25.

    `address` is host:port of a head node. Without one, RAY_ADDRESS counts, or a cluster of this machine
    alone is started.
    """

    address: str = ""
    cpus: float = 1.0
    gpus: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cpus < 0 or self.gpus < 0:
            raise ValueError("cpus and gpus must not be negative")

    def connect(self) -> Carrier:
        if find_spec("ray") is None:
            raise RayNotInstalled(
                f"the executor ray needs the package ray: {install_command('ray')}"
            )
        return RayCarrier(self)


class RayCarrier:
    """Sends bundles through the process that is connected to Ray."""

    def __init__(self, executor: Ray):
        self.executor = executor
        self.batch_size = executor.jobs
        self.active: dict[str, Bundle] = {}
        self.ended: dict[Bundle, JobEnd] = {}
        self.connection = RayConnection(executor.address)
        self.connection.wait_until_ready(SECONDS_TO_CONNECT)

    def submit(self, bundles: Sequence[Bundle]) -> None:
        self.reconnect()
        resources = {"num_cpus": self.executor.cpus, "num_gpus": self.executor.gpus}
        for bundle in bundles:
            self.active[str(bundle.path)] = bundle
            self.connection.send({"submit": str(bundle.path), "resources": resources})

    def poll(self) -> dict[Bundle, JobEnd]:
        is_alive = self.connection.is_alive()
        for message in self.connection.receive():
            if bundle := self.active.pop(message.get("ended", ""), None):
                self.ended[bundle] = JobEnd(message["reason"])
        if not is_alive:
            lost = JobEnd("the Ray cluster was lost", cluster_lost=True)
            self.ended |= dict.fromkeys(self.active.values(), lost)
            self.active.clear()
        return dict(self.ended)

    def forget(self, bundle: Bundle) -> None:
        self.ended.pop(bundle, None)

    def reconnect(self) -> None:
        """Waits for a new cluster if the old one was lost; raises ClusterLost after a while."""
        self.poll()  # jobs of the old cluster have ended
        last, deadline = self.connection.read_log(), time.monotonic() + SECONDS_TO_RECONNECT
        while not self.connection.is_alive():
            if time.monotonic() > deadline:
                raise ClusterLost(
                    "the Ray cluster is gone. Finished trials and checkpoints are kept. Start a new "
                    f"cluster and repeat the command; Ray's last output:\n{last}"
                )
            time.sleep(RETRY_SECONDS)
            self.connection = RayConnection(self.executor.address)
            with suppress(ClusterLost):
                self.connection.wait_until_ready(SECONDS_TO_CONNECT)

    def cancel_queued(self, not_begun: Sequence[Bundle]) -> None:
        for bundle in not_begun:
            self.connection.send({"cancel": str(bundle.path)})

    def close(self) -> None:
        self.connection.close()


class RayConnection:
    """The process that is connected to Ray; both sides send lines of JSON."""

    def __init__(self, address: str):
        self.log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ganbench.experiments.executors.ray_driver", address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            start_new_session=True,  # Ctrl-C belongs to the runner
        )
        self.messages: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            with suppress(ValueError):  # other output of Ray
                self.messages.put(json.loads(line))

    def wait_until_ready(self, seconds: float) -> None:
        """Waits for the connection; raises ClusterLost if there is no cluster."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and (self.is_alive() or not self.messages.empty()):
            with suppress(queue.Empty):
                if "ready" in self.messages.get(timeout=0.2):
                    return
        self.close()
        raise ClusterLost(f"no Ray cluster can be reached; Ray's last output:\n{self.read_log()}")

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin
        with suppress(OSError):  # the process has ended: the next poll finds out
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()

    def receive(self) -> list[dict[str, Any]]:
        """Returns the messages since the last call."""
        received = []
        with suppress(queue.Empty):
            while True:
                received.append(self.messages.get_nowait())
        return received

    def read_log(self, max_bytes: int = 2000) -> str:
        """Returns the last output of Ray."""
        size = os.fstat(self.log.fileno()).st_size
        start = max(0, size - max_bytes)
        return os.pread(self.log.fileno(), max_bytes, start).decode(errors="replace").strip()

    def close(self) -> None:
        """Ends the process, with the tasks that still run."""
        assert self.process.stdin
        with suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
