"""The citation of a suite's results, with the protocol under which they were measured."""

from typing import Any

LATEX_ESCAPES = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
AUTHOR = "{The ganbench contributors}"  # in braces, as a name that BibTeX does not split


def make_citation(plan: dict[str, Any]) -> str:
    """Returns a BibTeX entry with the protocol, seeds and profile of the run."""
    version = plan["provenance"].get("ganbench", "unknown")
    protocols = "; ".join(protocol["text"] for protocol in plan["protocols"].values())
    seeds = plan["seeds"]
    note = f"Protocol: {protocols}; seeds {', '.join(map(str, seeds))}; profile {plan['profile']}"
    lines = {
        "title": escape_latex(f"Results of the suite {plan['suite']}"),
        "author": AUTHOR,
        "howpublished": escape_latex(f"ganbench {version}"),
        "note": escape_latex(note),
    }
    body = "".join(f"  {key} = {{{text}}},\n" for key, text in lines.items())
    key = "".join(c for c in str(plan["suite"]) if c.isascii() and c.isalnum())
    return f"@misc{{ganbench-{key or 'suite'},\n{body}}}"


def escape_latex(text: str) -> str:
    """Escapes the characters that LaTeX would read as commands."""
    return "".join(LATEX_ESCAPES.get(character, character) for character in text)
