"""GPU timing with CUDA events, and detection of throttled windows with NVML.

Unmeasured: this code has not run on a GPU yet. Tests use a simulated NVML.
"""

import importlib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import torch

MIN_CLOCK_SHARE = 0.8  # of the highest observed clock; below it, a window counts as throttled
# NVML's throttle reasons for heat or power. Idle, application and display clocks do not count.
THROTTLE_REASONS = {
    0x4: "power",
    0x8: "hardware slowdown",
    0x20: "heat (software)",
    0x40: "heat (hardware)",
    0x80: "power brake",
}
MAX_GPU_WINDOWS = 9


@dataclass(frozen=True)
class GPUSample:
    """The NVML readings after a window; None where NVML is not available."""

    clock: int | None = None  # of the multiprocessors, MHz
    heat: int | None = None  # degrees Celsius
    reasons: tuple[str, ...] = ()  # active throttle reasons

    def record(self) -> dict[str, Any]:
        return asdict(self)


def held_back_windows(looks: Sequence[GPUSample], highest: int) -> list[bool]:
    """Returns a flag per window: throttled for heat or power, or far below the highest clock."""
    return [
        bool(look.reasons) or (look.clock is not None and look.clock < MIN_CLOCK_SHARE * highest)
        for look in looks
    ]


def throttle_reasons(bits: int) -> tuple[str, ...]:
    return tuple(name for bit, name in THROTTLE_REASONS.items() if bits & bit)


class GPUMonitor:
    """NVML for one device; without `nvidia-ml-py`, samples are empty and `nvml` is None."""

    def __init__(self, nvml: Any = None, index: int = 0):
        self.given, self.index, self.highest = nvml, index, 0

    @cached_property
    def nvml(self) -> Any:
        if self.given is not None:
            return self.given
        try:
            library = importlib.import_module("pynvml")
            library.nvmlInit()
        except Exception:  # NVML is not installed, or there is no driver
            return None
        return library

    @cached_property
    def handle(self) -> Any:
        """The device handle by UUID, because NVML's indices ignore CUDA_VISIBLE_DEVICES."""
        if self.given is not None:
            return self.nvml.nvmlDeviceGetHandleByIndex(self.index)
        uuid = f"GPU-{torch.cuda.get_device_properties(self.index).uuid}"
        return self.nvml.nvmlDeviceGetHandleByUUID(uuid)

    def other_processes(self) -> list[int]:
        """Returns the ids of other processes on the device."""
        if self.nvml is None:
            return []
        running = self.nvml.nvmlDeviceGetComputeRunningProcesses(self.handle)
        return sorted(process.pid for process in running if process.pid != os.getpid())

    def sample_gpu(self) -> GPUSample:
        if self.nvml is None:
            return GPUSample()
        clock = self.nvml.nvmlDeviceGetClockInfo(self.handle, self.nvml.NVML_CLOCK_SM)
        heat = self.nvml.nvmlDeviceGetTemperature(self.handle, self.nvml.NVML_TEMPERATURE_GPU)
        bits = self.nvml.nvmlDeviceGetCurrentClocksThrottleReasons(self.handle)
        self.highest = max(self.highest, clock)
        return GPUSample(clock, heat, throttle_reasons(bits))

    def describe_gpu(self) -> dict[str, Any]:
        return {"nvml": self.nvml is not None, "look": self.sample_gpu().record()}


GPU_MONITOR = GPUMonitor()


class EventClock:
    """A timer for pytest-benchmark: seconds by CUDA events; each reading waits for the device."""

    def __init__(self) -> None:
        self.before: Any = None
        self.seconds = 0.0

    def __call__(self) -> float:
        now = torch.cuda.Event(enable_timing=True)
        now.record()
        now.synchronize()
        if (
            self.before is not None
        ):  # sums short intervals, since elapsed_time is a float32 in milliseconds
            self.seconds += self.before.elapsed_time(now) / 1000
        self.before = now
        return self.seconds
