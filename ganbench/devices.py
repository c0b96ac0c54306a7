"""Devices: selection, peak memory, and the numerics that every trial records."""

import os
import resource
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from ganbench.counts import count_of
from ganbench.registry import SpecError, parse_spec, suggest

if TYPE_CHECKING:
    import torch

Dtype = Literal["float32", "bfloat16"]
MemoryFormat = Literal["contiguous", "channels_last"]
MAX_GPUS = 64  # of a trial; all of them are in one machine
CUDA_ONLY = ("tf32", "graph")  # settings that exist on NVIDIA GPUs alone

PROCESS_STATUS_FILE, CLEAR_REFS_FILE = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Numerics:
    """The arithmetic of a training. It affects the last digits and is in a trial's identity.

    With `bfloat16`, networks compute in it, and weights, losses and optimizers stay in float32.
    `graph` replays training steps as CUDA graphs. `compile` compiles networks by torch.compile.
    `stacked` trains seeds as members of one program; their number affects rounding alone.
    `gpus` processes train together, each on its GPU and its slice of every batch. On a CPU they are
    processes of `threads` threads.
    Raises SpecError for an unknown value.
    """

    device: str = "cpu"
    dtype: Dtype = "float32"
    tf32: bool = False
    compile: bool = False
    threads: int = 1
    memory_format: MemoryFormat = "contiguous"
    graph: bool = False
    stacked: bool = False
    gpus: int = 1

    neutral: ClassVar[dict[str, Any]] = {
        "memory_format": "contiguous",
        "graph": False,
        "stacked": False,
        "gpus": 1,
    }

    def __post_init__(self) -> None:
        for name, choices in (("dtype", Dtype), ("memory_format", MemoryFormat)):
            check_choice(name, getattr(self, name), get_args(choices))
        if not 1 <= self.gpus <= MAX_GPUS:
            raise SpecError(f"numerics: gpus must be from 1 to {MAX_GPUS}, not {self.gpus}")

    @classmethod
    def from_spec(cls, device: str, spec: str) -> "Numerics":
        """Returns the numerics of a spec such as `numerics(graph=true)`; neutral if it is empty."""
        settings: dict[str, Any] = dict(parse_spec(spec).settings) if spec else {}
        return cls(device, **settings)

    def incompatibility(self) -> str | None:
        """Returns the reason why a training cannot have these numerics, or None."""
        wanted = [name for name in CUDA_ONLY if getattr(self, name)]
        if wanted and self.device != "cuda":
            return f"numerics: {wanted[0]} needs the device cuda, and this is {self.device}"
        if self.graph and self.compile:
            return "numerics: choose graph or compile; both together are not supported"
        if self.stacked and (other := self.first_beside_stacked()):
            return f"numerics: stacked seeds train in eager float32: leave out {other} or stacked"
        return self.refuse_gpus() if self.gpus > 1 else None

    def refuse_gpus(self) -> str | None:
        """Returns the reason why several processes cannot train with these numerics, or None."""
        if other := next((n for n in ("stacked", "graph", "compile") if getattr(self, n)), None):
            return f"numerics: gpus = {self.gpus} and {other} do not work together: leave out one"
        if (present := count_gpus(self.device)) is not None and present < self.gpus:
            found = count_of(present, "GPU")
            return f"numerics: gpus = {self.gpus}, and this machine has {found} for {self.device}"
        return None

    def first_beside_stacked(self) -> str | None:
        """Returns the first setting that stacked seeds do not support, or None."""
        plain = Numerics()
        names = ("dtype", "memory_format", "graph", "compile")
        return next((n for n in names if getattr(self, n) != getattr(plain, n)), None)

    def identity(self) -> dict[str, Any]:
        """Returns plain data, without neutral values of settings that were added later."""
        return {k: v for k, v in asdict(self).items() if self.neutral.get(k, ...) != v}

    def apply(self) -> None:
        """Applies these numerics to the current process."""
        import torch
        from threadpoolctl import threadpool_limits

        torch.set_num_threads(self.threads)
        threadpool_limits(self.threads)  # NumPy's BLAS too: last digits of metrics depend on it
        set_tf32(self.tf32)


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Raises SpecError if a setting of the numerics has none of these values."""
    if value not in choices:
        hint = suggest(str(value), choices)
        raise SpecError(f"numerics: {name} must be {' or '.join(choices)}, not {value!r}{hint}")


def set_tf32(allowed: bool) -> None:
    """Allows or forbids TensorFloat-32 in matrix products and convolutions on a GPU."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


@contextmanager
def full_precision() -> Iterator[None]:
    """Forbids TensorFloat-32 inside the context and restores the setting afterwards."""
    import torch

    backends: list[Any] = [torch.backends.cuda.matmul, torch.backends.cudnn]
    before = [backend.allow_tf32 for backend in backends]
    set_tf32(False)
    try:
        yield
    finally:
        for backend, allowed in zip(backends, before, strict=True):
            backend.allow_tf32 = allowed


def available_devices() -> list[str]:
    """Returns the devices of this machine, the best one last."""
    import torch

    usable = {
        "cpu": True,
        "mps": torch.backends.mps.is_available(),
        "cuda": torch.cuda.is_available(),
    }
    return [device for device, is_available in usable.items() if is_available]


def select_device(wanted: str) -> str:
    """Returns the wanted device, or the best one for `auto`; raises SpecError if it is absent."""
    available = available_devices()
    if wanted == "auto":
        return available[-1]
    if wanted not in available:
        raise SpecError(
            f"device {wanted} is not on this machine; available: {' and '.join(available)}"
        )
    return wanted


def count_gpus(device: str) -> int | None:
    """Returns the number of GPUs for a device, or None for a CPU, where processes share cores."""
    if device == "cpu":
        return None
    import torch

    return torch.cuda.device_count() if device == "cuda" else 1


def usable_cpus() -> int:
    """Returns the number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def reset_peak_memory(device: "torch.device") -> None:
    """Resets the peak memory if the system allows it, because a worker runs many trials."""
    import torch

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif CLEAR_REFS_FILE.exists():
        try:
            CLEAR_REFS_FILE.write_text("5")
        except OSError:
            return


def peak_memory(device: "torch.device") -> int:
    """Returns the peak memory in bytes since the last reset, or since the process began.

    The number covers PyTorch's allocations on a GPU and the resident set of the process on a CPU.
    """
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if PROCESS_STATUS_FILE.exists():
        lines = PROCESS_STATUS_FILE.read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        return int(fields["VmHWM"].split()[0]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
