"""The table of names of the last release: old -> new, for `ganbench.deprecation`."""

MODULES: dict[str, str] = {}
NAMES: dict[str, str] = {}
