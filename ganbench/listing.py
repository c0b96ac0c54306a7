"""Lists of what suites can name, read from the sources without importing torch."""

from .data import DATA
from .extractors import DISTANCES, EXTRACTORS
from .games import GAMES
from .losses import LOSSES
from .metrics import METRICS
from .networks import NETWORKS
from .protocols import PROTOCOLS
from .spec import Index
from .trackers import TRACKERS
from .tricks import TRICKS
from .variants import variants

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
    from .recipe import Recipe

    assert isinstance(recipe, Recipe)
    parts = [recipe.network, recipe.loss, *recipe.tricks]
    return f"{recipe.about} {', '.join(parts)}."
