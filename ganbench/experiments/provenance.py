"""Provenance: the code and the package versions behind a result."""

import hashlib
import platform
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version

from ganbench.data import DATA
from ganbench.gan.losses import LOSSES
from ganbench.gan.networks import NETWORKS
from ganbench.gan.recipe import Recipe
from ganbench.gan.tasks import TASKS
from ganbench.gan.tricks import TRICKS
from ganbench.local_files import part_of
from ganbench.processor import describe_processor, describe_used_gpu
from ganbench.registry import Registry, parse_spec
from ganbench.source_hash import hash_module, import_closure

# Every training runs this code. The command line, the executors, the metrics (they have versions) and
# the tables do not affect the numbers of a training.
CORE_MODULES = (
    "ganbench.devices",
    "ganbench.experiments.session",
    "ganbench.gan.build",
    "ganbench.training.build_trainer",
    "ganbench.training.sampling",
    "ganbench.training.trainer",
)
STACKED_MODULES = ("ganbench.experiments.stacked_session",)  # beside those, for stacked seeds
# beside those, for several processes
DISTRIBUTED_MODULES = ("ganbench.experiments.distributed_session", "ganbench.experiments.followers")
FOLLOWED_PREFIXES = ("ganbench.data.", "ganbench.gan.", "ganbench.rng", "ganbench.training.")
PACKAGES = ("ganbench", "numpy", "scikit-learn", "torch", "torch-fidelity", "torchvision")


def hash_training_code(
    recipe: Recipe, data: str, stacked: bool = False, distributed: bool = False
) -> str:
    """Returns the first 16 digits of the SHA-256 of the code that a training runs.

    The hash covers the recipe's parts by kind and name, the modules that they import, and the core
    modules. It ignores file names, comments, docstrings, import lines and the parts of other recipes.
    """
    parts = dict(recipe_parts(recipe, data))
    core = {*CORE_MODULES, *(STACKED_MODULES if stacked else ())}
    core |= {*(DISTRIBUTED_MODULES if distributed else ())}
    shared = import_closure({*core, *parts}, FOLLOWED_PREFIXES) - set(parts)
    lines = [f"{kind} {hash_module(module)}" for module, kind in parts.items()]
    lines += map(hash_module, shared)
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:16]


def recipe_parts(recipe: Recipe, data: str) -> Iterator[tuple[str, str]]:
    """Yields the module of each part that a recipe names, with the part's kind and name."""
    named = [(DATA, data), (TASKS, recipe.task), (LOSSES, recipe.loss), (NETWORKS, recipe.network)]
    for registry, text in [*named, *((TRICKS, trick) for trick in recipe.tricks)]:
        yield module_of_part(registry, parse_spec(text).name)


def module_of_part(registry: Registry, name: str) -> tuple[str, str]:
    return registry.target(name).partition(":")[0], f"{registry.kind} {part_of(name)}"


@cache
def torch_minor() -> str:
    return ".".join(version("torch").split(".")[:2])


def versions() -> dict[str, str]:
    """Returns the versions of Python and the packages, and the machine that numbers depend on."""
    packages = {name: version(name) for name in PACKAGES}
    gpu = describe_used_gpu()
    machine = {"machine": platform.machine(), "processor": describe_processor()}
    return {
        "python": platform.python_version(),
        **machine,
        **({"gpu": gpu} if gpu else {}),
        **packages,
    }
