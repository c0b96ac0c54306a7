"""Machine classes and software: only measurements of one class form a series."""

import platform
from importlib.metadata import version

from ganbench.devices import usable_cpus
from ganbench.processor import describe_cpu

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
