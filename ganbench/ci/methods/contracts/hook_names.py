"""Methods that are almost named like a hook, and that nothing calls."""

import inspect
from collections.abc import Iterator
from difflib import get_close_matches

from ganbench.registry import Registry, parse_spec

LIKE_A_HOOK = 0.85  # similarity from which on a name is a slip


def hook_faults(registry: Registry, text: str) -> Iterator[str]:
    """Yields a sentence for each public method that has almost the name of an unused hook."""
    part, base = registry.load(parse_spec(text).name), registry.base_class()
    assert base is not None
    methods = {name for name in vars(part) if inspect.isfunction(vars(part)[name])}
    hooks = {name for name in vars(base) if not name.startswith("_")} - methods
    for name in sorted(methods - set(dir(base))):
        for hook in get_close_matches(name, hooks, n=1, cutoff=LIKE_A_HOOK):
            yield f"{name} is no hook; did you mean {hook}?"
