"""Options of a run, as words of its command, which its plan records."""

from collections.abc import Sequence


def sets_seeds(override: str) -> bool:
    """Returns whether an override like `budget.cpu.seeds=5` sets seeds."""
    return "seeds" in override.partition("=")[0].strip().split(".")


def remove_seeds(options: Sequence[str]) -> list[str]:
    """Returns the options without `--seeds` and without overrides of seeds."""
    kept = list(options)
    for place in reversed(range(len(options) - 1)):
        name, value = options[place : place + 2]
        if name == "--seeds" or (name == "-o" and sets_seeds(value)):
            del kept[place : place + 2]
    return kept
