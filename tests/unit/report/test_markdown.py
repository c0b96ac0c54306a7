"""Markdown: names are shown as they are, whatever characters they have."""

import pandas as pd
import pytest
from markdown_it import MarkdownIt
from synthetic_rows import arms, floor, frame

from ganbench.analysis.leaderboard import leaderboard
from ganbench.ci.performance.summary import markdown_row
from ganbench.report.findings import run_findings
from ganbench.report.markdown import escape_markdown, markdown_table, render_leaderboard

HOSTILE_NAMES = [
    "a|b",
    "folder(path='a|b`c`')",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[link](https://example.org)",
    "![picture](https://example.org/x.png)",
    "[link][label]",
    "*bold* **very** _slanted_ __strong__ ~~gone~~",
    "&lt; &#60; & more",
    r"C:\Users\me \| \` \*",
    "https://example.org/<x>",
    "$x$ `code` ``code``",
]
PLAIN_NAMES = [
    "spectral_norm(keep_norm=true) + r1(weight=3)",
    "backward(of='fid')",
    "4.2 [3.1, 5.6]",
]
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def shown_texts(markdown: str) -> list[str]:
    """The texts that a renderer shows; fails if any of them is markup."""
    blocks = [token for token in MARKDOWN.parse(markdown) if token.type == "inline"]
    kinds = {part.type for block in blocks for part in block.children}
    assert kinds <= {"text", "text_special"}
    return ["".join(part.content for part in block.children) for block in blocks]


@pytest.mark.parametrize("name", HOSTILE_NAMES + PLAIN_NAMES)
def test_names_are_shown_as_they_are(name):
    assert shown_texts(escape_markdown(name)) == [name]


@pytest.mark.parametrize("name", HOSTILE_NAMES + PLAIN_NAMES)
def test_cells_of_a_table_are_shown_as_they_are(name):
    table = pd.DataFrame({"name": [name, "x"], name: [1, 2.5]})
    assert shown_texts(markdown_table(table)) == ["name", name, name, "1.0", "x", "2.5"]


@pytest.mark.parametrize("name", PLAIN_NAMES)
def test_plain_names_stay(name):
    assert escape_markdown(name) == name


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a\nb\r\n| c", r"a b \| c"), ("\x1b[31mred", r"\\x1b[31mred"), ("a\x07", r"a\\x07")],
)
def test_control_characters_and_lines_are_escaped(name, expected):
    assert escape_markdown(name) == expected


def test_rows_of_performance_are_escaped():
    assert markdown_row(["step[x]", "a|`b`"]) == r"| step[x] | a\|\`b\` |"


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_leaderboard_shows_hostile_names(name):
    rows = frame(*arms({"none": 1.0, "r1": 2.0}, data=name), floor(0.1, data=name))
    rows.attrs["plan"]["about"] = name
    text = render_leaderboard(rows, leaderboard(rows), run_findings(rows))
    heading = next(line for line in text.splitlines() if line.startswith("## "))
    assert shown_texts(heading) == [name]
    assert shown_texts(text.splitlines()[2]) == [name]
