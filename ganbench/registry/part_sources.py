"""Sources of parts: description and signature of a class from its file, without an import."""

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path


@cache
def parse_module(module: str) -> ast.Module:
    """Returns the syntax tree of a module; an empty one if its source cannot be read."""
    try:
        if path := find_module(module):
            return ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError):  # a broken plugin is listed without a description
        pass
    return ast.Module(body=[], type_ignores=[])


def find_module(module: str) -> Path | None:
    """Returns the source file of a module, or None; imports only its parent packages."""
    try:
        module_spec = find_spec(module)
    except (Exception, SystemExit):  # of a plugin's package
        return None
    return Path(module_spec.origin) if module_spec and module_spec.origin else None


def read_about(target: str) -> str:
    text = ast.get_docstring(parse_module(target.partition(":")[0])) or ""
    return " ".join(text.split("\n\n")[0].split())


def read_signature(target: str) -> str:
    module, _, name = target.partition(":")
    node = find_class(module, name)
    if node is None:
        return ""
    init = _find_init(node, module)
    settings = _init_arguments(init, module) if init else _dataclass_fields(node, module)
    return ", ".join(f"{key}={default}" if default else key for key, default in settings.items())


def _defining_module(module: str, name: str) -> str:
    """Returns the module that defines a name, by the imports of the module that uses it."""
    for node in parse_module(module).body:
        if isinstance(node, ast.ImportFrom) and name in (alias.name for alias in node.names):
            package = module.rsplit(".", node.level)[0] + "." if node.level else ""
            return f"{package}{node.module}"
    return module


def find_class(module: str, name: str) -> ast.ClassDef | None:
    """Returns a class at the top level of a module's source, or None."""
    classes = (node for node in parse_module(module).body if isinstance(node, ast.ClassDef))
    return next((node for node in classes if node.name == name), None)


def _find_init(node: ast.ClassDef, module: str) -> ast.FunctionDef | None:
    """Returns the `__init__` of a class, own or inherited, or None."""
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return item
    for base in map(ast.unparse, node.bases):
        home = _defining_module(module, base)
        if (parent := find_class(home, base)) and (inherited := _find_init(parent, home)):
            return inherited
    return None


def _init_arguments(init: ast.FunctionDef, module: str) -> dict[str, str]:
    names = [argument.arg for argument in init.args.args[1:]]
    defaults = [_default_text(value, module) for value in init.args.defaults]
    return dict(zip(names, [""] * (len(names) - len(defaults)) + defaults, strict=True))


def _dataclass_fields(node: ast.ClassDef, module: str) -> dict[str, str]:
    """Returns the settings of a dataclass, with those of its bases first."""
    settings: dict[str, str] = {}
    for base in map(ast.unparse, node.bases):
        home = _defining_module(module, base)
        if parent := find_class(home, base):
            settings |= _dataclass_fields(parent, home)
    if not any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        return settings
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and "ClassVar" not in ast.unparse(item.annotation):
            default = _default_text(item.value, module) if item.value else ""
            if "init=False" not in default and "NOT_A_SETTING" not in default:
                settings[ast.unparse(item.target)] = default
    return settings


def _default_text(value: ast.expr, module: str) -> str:
    """Returns the source of a default; a constant's name is replaced by its value."""
    text = ast.unparse(value)
    if not isinstance(value, ast.Name):
        return text
    for item in parse_module(_defining_module(module, text)).body:
        match item:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=ast.expr() as default)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as default)
            ) if name == text:
                return ast.unparse(default)
    return text
