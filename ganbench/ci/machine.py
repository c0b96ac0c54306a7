"""Machine classes and software: only measurements of one class form a series."""

import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

from ganbench.devices import usable_cpus

CPUINFO_FILE = Path("/proc/cpuinfo")
SOFTWARE_PACKAGES = ("torch", "numpy")  # whose versions change speed or digits


def describe_machine(device: str = "cpu") -> str:
    """Returns the class of this machine as one line.

    It names the architecture and the CPU. For the CPU device, torch's CPU capability and the number of
    usable CPUs follow; for another device, the GPU. The numbers of CPUs and GPUs are left out for a
    GPU, because a measurement uses a single GPU.
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


def describe_software() -> str:
    """Returns the versions behind a measurement: `torch 2.9.1, numpy 2.3.4, Python 3.12.3, …`."""
    packages = [f"{name} {version(name)}" for name in SOFTWARE_PACKAGES]
    system = f"{platform.system() or 'system'} {platform.release() or 'unknown'}"
    return join_facts([*packages, f"Python {platform.python_version()}", system])


def join_facts(facts: list[str]) -> str:
    """Joins facts by commas, after removing commas and repeated spaces within each fact."""
    return ", ".join(" ".join(fact.replace(",", " ").split()) for fact in facts)


def describe_gpu_facts(device: str) -> list[str]:
    """Returns the GPU's name, compute capability and memory; cards of one name can differ."""
    import torch

    properties = torch.cuda.get_device_properties(torch.device(device))
    capability = f"compute capability {properties.major}.{properties.minor}"
    return [properties.name, capability, f"{properties.total_memory / 2**30:.0f} GiB"]


@cache
def describe_cpu() -> str:
    """Returns the CPU's model name, or implementer and part for ARM CPUs on Linux."""
    facts = read_cpuinfo()
    if named := facts.get("model name"):
        return named
    if "CPU part" in facts:
        return f"CPU {facts.get('CPU implementer', '')} {facts['CPU part']}"
    return read_mac_brand() or platform.processor() or "unknown CPU"


def read_cpuinfo() -> dict[str, str]:
    """Returns the entries of the first CPU in /proc/cpuinfo; empty without that file."""
    try:
        first = CPUINFO_FILE.read_text(errors="replace").split("\n\n")[0]
    except OSError:
        return {}
    pairs = (entry.partition(":") for entry in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def read_mac_brand() -> str:
    """Returns the CPU's name on macOS, and an empty string elsewhere."""
    if platform.system() != "Darwin":
        return ""
    command = ["sysctl", "-n", "machdep.cpu.brand_string"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""
