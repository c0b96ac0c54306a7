"""A GPU that is watched: CUDA events tell the time, NVML whether the clock was held back meanwhile.

Unmeasured: no GPU has run this yet. The logic is tested with an NVML that is played.
"""

import importlib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import torch

MIN_CLOCK_SHARE = (
    0.8  # of the highest clock seen: a window below it says more of the cooling than of the code
)
# What slows the clock for heat or power; the reasons idle, application's and display clocks are none of ours.
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
    """What NVML said after a window; numbers are None where it says nothing."""

    clock: int | None = None  # of the multiprocessors, MHz
    heat: int | None = None  # degrees Celsius
    reasons: tuple[str, ...] = ()  # why the clock is held back

    def record(self) -> dict[str, Any]:
        return asdict(self)


def held_back_windows(looks: Sequence[GPUSample], highest: int) -> list[bool]:
    """Which windows ran below the clock that this GPU was seen to reach, or were slowed for heat or power."""
    return [
        bool(look.reasons) or (look.clock is not None and look.clock < MIN_CLOCK_SHARE * highest)
        for look in looks
    ]


def throttle_reasons(bits: int) -> tuple[str, ...]:
    return tuple(name for bit, name in THROTTLE_REASONS.items() if bits & bit)


class GPUMonitor:
    """NVML on one device; without `nvidia-ml-py` it sees nothing, and says so."""

    def __init__(self, nvml: Any = None, index: int = 0):
        self.given, self.index, self.highest = nvml, index, 0

    @cached_property
    def nvml(self) -> Any:
        if self.given is not None:
            return self.given
        try:
            library = importlib.import_module("pynvml")
            library.nvmlInit()
        except Exception:  # not installed, or no driver
            return None
        return library

    @cached_property
    def handle(self) -> Any:
        """By its UUID: NVML counts devices that CUDA_VISIBLE_DEVICES hides."""
        if self.given is not None:
            return self.nvml.nvmlDeviceGetHandleByIndex(self.index)
        uuid = f"GPU-{torch.cuda.get_device_properties(self.index).uuid}"
        return self.nvml.nvmlDeviceGetHandleByUUID(uuid)

    def other_processes(self) -> list[int]:
        """Processes on the device beside this one."""
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
    """Seconds by CUDA events, for pytest-benchmark's timer: each reading waits for the device."""

    def __init__(self) -> None:
        self.before: Any = None
        self.seconds = 0.0

    def __call__(self) -> float:
        now = torch.cuda.Event(enable_timing=True)
        now.record()
        now.synchronize()
        if self.before is not None:  # from event to event: a float32 of milliseconds soon runs out
            self.seconds += self.before.elapsed_time(now) / 1000
        self.before = now
        return self.seconds
