"""The variables of the page's template, by section."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from ganbench.analysis.detection import MIN_DOMINANT_ACCURACY
from ganbench.evaluation.metric_names import metric_display_name
from ganbench.report.adaptive import page_texts
from ganbench.report.answer import uncompared_sentences
from ganbench.report.arm_names import ArmNamer
from ganbench.report.best_arm import best_arms
from ganbench.report.curves import LearningCurves, learning_curves_of
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
from .summary import make_best_tricks, run_facts

Content = dict[str, Any]  # variables of the template

UNIT_NOTES = {
    PERCENTAGE_POINTS: "Changes are in percentage points (pp) of the modes that each data set has.",
    LOG_ODDS: "Changes are differences of log odds, log(p / (1 - p)).",
}
SCRIPTS = (  # templates of the script, in the order in which they run
    "base.js",
    "permalinks.js",
    "tables.js",
    "charts.js",
    "legends.js",
    "lazy.js",
    "statistics.js",
    "compare.js",
    "downloads.js",
    "drawings.js",
    "pictures.js",
    "dialog.js",
    "page.js",
)


@dataclass(frozen=True)
class PageParts:
    """A report with its intervals clipped, and the names and colours of all its sections."""

    report: SuiteReport
    namer: ArmNamer
    best: list[str]  # lines that are drawn in colour
    colours: dict[str, int]
    curves: LearningCurves

    @classmethod
    def of(cls, report: SuiteReport) -> Self:
        report = replace(report, board=clip_intervals(report.plan, report.board))
        namer = ArmNamer.of(report.board)
        best = best_lines(report.board, namer)
        colours = page_colours(list(line_colours(report.frame, namer)), best)
        return cls(report, namer, best, colours, learning_curves_of(report.frame))


def page_content(report: SuiteReport, figures: Path) -> Content:
    """Returns all variables of the template, with the pictures in the folder `figures`."""
    parts = PageParts.of(report)
    return {
        **shared_content(parts),
        **answer_content(parts),
        **effects_content(parts.report),
        **leaderboard_content(parts.report),
        **chart_content(parts),
        **arms_content(parts, figures),
        **reproduction_content(parts.report),
        **page_texts(report.plan),
    }


def shared_content(parts: PageParts) -> Content:
    """Returns the head of the page, and what several sections name."""
    plan = parts.report.plan
    outcome = plan["analysis"]["outcome"]
    return {
        "plan": plan,
        "facts": run_facts(parts.report.frame),
        "outcome": metric_display_name(outcome, plan),
        "outcome_title": metric_title(outcome, plan),
        "outcome_scale": parts.report.effect_scale,
        "has_tricks": parts.namer.has_tricks,
        "budget": format_budget(plan),
        "best": parts.best,
        "scripts": SCRIPTS,
    }


def answer_content(parts: PageParts) -> Content:
    report = parts.report
    scale = report.effect_scale
    return {
        "suite_answer": report.answer,
        "direction": describe_direction(scale).capitalize(),
        "best_arms": best_arms(report.frame, report.board),
        "shared": parts.namer.describe_shared(),
        "best_tricks": make_best_tricks(report.effects, report.coverage, scale, report.dependence),
        "uncompared": uncompared_sentences(report.frame, report.coverage),
        "findings": report.findings,
    }


def effects_content(report: SuiteReport) -> Content:
    scale, effects, coverage = report.effect_scale, report.effects, report.coverage
    return {
        "unit_note": UNIT_NOTES.get(describe_unit(scale), ""),
        "effects": make_forests(scale, effects, report.chains, coverage, report.dependence),
        "heats": make_heat_maps(scale, effects, coverage),
    }


def leaderboard_content(report: SuiteReport) -> Content:
    return {
        "boards": make_boards(report.frame, report.board),
        "first_lines": FIRST_LINES,
        "least_dominant_accuracy": MIN_DOMINANT_ACCURACY,
    }


def chart_content(parts: PageParts) -> Content:
    """Returns the panels of learning curves, of profiles, and of quality against cost."""
    report, namer, colours = parts.report, parts.namer, parts.colours
    further = report.further
    return {
        "curves_outcome": parts.curves.label,
        "curves": curve_panels(parts.curves, report.board, namer, colours),
        "profiles": profile_panels(further.get("profiles"), report.plan, colours),
        "front": front_panels(further.get("front"), report.plan, namer, colours),
    }


def arms_content(parts: PageParts, figures: Path) -> Content:
    """Returns the cards of arms, and the data with which the page compares arms."""
    data = make_arm_data(parts.report.frame, parts.report.board)
    cards = make_arm_cards(parts.report, parts.curves, figures)
    return {
        "arm_data": data,
        "compare": len(data["arms"]) > 1,
        "arms": cards,
        "with_card": {arm.number for arm in cards.arms} if cards else set(),
        "first_cards": FIRST_CARDS,
    }


def reproduction_content(report: SuiteReport) -> Content:
    """Returns the failures, the further tables, and how to repeat and cite the run."""
    return {
        "failures": failed_cells(report.plan, report.board),
        "tables": make_page_tables(report.changes, report.further),
        "command": rerun_command(report.plan),
        "citation": make_citation(report.plan),
        "made_with": run_versions(report.frame),
    }
