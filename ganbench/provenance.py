"""Provenance: which code and which versions made a result."""

import hashlib
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path

# What decides a trial's numbers; the command line, the executors and the tables do not.
TRAINING = (
    *("assemble.py", "blueprint.py", "duel.py", "plan.py", "recipe.py", "spec.py", "streams.py"),
    *("train.py", "trial.py", "variants.py", "data", "games", "losses", "networks", "tricks"),
)
PACKAGES = ("ganbench", "numpy", "scikit-learn", "torch", "torch-fidelity", "torchvision")


@cache
def code() -> str:
    """SHA-256 of the sources that training runs through, the first 16 digits."""
    root, digest = Path(__file__).parent, hashlib.sha256()
    for name in TRAINING:
        path = root / name
        for source in [path] if path.is_file() else sorted(path.rglob("*.py")):
            digest.update(source.relative_to(root).as_posix().encode() + source.read_bytes())
    return digest.hexdigest()[:16]


@cache
def torch_minor() -> str:
    return ".".join(version("torch").split(".")[:2])


def provenance() -> dict[str, str]:
    """All that a result records of where it came from."""
    packages = {name: version(name) for name in PACKAGES}
    machine = {"python": platform.python_version(), "machine": platform.machine()}
    return {"code": code(), "torch_minor": torch_minor(), **machine, **packages}
