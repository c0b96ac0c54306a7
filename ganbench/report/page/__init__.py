"""The report page: one HTML file that works offline in any browser.

Jinja escapes all names. Tables, forest plots and heat maps are HTML. The page's script draws charts with
two axes from JSON when they scroll into view.
"""

import re
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ganbench.counts import format_share
from ganbench.report.line_wrapping import QUANTITY
from ganbench.report.report import SuiteReport

from .content import page_content

PAGE_SECTIONS = {  # in the order of the page
    "answer": "Answer",
    "effects": "Effects",
    "leaderboard": "Leaderboard",
    "curves": "Curves",
    "profiles": "Profiles",
    "front": "Cost",
    "compare": "Compare",
    "arms": "Arms",
    "failures": "Not measured",
    "tables": "Tables",
    "made": "Reproduce",
}
BREAK_POINT = re.compile(r"(?<=[_=])(?=[\w'\"])|(?<=\S\()(?=[\w'\"])|(?<= )(?=\()|(?<=,)(?![\d\s])")
PAPER_BREAK = Markup('<wbr class="tight">')
MIN_FOLDED_DIGITS = 32  # of a hash
MAX_LISTED_PARTS = 3  # parts of a list that stay in sight
NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"
SHORT_INTERVAL = re.compile(r"\[[^\[\]]{1,30}\]")  # a longer one would not fit on a phone


def render_page(report: SuiteReport, figures: Path) -> str:
    """Renders the whole page, with the pictures in the folder `figures`."""
    content = page_content(report, figures)
    sections = [(name, title) for name, title in PAGE_SECTIONS.items() if content.get(name, True)]
    return template_environment().get_template("page.html").render(content, sections=sections)


def template_environment() -> Environment:
    """Creates the Jinja environment, which escapes all text and raises for undefined names."""
    loader = PackageLoader(__name__)
    jinja_environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja_environment.policies["json.dumps_kwargs"] = {
        "allow_nan": False,
        "ensure_ascii": False,
        "separators": (",", ":"),
    }
    jinja_environment.filters["breakable"] = with_break_points
    jinja_environment.filters["folded"] = fold_value
    jinja_environment.filters["unbroken"] = keep_numbers_whole
    jinja_environment.filters["share"] = format_share
    jinja_environment.globals["asset"] = lambda name: Markup(
        loader.get_source(jinja_environment, name)[0]
    )
    return jinja_environment


def with_break_points(name: str) -> Markup:
    """Returns the name with possible line breaks at opening brackets and after commas.

    Words and numbers such as 57,634 stay whole. On paper, names also break after underscores and `=`.
    """
    pieces = BREAK_POINT.split(name)
    breaks = [PAPER_BREAK if piece.endswith(("_", "=")) else Markup("<wbr>") for piece in pieces]
    broken = [part for pair in zip(pieces, breaks, strict=True) for part in pair]
    return Markup("").join(broken[:-1])


def keep_numbers_whole(text: str) -> str:
    """Returns the text without breaks within `× 2.8`, `−34 %`, `+12 pp`, `p = 0.03`, `[3, 6]`."""
    text = QUANTITY.sub(NO_BREAK_SPACE, text)
    text = re.sub(r"(?<=×) |(?<=\bp) (?== )|(?<=\bp =) ", NO_BREAK_SPACE, text)
    return SHORT_INTERVAL.sub(lambda found: found[0].replace(" ", NO_BREAK_SPACE), text)


def fold_value(value: object) -> str | Markup:
    """Folds a long hash to its first digits and a button, and a list of hashes to one."""
    text = str(value)
    parts = text.split(", ")
    if len(parts) > MAX_LISTED_PARTS and all(re.fullmatch(r"[0-9a-f]{8,}", part) for part in parts):
        return Markup("<details><summary>{} and {} more</summary>{}</details>").format(
            parts[0], len(parts) - 1, ", ".join(parts[1:])
        )
    if not re.fullmatch(rf"[0-9a-f]{{{MIN_FOLDED_DIGITS},}}", text):
        return text
    return Markup(
        '<code title="{0}">{1}…</code> <button type="button" class="copy" data-copy="{0}">copy</button>'
    ).format(text, text[:12])
