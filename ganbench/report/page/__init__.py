"""The page: all that a suite found in one file, which needs no network and opens in any browser.

Jinja escapes every name; tables are HTML, forest and heat map too, and what has two axes is drawn
from JSON by the page's own script when it comes into view.
"""

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ganbench.report.curves import looks
from ganbench.report.figures import colours
from ganbench.report.findings import name_of
from ganbench.report.report import Report

from .arms import FIRST as FIRST_CARDS
from .arms import arms
from .leaderboard import FIRST as FIRST_LINES
from .leaderboard import boards
from .panels import curves, fronts, profiles
from .plots import forests, heats, title_of
from .provenance import command, failures, made_with, tables
from .summary import answers, facts_of_run, lead

SECTIONS = {  # in the order of the page
    "answer": "Answer",
    "leaderboard": "Leaderboard",
    "effects": "Effects",
    "curves": "Curves",
    "profiles": "Profiles",
    "front": "Cost",
    "arms": "Arms",
    "failures": "Not measured",
    "tables": "Tables",
    "made": "How made",
}


def page(report: Report, figures: Path) -> str:
    """The whole file. Pictures are those that lie in `figures`."""
    shown = content(report, figures)
    sections = [(name, title) for name, title in SECTIONS.items() if shown.get(name, True)]
    return environment().get_template("page.html").render(shown, sections=sections)


def content(report: Report, figures: Path) -> dict[str, Any]:
    """What the template shows, by the names that it uses."""
    frame, board, plan = report.frame, report.board, report.plan
    outcome = plan["analysis"]["outcome"]
    facts, numbers = plan["metrics"][outcome], colours(frame)
    looked = looks(frame)
    cards = arms(report, looked, figures)
    return {
        "plan": plan,
        "facts": facts_of_run(frame),
        "outcome": name_of(outcome),
        "outcome_title": title_of(outcome, facts),
        "outcome_facts": facts,
        "lead": lead(frame, board),
        "answers": answers(frame, report.effects),
        "findings": report.findings,
        "boards": boards(frame, board),
        "first_lines": FIRST_LINES,
        "effects": forests(facts, report.effects, report.chains),
        "heats": heats(facts, report.effects),
        "curves": curves(looked, board, numbers),
        "profiles": profiles(report.further.get("profiles"), plan, numbers),
        "front": fronts(report.further.get("front"), plan, numbers),
        "arms": cards,
        "with_card": {arm.number for arm in cards.arms} if cards else set(),
        "first_cards": FIRST_CARDS,
        "failures": failures(plan, board),
        "tables": tables(report.changes, report.further),
        "command": command(plan),
        "made_with": made_with(frame),
    }


def environment() -> Environment:
    """Escapes everything; a misspelt name in a template is an error."""
    loader = PackageLoader(__name__)
    made = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.policies["json.dumps_kwargs"] = {
        "allow_nan": False,
        "ensure_ascii": False,
        "separators": (",", ":"),
    }
    made.filters["breakable"] = breakable
    made.globals["asset"] = lambda name: Markup(loader.get_source(made, name)[0])
    return made


def breakable(name: str) -> Markup:
    """The name, which may go on in the next line after an underscore, a bracket or a comma."""
    return Markup("<wbr>").join(re.split(r"(?<=[_(,=])", name))
