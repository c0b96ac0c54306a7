"""The file analyses.md: further tables made from the rows, each with an explanation."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from ganbench.analysis.front import cost_front
from ganbench.analysis.profiles import (
    improvement_probabilities,
    interquartile_gains,
    performance_profiles,
)
from ganbench.analysis.selection import checkpoint_selection
from ganbench.analysis.sensitivity import axis_effects, settings_sensitivity
from ganbench.analysis.targets import costs_to_target
from ganbench.analysis.variance import seeds_table, variance_components

from .markdown import format_number, markdown_table


@dataclass(frozen=True)
class ReportAnalysis:
    """A table of the analyses file, with its title and an explanation."""

    name: str
    title: str
    note: str
    make: Callable[[pd.DataFrame], pd.DataFrame]
    shown: Callable[[pd.DataFrame], pd.DataFrame] = lambda table: table  # as it is shown


def pivot_profiles(profiles: pd.DataFrame) -> pd.DataFrame:
    """Returns the profiles with one column per factor."""
    shares = profiles.pivot(index="tricks", columns="factor", values="share")
    shares = shares.reindex(profiles["tricks"].unique())
    return shares.rename(columns=lambda factor: f"× {factor:g}").reset_index()


ANALYSES = (
    ReportAnalysis(
        "improvement",
        "Probability of improvement",
        "How probably a training with the trick ends better than one without it in the same cell; ties "
        "count half, failures are worst. Stratified bootstrap over seeds.",
        improvement_probabilities,
    ),
    ReportAnalysis(
        "middle",
        "Interquartile means",
        "The mean of the middle half of all trainings, each as a ratio to its cell's mean without "
        "tricks, above 1 where better. It hides up to a quarter of failures: see how many there were.",
        interquartile_gains,
    ),
    ReportAnalysis(
        "profiles",
        "Profiles",
        "The share of trainings that end within a factor of their cell's best arm; failures never do.",
        performance_profiles,
        pivot_profiles,
    ),
    ReportAnalysis(
        "targets",
        "On the way to a target",
        "Medians over trainings of what was spent at the first look that had reached the target; a "
        "training that never did counts as endless.",
        costs_to_target,
    ),
    ReportAnalysis(
        "front", "Quality against cost", "Cells that no other one beats in both.", cost_front
    ),
    ReportAnalysis(
        "sensitivity",
        "Sensitivity to settings",
        "What the best and the worst setting of the plan come to, all else being equal.",
        settings_sensitivity,
    ),
    ReportAnalysis(
        "axes",
        "Settings one by one",
        "What going from one value of a setting to the next changes, over families matched in all else.",
        axis_effects,
    ),
    ReportAnalysis(
        "selection",
        "Last beside best",
        "The best checkpoint is chosen on other samples than those it is reported on. The last column "
        "is what reporting the best seed would have promised falsely.",
        checkpoint_selection,
    ),
    ReportAnalysis(
        "variance",
        "Where the spread comes from",
        "Standard deviations on the analysis scale, within cells: of all, of sampling the fakes, and of "
        "training itself.",
        variance_components,
    ),
    ReportAnalysis(
        "seeds",
        "Seeds that a claim needs",
        "Seeds an arm, in a single cell, to show a change with a power of 80 %, at the spread seen here.",
        seeds_table,
    ),
)


def make_analyses(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Computes all tables, and returns those that have rows, by name."""
    tables = {analysis.name: analysis.make(frame) for analysis in ANALYSES}
    return {name: table for name, table in tables.items() if not table.empty}


def render_analyses(suite: str, tables: dict[str, pd.DataFrame]) -> str:
    """Renders the file analyses.md."""
    parts = [f"# Further analyses of {suite}"]
    for analysis in ANALYSES:
        if analysis.name in tables:
            table = format_columns(analysis.shown(tables[analysis.name]))
            parts += [f"## {analysis.title}", analysis.note, markdown_table(table)]
    return "\n\n".join(parts) + "\n"


def format_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Formats the entries and column names of a table for reading.

    Empty columns are left out.
    """
    texts = table.map(format_value).rename(columns=lambda name: name.replace("_", " "))
    return texts.loc[:, (texts != "").any()]


def format_value(value: object) -> str:
    if pd.isna(value) or value is False:  # type: ignore[call-overload]
        return ""
    if value is True:
        return "yes"
    return format_number(value) if isinstance(value, float) else str(value)
