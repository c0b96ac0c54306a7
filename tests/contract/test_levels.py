"""Imports go down the levels, and names are listed without torch."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path

import ganbench

ROOT = Path(ganbench.__file__).parent
LEVELS = """
counts errors renamed source_hash < deprecation local_files processor < files registry rng
< devices data picture_parts records < image_grid gan
< training < evaluation < experiments < catalog extend analysis visualization < claims human_study
< report < ci < cli < __main__
"""  # a file imports only from entries of lower levels, or from its own package
RANK = {name: n for n, level in enumerate(LEVELS.split("<")) for name in level.split()}


def imported_entries(path: Path) -> Iterator[str]:
    """Yields the top-level entries of ganbench that a file's import lines name."""
    package = ".".join(["ganbench", *path.relative_to(ROOT).parts[:-1]])
    for node in ast.walk(ast.parse(path.read_text())):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            modules = [f"{base}.{alias.name}" for alias in node.names]
        yield from (name.split(".")[1] for name in modules if name.startswith("ganbench."))


def is_allowed(own: str, imported: str) -> bool:
    return own == imported or imported.startswith("__") or RANK[imported] < RANK[own]


def test_imports_go_down_the_levels():
    paths = [path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]
    entries = {path: path.relative_to(ROOT).with_suffix("").parts[0] for path in paths}
    assert set(entries.values()) == set(RANK)
    upward = [
        f"{path.relative_to(ROOT)} imports {imported}"
        for path, own in entries.items()
        for imported in imported_entries(path)
        if not is_allowed(own, imported)
    ]
    assert upward == []


def test_names_are_listed_without_importing_torch():
    code = """
import sys, ganbench, ganbench.catalog
for kind in ganbench.catalog.CATALOG_KINDS:
    assert ganbench.catalog.list_entries(kind)
print(sorted({"torch", "numpy", "sklearn", "pandas"} & set(sys.modules)))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
