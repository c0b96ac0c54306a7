"""The citation of a suite's results, with the protocol under which they were measured."""

from typing import Any


def make_citation(plan: dict[str, Any]) -> str:
    """Returns a BibTeX entry with the protocol, seeds and profile of the run."""
    version = plan["provenance"].get("ganbench", "unknown")
    protocols = "; ".join(protocol["text"] for protocol in plan["protocols"].values())
    seeds = plan["seeds"]
    lines = {
        "title": f"Results of the suite {plan['suite']}",
        "author": "{The ganbench contributors}",
        "howpublished": f"ganbench {version}",
        "note": f"Protocol: {protocols}; seeds {', '.join(map(str, seeds))}; profile {plan['profile']}",
    }
    body = "".join(f"  {key} = {{{escape_latex(text)}}},\n" for key, text in lines.items())
    key = "".join(c for c in str(plan["suite"]) if c.isascii() and c.isalnum())
    return f"@misc{{ganbench-{key or 'suite'},\n{body}}}"


def escape_latex(text: str) -> str:
    """Escapes the characters that LaTeX would read as commands."""
    return "".join(f"\\{c}" if c in "&%$#_" else c for c in text)
