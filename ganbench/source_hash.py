"""Hashes of source code, from syntax trees without comments, docstrings and imports.

A changed comment, a moved file or a reordered import therefore does not change the hash.
"""

import ast
import hashlib
from collections.abc import Collection, Iterator
from functools import cache
from importlib.util import find_spec, resolve_name
from pathlib import Path

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class _WithoutRemarks(ast.NodeTransformer):
    """Removes docstrings and imports. The tree has no comments."""

    def visit(self, node: ast.AST) -> ast.AST | None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            return None
        self.generic_visit(node)
        if isinstance(node, Documented) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
        return node


def normalize_source(text: str) -> str:
    """Returns Python source without comments, docstrings and imports."""
    tree = ast.parse(text)
    _WithoutRemarks().visit(tree)
    return ast.unparse(tree)


@cache
def hash_file(path: Path) -> str:
    """Returns the SHA-256 of a source file's normalized text."""
    text = normalize_source(path.read_text(encoding="utf-8"))
    return hashlib.sha256(text.encode()).hexdigest()


def hash_module(module: str) -> str:
    """Returns the hash of a module's source without importing it."""
    return hash_file(path_of(module))


@cache
def path_of(module: str) -> Path:
    """Returns the file of a module; imports only its parent packages."""
    found = find_spec(module)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"{module} has no source file")
    return Path(found.origin)


def import_closure(modules: Collection[str], prefixes: tuple[str, ...]) -> set[str]:
    """Returns the modules and their direct and indirect imports under the dotted prefixes.

    Excludes packages: those of ganbench hold registries, which import nothing.
    """
    pending, closure = list(modules), set(modules)
    while pending:
        for imported in imported_modules(pending.pop()):
            if imported.startswith(prefixes) and imported not in closure:
                closure.add(imported)
                pending.append(imported)
    return closure


def package_modules(module: str) -> set[str]:
    """Returns a module of an installed package, and all its imports from this package."""
    return import_closure({module}, (f"{module.partition('.')[0]}.",))


@cache
def hash_part_of_package(module: str) -> str:
    """Returns the hash of a module and of all its imports from the same package."""
    hashes = sorted(map(hash_module, package_modules(module)))
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


@cache
def imported_modules(module: str) -> tuple[str, ...]:
    """Returns the modules (not packages) that a module imports."""
    tree = ast.parse(path_of(module).read_text(encoding="utf-8"))
    is_package = path_of(module).name == "__init__.py"
    package = module if is_package else module.rpartition(".")[0]
    names = dict.fromkeys(name for node in ast.walk(tree) for name in _names(node, package))
    return tuple(name for name in names if _is_plain_module(name))


def _names(node: ast.AST, package: str) -> Iterator[str]:
    """Yields the dotted names that an import may refer to; some are not modules."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        base = resolve_name("." * node.level + (node.module or ""), package)
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names)


def _is_plain_module(name: str) -> bool:
    try:
        found = find_spec(name)
    except (ImportError, ValueError):
        return False
    return found is not None and found.submodule_search_locations is None and bool(found.origin)
