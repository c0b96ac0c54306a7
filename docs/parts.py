"""Generates the pages of methods from registries and docstrings.

New parts therefore appear automatically. Tricks, losses and variants have a page each, which
`part_pages` writes; the page of their kind lists them.
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
    """The directive ```{parts} metrics```: one section for each part of a kind, sorted by name."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        (kind,) = self.arguments
        return self.parse_text_to_nodes(render_kind(kind), allow_section_headings=True)


class PartList(SphinxDirective):
    """The directive ```{part-list} tricks```: a list of the parts of a kind, which have pages."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        (kind,) = self.arguments
        return self.parse_text_to_nodes(render_list(kind))


def part_names(kind: str) -> list[str]:
    return sorted(all_variants()) if kind == "variants" else list(REGISTRIES[kind])


def render_kind(kind: str) -> str:
    """Returns Markdown sections for all parts of a kind."""
    return "\n\n".join(render_part(kind, name) for name in REGISTRIES[kind]) + "\n"


def render_list(kind: str) -> str:
    """Returns a list of the parts of a kind, each with its own page and its former anchor."""
    lines = [f"- {render_entry(kind, name)}" for name in part_names(kind)]
    pages = "\n".join(f"{kind}/{name}" for name in part_names(kind))
    return "\n".join(lines) + f"\n\n```{{toctree}}\n:hidden:\n\n{pages}\n```\n"


def render_entry(kind: str, name: str) -> str:
    """Returns a line of the list. Its id is the anchor that links to the former section have."""
    anchor = f"{kind}-{name}".replace("_", "-")
    summary = escape_markdown(summary_of(kind, name))
    return f'<span id="{anchor}"></span>[`{name}`](#{kind}-{name}): {summary}'


def summary_of(kind: str, name: str) -> str:
    return all_variants()[name].about if kind == "variants" else REGISTRIES[kind].about(name)


def render_part(kind: str, name: str) -> str:
    """Returns the section of a part: its settings, docstrings, and collapsed source files."""
    settings = render_settings(kind, name)
    paragraphs = [escape_markdown(text) for text in docstrings_of(REGISTRIES[kind].load(name))]
    heading = f"({kind}-{name})=\n## {name}"
    return "\n\n".join([heading, *settings, *paragraphs, render_files(kind, name)])


def render_settings(kind: str, name: str) -> list[str]:
    """Returns a block with the settings and their defaults, if a part has settings."""
    registry = REGISTRIES[kind]
    if not registry.signature(name):
        return []
    return [f"```python\n{format_spec_with_defaults(registry, name)}\n```"]


def docstrings_of(part: type) -> list[str]:
    """Returns the docstrings of a part's module, of its class and of its bases in the package."""
    classes = list_own_classes(part)
    trees = {cls: parse_module(cls.__module__) for cls in classes}
    docstrings = [ast.get_docstring(trees[part])]
    docstrings += [get_class_docstring(tree, cls.__name__) for cls, tree in trees.items()]
    return [text for text in docstrings if text]


def parse_module(module: str) -> ast.Module:
    return ast.parse(find_source(module).read_text(encoding="utf-8"))


def render_files(kind: str, name: str) -> str:
    """Returns the collapsed files of a part's class and of its bases in the package."""
    classes = list_own_classes(REGISTRIES[kind].load(name))
    paths = dict.fromkeys(find_source(cls.__module__) for cls in classes)
    return "\n\n".join(map(render_collapsed_file, paths))


def list_own_classes(part: type) -> list[type]:
    """Returns the class and its bases in its package, without the base class of its kind."""
    package = part.__module__.rpartition(".")[0]
    bases = (base for base in part.__mro__[1:] if base.__module__.startswith(f"{package}."))
    return [part, *(base for base in bases if base.__module__ != f"{package}.base")]


def get_class_docstring(tree: ast.Module, name: str) -> str | None:
    """Returns the docstring in the source; `__doc__` of a dataclass may be its signature."""
    (node,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    return ast.get_docstring(node)


def changed_hyperparameters(recipe: Recipe) -> dict[str, object]:
    """Returns the hyperparameters that differ from the defaults."""
    defaults, own = vars(type(recipe.hyperparameters)()), vars(recipe.hyperparameters)
    return {key: value for key, value in own.items() if value != defaults[key]}


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
