"""Lists the parts that suites can name, and the suites, without importing torch."""

from typing import Any

from ganbench.data import DATA
from ganbench.evaluation.extractors import DISTANCES, EXTRACTORS
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.protocols import PROTOCOLS
from ganbench.experiments.suite_files import list_suites
from ganbench.experiments.trackers import TRACKERS
from ganbench.gan.losses import LOSSES
from ganbench.gan.networks import NETWORKS
from ganbench.gan.tasks import TASKS
from ganbench.gan.tricks import TRICKS
from ganbench.gan.variants import all_variants
from ganbench.registry import Registry

REGISTRIES: dict[str, Registry] = {
    "data": DATA,
    "losses": LOSSES,
    "tricks": TRICKS,
    "metrics": METRICS,
    "networks": NETWORKS,
    "tasks": TASKS,
    "extractors": EXTRACTORS,
    "distances": DISTANCES,
    "protocols": PROTOCOLS,
    "trackers": TRACKERS,
}
CATALOG_KINDS = ["variants", *REGISTRIES, "suites"]


def list_entries(kind: str) -> list[dict[str, Any]]:
    """Returns the spec with defaults and the summary of each part of a kind, or of each suite."""
    if kind == "suites":
        return list_suites()
    if kind == "variants":
        return [
            {"spec": name, "about": describe_recipe(recipe)}
            for name, recipe in sorted(all_variants().items())
        ]
    index = REGISTRIES[kind]
    return [
        {"spec": format_spec_with_defaults(index, name), "about": index.about(name)}
        for name in index
    ]


def format_spec_with_defaults(registry: Registry, name: str) -> str:
    settings = registry.signature(name)
    return f"{name}({settings})" if settings else name


def describe_recipe(recipe: object) -> str:
    from ganbench.gan.recipe import Recipe

    assert isinstance(recipe, Recipe)
    parts = [recipe.network, recipe.loss, *recipe.tricks]
    return f"{recipe.about} {', '.join(parts)}."
