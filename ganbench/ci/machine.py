"""A machine's class: what must be the same for two measurements to belong to one series."""

import platform
import subprocess
from functools import cache
from pathlib import Path

from ganbench.devices import usable_cpus

CPUINFO_FILE = Path("/proc/cpuinfo")


def describe_machine(device: str = "cpu") -> str:
    """One line: architecture and CPU, then torch's capability and the CPUs usable, or else the GPU.

    On a GPU the number of CPUs does not count, nor does that of GPUs: one of them is measured.
    """
    import torch

    facts = [platform.machine() or "unknown architecture", describe_cpu()]
    if device.startswith("cuda"):
        return join_facts([*facts, *describe_gpu_facts(device)])
    if device.startswith("mps"):
        return join_facts([*facts, "MPS"])
    count = usable_cpus()
    return join_facts(
        [*facts, torch.backends.cpu.get_cpu_capability(), f"{count} CPU{'s'[: count > 1]}"]
    )


def join_facts(facts: list[str]) -> str:
    """With single spaces and commas between facts only."""
    return ", ".join(" ".join(fact.replace(",", " ").split()) for fact in facts)


def describe_gpu_facts(device: str) -> list[str]:
    """Its name, compute capability and memory, which cards of one name may differ in."""
    import torch

    properties = torch.cuda.get_device_properties(torch.device(device))
    capability = f"compute capability {properties.major}.{properties.minor}"
    return [properties.name, capability, f"{properties.total_memory / 2**30:.0f} GiB"]


@cache
def describe_cpu() -> str:
    """Its model; of ARM's, which Linux gives no name, implementer and part."""
    facts = read_cpuinfo()
    if named := facts.get("model name"):
        return named
    if "CPU part" in facts:
        return f"CPU {facts.get('CPU implementer', '')} {facts['CPU part']}"
    return read_mac_brand() or platform.processor() or "unknown CPU"


def read_cpuinfo() -> dict[str, str]:
    """What Linux says of the first CPU."""
    try:
        first = CPUINFO_FILE.read_text(errors="replace").split("\n\n")[0]
    except OSError:
        return {}
    pairs = (entry.partition(":") for entry in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def read_mac_brand() -> str:
    """What macOS says; nothing elsewhere."""
    if platform.system() != "Darwin":
        return ""
    command = ["sysctl", "-n", "machdep.cpu.brand_string"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""
