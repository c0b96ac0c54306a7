"""Devices: what this machine computes on."""

import torch

from .spec import SpecError


def devices() -> list[str]:
    """From the last resort to the best."""
    found = ["cpu"]
    found += ["mps"] if torch.backends.mps.is_available() else []
    return found + (["cuda"] if torch.cuda.is_available() else [])


def device_of(wanted: str) -> str:
    """The device that is wanted; `auto` takes the best there is. Raises SpecError if there is none such."""
    there = devices()
    if wanted == "auto":
        return there[-1]
    if wanted not in there:
        raise SpecError(f"device {wanted} is not on this machine; there is {' and '.join(there)}")
    return wanted
