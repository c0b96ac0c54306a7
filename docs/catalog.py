"""Writes docs/catalog.md from the registries of parts: `python docs/catalog.py`."""

from pathlib import Path

from ganbench.catalog import CATALOG_KINDS, list_entries

PAGE = Path(__file__).parent / "catalog.md"
INTRODUCTION = """\
# All parts

Each part with its settings and their defaults, as suites and the command line write them. `ganbench list` prints
the same, with the parts of installed packages. On the built site (`make docs`), each trick, loss and variant also
has a [page](methods/index.md) with formula and measured effects.
This page is made by `python docs/catalog.py`.
"""


def render_page() -> str:
    kinds = [kind for kind in CATALOG_KINDS if kind != "suites"]
    return "\n".join([INTRODUCTION, *map(render_kind, kinds)])


def render_kind(kind: str) -> str:
    """Returns the heading and the table of a kind of part."""
    entries = list_entries(kind)
    rows = [f"| `{entry['spec']}` | {escape_cell(entry['about'])} |" for entry in entries]
    head = f"## {kind.capitalize()}\n\n{len(entries)} {kind}.\n\n| part | what it is |\n|---|---|"
    return "\n".join([head, *rows, ""])


def escape_cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.write_text(render_page(), encoding="utf-8")
