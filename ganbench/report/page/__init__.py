"""The report page: one HTML file that works offline in any browser.

Jinja escapes all names. Tables, forest plots and heat maps are HTML. The page's script draws charts with
two axes from JSON when they scroll into view.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ganbench.evaluation.metric_names import metric_display_name
from ganbench.report.adaptive import page_texts
from ganbench.report.answer import uncompared_sentences
from ganbench.report.arm_names import ArmNamer
from ganbench.report.best_arm import best_arms
from ganbench.report.curves import learning_curves_of
from ganbench.report.figures.base import line_colours
from ganbench.report.format_change import (
    LOG_ODDS,
    PERCENTAGE_POINTS,
    describe_direction,
    describe_unit,
)
from ganbench.report.markdown import format_budget
from ganbench.report.possible_range import clip_intervals
from ganbench.report.report import SuiteReport

from .arm_data import make_arm_data
from .arms import VISIBLE_ARMS as FIRST_CARDS
from .arms import make_arm_cards
from .citation import make_citation
from .emphasis import best_lines, page_colours
from .leaderboard import VISIBLE_ROWS as FIRST_LINES
from .leaderboard import make_boards
from .panels import curve_panels, front_panels, profile_panels
from .plots import make_forests, make_heat_maps, metric_title
from .provenance import failed_cells, make_page_tables, rerun_command, run_versions
from .summary import make_answers, run_facts

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
UNIT_NOTES = {
    PERCENTAGE_POINTS: "Changes are in percentage points (pp) of the modes that each data set has.",
    LOG_ODDS: "Changes are differences of log odds, log(p / (1 - p)).",
}
SCRIPTS = (  # templates of the script, in the order in which they run
    *("base.js", "permalinks.js", "tables.js", "charts.js", "legends.js", "lazy.js"),
    *(
        "statistics.js",
        "compare.js",
        "downloads.js",
        "drawings.js",
        "pictures.js",
        "dialog.js",
        "page.js",
    ),
)
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


def page_content(report: SuiteReport, figures: Path) -> dict[str, Any]:
    """Returns the variables of the template."""
    plan = report.plan
    report = replace(report, board=clip_intervals(plan, report.board))
    frame, board = report.frame, report.board
    outcome = plan["analysis"]["outcome"]
    scale, namer, coverage = report.effect_scale, ArmNamer.of(board), report.coverage
    best = best_lines(board, namer)
    colours = page_colours(list(line_colours(frame, namer)), best)
    learning_curves = learning_curves_of(frame)
    cards = make_arm_cards(report, learning_curves, figures)
    return {
        "plan": plan,
        "facts": run_facts(frame),
        "outcome": metric_display_name(outcome, plan),
        "outcome_title": metric_title(outcome, plan),
        "outcome_scale": scale,
        "unit_note": UNIT_NOTES.get(describe_unit(scale), ""),
        "verdicts": report.answer,
        "direction": describe_direction(scale).capitalize(),
        "best_arms": best_arms(frame, board),
        "shared": namer.describe_shared(),
        "has_tricks": namer.has_tricks,
        "answers": make_answers(report.effects, coverage, scale, report.dependence.varies_by_data),
        "uncompared": uncompared_sentences(frame, coverage),
        "findings": report.findings,
        "boards": make_boards(frame, board),
        "first_lines": FIRST_LINES,
        "effects": make_forests(scale, report.effects, report.chains, coverage, report.dependence),
        "heats": make_heat_maps(scale, report.effects, coverage),
        "curves_outcome": learning_curves.label,
        "curves": curve_panels(learning_curves, board, namer, colours),
        "profiles": profile_panels(report.further.get("profiles"), plan, colours),
        "front": front_panels(report.further.get("front"), plan, namer, colours),
        "budget": format_budget(plan),
        "best": best,
        "arm_data": (arm_data := make_arm_data(frame, board)),
        "compare": len(arm_data["arms"]) > 1,
        "citation": make_citation(plan),
        "scripts": SCRIPTS,
        "arms": cards,
        "with_card": {arm.number for arm in cards.arms} if cards else set(),
        "first_cards": FIRST_CARDS,
        "failures": failed_cells(plan, board),
        "tables": make_page_tables(report.changes, report.further),
        "command": rerun_command(plan),
        "made_with": run_versions(frame),
        **page_texts(plan),
    }


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
    text = re.sub(
        r"(?<=×) | (?=(?:%|pp)(?:\W|$))|(?<=\bp) (?== )|(?<=\bp =) ", NO_BREAK_SPACE, text
    )
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
