"""A machine's class: what must be the same for two measurements to belong to one series."""

import platform
import subprocess
from functools import cache
from pathlib import Path

from ganbench.devices import usable_cpus

CPUINFO = Path("/proc/cpuinfo")


def machine(device: str = "cpu") -> str:
    """One line: architecture and CPU, then torch's capability and the CPUs usable, or else the GPU.

    On a GPU the number of CPUs does not count, nor does that of GPUs: one of them is measured.
    """
    import torch

    facts = [platform.machine() or "unknown architecture", cpu()]
    if device.startswith("cuda"):
        return line([*facts, *gpu(device)])
    if device.startswith("mps"):
        return line([*facts, "MPS"])
    count = usable_cpus()
    return line([*facts, torch.backends.cpu.get_cpu_capability(), f"{count} CPU{'s'[: count > 1]}"])


def line(facts: list[str]) -> str:
    """With single spaces and commas between facts only."""
    return ", ".join(" ".join(fact.replace(",", " ").split()) for fact in facts)


def gpu(device: str) -> list[str]:
    """Its name, compute capability and memory, which cards of one name may differ in."""
    import torch

    found = torch.cuda.get_device_properties(torch.device(device))
    capability = f"compute capability {found.major}.{found.minor}"
    return [found.name, capability, f"{found.total_memory / 2**30:.0f} GiB"]


@cache
def cpu() -> str:
    """Its model; of ARM's, which Linux gives no name, implementer and part."""
    facts = cpuinfo()
    if named := facts.get("model name"):
        return named
    if "CPU part" in facts:
        return f"CPU {facts.get('CPU implementer', '')} {facts['CPU part']}"
    return brand() or platform.processor() or "unknown CPU"


def cpuinfo() -> dict[str, str]:
    """What Linux says of the first CPU."""
    try:
        first = CPUINFO.read_text(errors="replace").split("\n\n")[0]
    except OSError:
        return {}
    pairs = (entry.partition(":") for entry in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def brand() -> str:
    """What macOS says; nothing elsewhere."""
    if platform.system() != "Darwin":
        return ""
    command = ["sysctl", "-n", "machdep.cpu.brand_string"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""
