"""Papers and formulas of parts, from docs/methods/papers.toml."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).parent / "methods" / "papers.toml"


@cache
def load_table() -> dict[str, dict[str, Any]]:
    return tomllib.loads(TABLE.read_text(encoding="utf-8"))


def entry_of(kind: str, name: str) -> dict[str, Any]:
    """Returns the papers and the formula of a part; empty for parts of other packages."""
    return dict(load_table().get(kind, {}).get(name, {}))


def formula_of(kind: str, name: str) -> str:
    """Returns a part's formula in LaTeX, or an empty text."""
    return str(entry_of(kind, name).get("formula", "")).strip()


def papers_of(kind: str, name: str) -> list[dict[str, Any]]:
    return [load_table()["papers"][key] for key in entry_of(kind, name).get("papers", [])]


def render_papers(kind: str, name: str) -> str:
    """Returns a Markdown list of a part's papers, or the note of a part without papers."""
    papers = [f"- {render_paper(paper)}" for paper in papers_of(kind, name)]
    note = entry_of(kind, name).get("note", "The table of papers has no entry")
    return "\n".join(papers) or f"No paper proposed this part. {note}."


def render_paper(paper: dict[str, Any]) -> str:
    """Returns authors, year and the linked title, with the arXiv identifier in plain text."""
    identifier = f", arXiv:{paper['arxiv']}" if "arxiv" in paper else ""
    return (
        f"{paper['authors']} ({paper['year']}): [{paper['title']}]({paper_url(paper)}){identifier}."
    )


def paper_url(paper: dict[str, Any]) -> str:
    return f"https://arxiv.org/abs/{paper['arxiv']}" if "arxiv" in paper else str(paper["url"])
