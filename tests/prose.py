"""Collects the prose of the project and counts the phrases that its style guide forbids.

`python tests/prose.py` prints the counts per 1,000 words, by kind of text.
"""

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
MAX_SENTENCE_WORDS = 25
MAX_FIRST_LINE_CHARACTERS = 88
MIN_MESSAGE_WORDS = 4  # a literal of fewer words is a key or a label
FORBIDDEN = {  # a phrase that is forbidden anywhere, and the better one
    r"(?<!\w)(told|tell|tells|telling|untold)\b(?! [\w ]{0,40}\b(apart|from)\b)": "prints, shows, reports",
    r"\b(nobody|anybody|whoever|somebody)\b": "no one, any user, each",
    r"\bin the place of\b": "instead of",
    r"\bby turns\b": "alternately",
    r"\bha(s|ve) no meaning\b": "is incompatible, is not applicable",
    r"\b(yardstick|shelf|shelves|duel|teller|seam|kin)\b": "a word of the field or of the glossary",
    r"\b(row|line|cell|arm|table|file|column|picture|dot|trial|seed|group|step) an? \w+\b(?! time)": "per",
}
BAD_OPENING = re.compile(r"^(What|Who|Whose|Those|Of|Whoever)\b(?![^.]*\?)")
CLAUSE = re.compile(r"\b(what|who|whose)\b", re.IGNORECASE)
SPOKEN = re.compile(r"\b(said|asked|looks? at|looked at|judged?|judges)\b")


@dataclass(frozen=True)
class Text:
    """A piece of prose and where it stands."""

    kind: str  # docstring, message, comment, help or page
    place: str  # file:line
    text: str


def collect_texts(root: Path = ROOT) -> list[Text]:
    sources = sorted((root / "ganbench").rglob("*.py"))
    pages = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    texts = [text for path in sources for text in source_texts(path, root)]
    return texts + [text for path in pages if path.exists() for text in page_texts(path, root)]


def source_texts(path: Path, root: Path) -> Iterator[Text]:
    """Docstrings, messages and comments of a module."""
    source, name = path.read_text(encoding="utf-8"), str(path.relative_to(root))
    tree, docstrings = ast.parse(source), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            content = node.body[0].value if has_docstring(node) else None
            if content is not None:
                docstrings.add(id(content))
                place = f"{name}:{content.lineno}"
                yield Text("docstring", place, inspect.cleandoc(content.value))
    for literal, text in literals(tree):
        if id(literal) not in docstrings and len(text.split()) >= MIN_MESSAGE_WORDS:
            yield Text("message", f"{name}:{literal.lineno}", text)
    for number, line in enumerate(source.splitlines(), 1):
        if found := re.search(r"(?:^|\s)# (?!type:|noqa|fmt:|pragma)(.*)", line):
            yield Text("comment", f"{name}:{number}", found[1])


def has_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef) -> bool:
    first = node.body[0] if node.body else None
    return (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    )


def literals(tree: ast.AST) -> Iterator[tuple[ast.expr, str]]:
    """Texts, with the variables of f-strings as X."""
    within = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in ast.walk(node)
    } - {id(node) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [v.value if isinstance(v, ast.Constant) else "X" for v in node.values]
            yield node, "".join(map(str, parts))
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in within
        ):
            yield node, node.value


def page_texts(path: Path, root: Path) -> Iterator[Text]:
    """Paragraphs and table cells of a Markdown page, without its code."""
    content = re.sub(r"^```.*?^```", blank, path.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    content = re.sub(r"`[^`\n]*`", "X", content)
    content = re.sub(r"!?\[([^]]*)\]\([^)]*\)", r"\1", content)
    number = 1
    for block in re.split(r"(\n\s*\n|\n(?=[|#-] ?))", content):
        text = " ".join(block.split())
        start = number + len(block) - len(block.lstrip("\n"))
        number += block.count("\n")
        cells = text.strip("| ").split("|") if text.startswith("|") else [text.lstrip("#-* ")]
        for cell in cells:
            if re.search(r"\w", cell):
                yield Text("page", f"{path.relative_to(root)}:{start}", cell.strip())


def blank(block: re.Match[str]) -> str:
    return "\n" * block[0].count("\n")


def sentences(text: str) -> list[str]:
    """Sentences of a text; a blank line, a list item, and a colon before a list end one."""
    blocks = re.split(r"\n\s*\n|\n\s*[-*|] |\n {2,}", text)
    return [s for block in blocks for s in re.split(r"(?<=[.!?;])\s+", " ".join(block.split()))]


def long_sentences(text: str) -> list[str]:
    plain = re.sub(r"``?[^`]+``?|\[[^]]*\]|\([^)]*\)", "X", text)
    return [s for s in sentences(plain) if len(re.findall(r"[A-Za-z]\w*", s)) > MAX_SENTENCE_WORDS]


def find_faults(text: Text) -> Iterator[str]:
    """Each fault of a text as a sentence, except phrases that are only limited in number."""
    for pattern, better in FORBIDDEN.items():
        for hit in re.finditer(pattern, text.text):
            yield f"{hit[0]!r}: write {better}"
    if text.kind != "comment" and (hit := BAD_OPENING.search(text.text)):
        yield f"begins with {hit[0]!r}: begin with a verb or a noun"
    for sentence in long_sentences(text.text) if text.kind != "comment" else []:
        yield f"more than {MAX_SENTENCE_WORDS} words: {sentence[:60]}..."
    if text.kind == "docstring" and len(text.text.split("\n")[0]) > MAX_FIRST_LINE_CHARACTERS:
        yield f"first line of more than {MAX_FIRST_LINE_CHARACTERS} characters"


def rates(texts: list[Text]) -> dict[str, float]:
    """Words, and for each phrase how often it occurs per 1,000 words."""
    words = sum(len(text.text.split()) for text in texts) or 1
    patterns = {
        "tell/told": re.compile(next(iter(FORBIDDEN))),
        "what/who clauses": CLAUSE,
        "said/asked/looks at": SPOKEN,
    }
    counts = {
        name: sum(len(pattern.findall(text.text)) for text in texts)
        for name, pattern in patterns.items()
    }
    counts["long sentences"] = sum(len(long_sentences(text.text)) for text in texts)
    counts["all faults"] = sum(len(list(find_faults(text))) for text in texts)
    return {"words": words} | {name: 1000 * count / words for name, count in counts.items()}


def main() -> None:
    """Prints rates; with paths as arguments, the faults of texts under them."""
    texts = collect_texts()
    for path in sys.argv[1:]:
        for text in texts:
            if text.place.startswith(path):
                for fault in find_faults(text):
                    print(f"{text.place}: {text.kind}: {fault}")
                for pattern in (CLAUSE, SPOKEN):
                    for hit in pattern.finditer(text.text):
                        print(f"{text.place}: {text.kind}: {hit[0]!r} (limited)")
        texts = [t for t in texts if t.place.startswith(tuple(sys.argv[1:]))]
    for kind in sorted({text.kind for text in texts}):
        print(
            kind, {k: round(v, 2) for k, v in rates([t for t in texts if t.kind == kind]).items()}
        )


if __name__ == "__main__":
    main()
