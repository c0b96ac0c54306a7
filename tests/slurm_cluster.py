"""A real Slurm of one node, from Debian's packages slurmctld, slurmd, slurm-client and munge.

`with SlurmCluster(folder) as environment:` starts it in a folder; its commands find it by the environment.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue")
SECONDS_TO_START = 30
CONFIGURATION = """
ClusterName=ganbench
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
JobRequeue=1
KillWait=10
MinJobAge=120
MaxArraySize={array_size}
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def find_slurm() -> bool:
    """Returns whether this machine has Slurm's programs, and may start them."""
    return os.geteuid() == 0 and all(map(find_program, PROGRAMS))


def find_program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


class SlurmCluster:
    """Starts and stops the daemons; the value of the context is the environment of commands."""

    def __init__(self, folder: Path, array_size: int = 1001):
        self.folder, self.array_size = folder, array_size
        self.daemons: list[subprocess.Popen] = []

    def __enter__(self) -> dict[str, str]:
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True)
        self.folder.chmod(0o755)
        configuration = CONFIGURATION.format(
            folder=self.folder,
            host=socket.gethostname().partition(".")[0],
            controller_port=free_port(),
            node_port=free_port(),
            array_size=self.array_size,
        )
        (self.folder / "slurm.conf").write_text(configuration)
        self.environment = {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")}
        self.start_munge()
        self.start("slurmctld", "-D", "-f", str(self.folder / "slurm.conf"))
        self.start("slurmd", "-D", "-f", str(self.folder / "slurm.conf"))
        self.wait_for_node()
        return self.environment

    def start_munge(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        places = {name: self.folder / f"munge.{name}" for name in ("socket", "pid", "log", "seed")}
        self.start(
            "munged",
            "--foreground",
            "--force",
            f"--key-file={key}",
            f"--socket={places['socket']}",
            f"--pid-file={places['pid']}",
            f"--log-file={places['log']}",
            f"--seed-file={places['seed']}",
        )
        wait_until(places["socket"].exists, "munged has no socket")

    def start(self, program: str, *arguments: str) -> None:
        with open(self.folder / f"{program}.out", "wb") as output:
            daemon = subprocess.Popen(
                [find_program(program), *arguments],
                stdout=output,
                stderr=output,
                env=self.environment,
                start_new_session=True,
            )
        self.daemons.append(daemon)

    def wait_for_node(self) -> None:
        def is_idle() -> bool:
            command = [find_program("sinfo"), "--noheader", "--format=%t"]
            shown = subprocess.run(command, env=self.environment, capture_output=True, text=True)
            return shown.stdout.strip() == "idle"

        wait_until(is_idle, f"the node is not idle: see {self.folder}/slurmctld.log")

    def __exit__(self, *_: object) -> None:
        for daemon in reversed(self.daemons):
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def wait_until(condition, message: str) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(message)
        time.sleep(0.2)


def free_port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return place.getsockname()[1]
