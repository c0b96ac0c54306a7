"""Lists of what suites can name, read from the sources without importing torch."""

from ganbench.data import DATA
from ganbench.evaluation.extractors import DISTANCES, EXTRACTORS
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.protocols import PROTOCOLS
from ganbench.experiments.trackers import TRACKERS
from ganbench.gan.losses import LOSSES
from ganbench.gan.networks import NETWORKS
from ganbench.gan.tasks import GAMES
from ganbench.gan.tricks import TRICKS
from ganbench.gan.variants import variants
from ganbench.registry import Index

INDICES: dict[str, Index] = {
    "data": DATA,
    "losses": LOSSES,
    "tricks": TRICKS,
    "metrics": METRICS,
    "networks": NETWORKS,
    "games": GAMES,
    "extractors": EXTRACTORS,
    "distances": DISTANCES,
    "protocols": PROTOCOLS,
    "trackers": TRACKERS,
}
KINDS = ["variants", *INDICES]


def listing(kind: str) -> list[dict[str, str]]:
    """Each part's spec with its defaults, and the sentence that it begins with."""
    if kind == "variants":
        return [
            {"spec": name, "about": told(recipe)} for name, recipe in sorted(variants().items())
        ]
    index = INDICES[kind]
    return [{"spec": spec(index, name), "about": index.about(name)} for name in index]


def spec(index: Index, name: str) -> str:
    settings = index.signature(name)
    return f"{name}({settings})" if settings else name


def told(recipe: object) -> str:
    from ganbench.gan.recipe import Recipe

    assert isinstance(recipe, Recipe)
    parts = [recipe.network, recipe.loss, *recipe.tricks]
    return f"{recipe.about} {', '.join(parts)}."
