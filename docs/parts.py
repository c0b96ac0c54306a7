"""Pages of methods are made from the indices and the docstrings, so that a new part appears by itself."""

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


class Parts(SphinxDirective):
    """```{parts} tricks```: a section for each part of a kind, in the order of their names."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        (kind,) = self.arguments
        return self.parse_text_to_nodes(page(kind), allow_section_headings=True)


def page(kind: str) -> str:
    """All parts of a kind, as Markdown."""
    if kind == "variants":
        told = [told_variant(name, recipe) for name, recipe in sorted(all_variants().items())]
    else:
        told = [told_part(kind, name) for name in REGISTRIES[kind]]
    return "\n\n".join(told) + "\n"


def told_part(kind: str, name: str) -> str:
    """A part's settings, what its module and its classes say, and its sources to unfold."""
    index = REGISTRIES[kind]
    settings = (
        [f"```python\n{format_spec_with_defaults(index, name)}\n```"]
        if index.signature(name)
        else []
    )
    lineage = own_lineage(index.load(name))
    trees = {
        part: ast.parse(source(part.__module__).read_text(encoding="utf-8")) for part in lineage
    }
    said = [ast.get_docstring(trees[lineage[0]])]
    said += [docstring(tree, part.__name__) for part, tree in trees.items()]
    told = [prose(text) for text in said if text]
    files = [folded(path) for path in dict.fromkeys(source(part.__module__) for part in lineage)]
    return "\n\n".join([heading(kind, name), *settings, *told, *files])


def own_lineage(part: type) -> list[type]:
    """The class and what it derives from in its package, but for the base of its kind."""
    package = part.__module__.rpartition(".")[0]
    others = (other for other in part.__mro__[1:] if other.__module__.startswith(f"{package}."))
    return [part, *(other for other in others if other.__module__ != f"{package}.base")]


def docstring(tree: ast.Module, name: str) -> str | None:
    """What a class says of itself; a dataclass that says nothing has its signature for a docstring."""
    (found,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    return ast.get_docstring(found)


def told_variant(name: str, recipe: Recipe) -> str:
    """A variant's sentence, and the recipe whose parts have sections of their own."""
    parts = [link("networks", recipe.network), link("losses", recipe.loss)]
    parts += [link("tricks", trick) for trick in recipe.tricks]
    parts += [link("tasks", recipe.task)]
    rates = ", ".join(f"{key}={value!r}" for key, value in changed(recipe).items())
    about = [heading("variants", name), prose(recipe.about), "Parts: " + " · ".join(parts)]
    return "\n\n".join(about + [f"Plan: `{rates}`"] * bool(rates))


def changed(recipe: Recipe) -> dict[str, object]:
    """Of a recipe's plan what differs from the usual one."""
    usual, own = vars(type(recipe.hyperparameters)()), vars(recipe.hyperparameters)
    return {key: value for key, value in own.items() if value != usual[key]}


def heading(kind: str, name: str) -> str:
    return f"({kind}-{name})=\n## {name}"


def link(kind: str, text: str) -> str:
    return f"[`{text}`](#{kind}-{text.partition('(')[0]})"


def source(module: str) -> Path:
    found = find_spec(module)
    assert found is not None
    assert found.origin is not None
    return Path(found.origin)


def folded(path: Path) -> str:
    """The whole file, to unfold: the method is what it does."""
    where = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name
    code = path.read_text(encoding="utf-8")
    body = inspect.cleandoc(code[code.index('"""', 3) + 3 :]) if code.startswith('"""') else code
    return f":::{{admonition}} {where}\n:collapsible: closed\n\n`````python\n{body}\n`````\n:::"


MARKED = re.compile(r"(`[^`\n]+`)")


def prose(text: str) -> str:
    """Plain text as Markdown: what is between backticks is code, and nothing else is marked up."""
    parts = MARKED.split(text)
    return "".join(
        p if n % 2 else re.sub(r"([*_<>\[\]#|\\$~])", r"\\\1", p) for n, p in enumerate(parts)
    )


def plain(
    app: object, what: str, name: str, told: object, options: object, lines: list[str]
) -> None:
    """Docstrings are plain text: for reStructuredText only what is between backticks is marked up."""
    parts = MARKED.split("\n".join(lines))
    lines[:] = "".join(
        p if n % 2 else re.sub(r"([*_|\\])", r"\\\1", p) for n, p in enumerate(parts)
    ).split("\n")
