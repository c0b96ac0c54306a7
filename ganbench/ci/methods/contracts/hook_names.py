"""Hooks that no call fits: methods with almost their name, or with other arguments."""

import inspect
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Any

from ganbench.registry import Registry, parse_spec

LIKE_A_HOOK = 0.85  # similarity from which on a name is a slip


def hook_faults(registry: Registry, text: str) -> Iterator[str]:
    """Yields a sentence for each method with almost the name of a hook, or other arguments."""
    part, base = registry.load(parse_spec(text).name), registry.base_class()
    assert base is not None
    methods = {name for name in vars(part) if inspect.isfunction(vars(part)[name])}
    hooks = {name for name in vars(base) if not name.startswith("_")} - methods
    for name in sorted(methods - set(dir(base))):
        for hook in get_close_matches(name, hooks, n=1, cutoff=LIKE_A_HOOK):
            yield f"{name} is no hook; did you mean {hook}?"
    for name in sorted(methods & set(vars(base))):
        yield from argument_faults(name, vars(part)[name], vars(base)[name])


def argument_faults(name: str, own: Callable[..., Any], hook: object) -> Iterator[str]:
    """Yields a sentence if a method does not take the arguments of the hook that it replaces."""
    if not inspect.isfunction(hook) or name.startswith("_"):
        return
    own_arguments, arguments = inspect.signature(own), inspect.signature(hook)
    required = [p.name for p in arguments.parameters.values() if p.default is p.empty]
    try:
        own_arguments.bind(*required, **dict.fromkeys(arguments.parameters.keys() - {*required}))
    except TypeError:
        texts = [
            str(each.replace(return_annotation=each.empty)) for each in (own_arguments, arguments)
        ]
        yield f"{name} has the arguments {texts[0]}, expected {texts[1]}"
