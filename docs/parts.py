"""Generates the pages of methods from registries and docstrings.

New parts therefore appear automatically.
"""

import ast
import inspect
import re
from importlib.util import find_spec
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from ganbench.catalog import REGISTRIES, format_spec_with_defaults
from ganbench.gan.recipe import Recipe
from ganbench.gan.variants import all_variants

ROOT = Path(__file__).parents[1]
CODE_SPAN = re.compile(r"(`[^`\n]+`)")


class Parts(SphinxDirective):
    """The directive ```{parts} tricks```: one section for each part of a kind, sorted by name."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        (kind,) = self.arguments
        return self.parse_text_to_nodes(render_kind(kind), allow_section_headings=True)


def render_kind(kind: str) -> str:
    """Returns Markdown sections for all parts of a kind."""
    if kind == "variants":
        sections = [render_variant(name, recipe) for name, recipe in sorted(all_variants().items())]
    else:
        sections = [render_part(kind, name) for name in REGISTRIES[kind]]
    return "\n\n".join(sections) + "\n"


def render_part(kind: str, name: str) -> str:
    """Returns the section of a part: its settings, docstrings, and collapsed source files."""
    registry = REGISTRIES[kind]
    settings = (
        [f"```python\n{format_spec_with_defaults(registry, name)}\n```"]
        if registry.signature(name)
        else []
    )
    classes = list_own_classes(registry.load(name))
    trees = {
        cls: ast.parse(find_source(cls.__module__).read_text(encoding="utf-8")) for cls in classes
    }
    docstrings = [ast.get_docstring(trees[classes[0]])]
    docstrings += [get_class_docstring(tree, cls.__name__) for cls, tree in trees.items()]
    paragraphs = [escape_markdown(text) for text in docstrings if text]
    paths = dict.fromkeys(find_source(cls.__module__) for cls in classes)
    files = [render_collapsed_file(path) for path in paths]
    return "\n\n".join([render_heading(kind, name), *settings, *paragraphs, *files])


def list_own_classes(part: type) -> list[type]:
    """Returns the class and its bases in its package, without the base class of its kind."""
    package = part.__module__.rpartition(".")[0]
    bases = (base for base in part.__mro__[1:] if base.__module__.startswith(f"{package}."))
    return [part, *(base for base in bases if base.__module__ != f"{package}.base")]


def get_class_docstring(tree: ast.Module, name: str) -> str | None:
    """Returns the docstring in the source; `__doc__` of a dataclass may be its signature."""
    (node,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    return ast.get_docstring(node)


def render_variant(name: str, recipe: Recipe) -> str:
    """Returns the section of a variant: description, parts with links, and hyperparameters."""
    parts = [render_link("networks", recipe.network), render_link("losses", recipe.loss)]
    parts += [render_link("tricks", trick) for trick in recipe.tricks]
    parts += [render_link("tasks", recipe.task)]
    changed = changed_hyperparameters(recipe)
    values = ", ".join(f"{key}={value!r}" for key, value in changed.items())
    section = [
        render_heading("variants", name),
        escape_markdown(recipe.about),
        "Parts: " + " · ".join(parts),
    ]
    return "\n\n".join(section + [f"Hyperparameters: `{values}`"] * bool(values))


def changed_hyperparameters(recipe: Recipe) -> dict[str, object]:
    """Returns the hyperparameters that differ from the defaults."""
    defaults, own = vars(type(recipe.hyperparameters)()), vars(recipe.hyperparameters)
    return {key: value for key, value in own.items() if value != defaults[key]}


def render_heading(kind: str, name: str) -> str:
    return f"({kind}-{name})=\n## {name}"


def render_link(kind: str, text: str) -> str:
    return f"[`{text}`](#{kind}-{text.partition('(')[0]})"


def find_source(module: str) -> Path:
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin)


def render_collapsed_file(path: Path) -> str:
    """Returns a collapsed block with the whole file, without its module docstring."""
    title = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name
    code = path.read_text(encoding="utf-8")
    body = inspect.cleandoc(code[code.index('"""', 3) + 3 :]) if code.startswith('"""') else code
    return f":::{{admonition}} {title}\n:collapsible: closed\n\n`````python\n{body}\n`````\n:::"


def escape_markdown(text: str) -> str:
    """Converts plain text to Markdown; only text between backticks is marked up, as code."""
    pieces = CODE_SPAN.split(text)
    return "".join(
        p if n % 2 else re.sub(r"([*_<>\[\]#|\\$~])", r"\\\1", p) for n, p in enumerate(pieces)
    )


def escape_docstring(
    app: object, kind: str, name: str, documented: object, options: object, lines: list[str]
) -> None:
    """Escapes a docstring for reStructuredText in place, except for text between backticks."""
    pieces = CODE_SPAN.split("\n".join(lines))
    lines[:] = "".join(
        p if n % 2 else re.sub(r"([*_|\\])", r"\\\1", p) for n, p in enumerate(pieces)
    ).split("\n")
