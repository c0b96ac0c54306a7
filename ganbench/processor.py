"""The processor: its name, and what decides the last digits of a training."""

import platform
import subprocess
from functools import cache
from pathlib import Path

CPUINFO_FILE = Path("/proc/cpuinfo")
MODEL_KEYS = {"cpu family": "family", "model": "model"}  # cloud machines often hide the name


def describe_processor() -> str:
    """Returns the CPU's name, family and model, and the instructions that torch uses.

    An example is `AMD EPYC family 25 model 17 with AVX512`. Processors that differ here may round
    differently.
    """
    import torch

    facts = read_cpuinfo()
    numbers = [f"{word} {facts[key]}" for key, word in MODEL_KEYS.items() if key in facts]
    name = " ".join([*describe_cpu().split(), *numbers])
    return f"{name} with {torch.backends.cpu.get_cpu_capability()}"


def describe_used_gpu() -> str:
    """Returns the name of the GPU that this process uses; empty if it uses none."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_initialized() else ""


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
