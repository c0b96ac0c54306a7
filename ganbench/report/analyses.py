"""The file analyses.md: further tables made from the rows, each with an explanation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from ganbench.analysis.fewer_seeds import tables_of_fewer_seeds
from ganbench.analysis.front import cost_front
from ganbench.analysis.lasting import lasting_effects
from ganbench.analysis.level_comparisons import level_comparisons
from ganbench.analysis.profiles import (
    improvement_probabilities,
    interquartile_gains,
    performance_profiles,
)
from ganbench.analysis.selection import checkpoint_selection
from ganbench.analysis.sensitivity import axis_effects, settings_sensitivity
from ganbench.analysis.targets import costs_to_target
from ganbench.analysis.transfer import effect_transfer
from ganbench.analysis.variance import seeds_table, variance_components

from .format_number import format_number
from .markdown import markdown_table


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


def name_backgrounds(table: pd.DataFrame) -> pd.DataFrame:
    """Returns the table with the word of readers for the column `cells`, which files keep."""
    return table.rename(columns={"cells": "backgrounds"})


def shorten_comparisons(comparisons: pd.DataFrame) -> pd.DataFrame:
    """Returns the comparisons without single intervals; lost trainings only if there are some."""
    table = comparisons.drop(columns=["low", "high"])
    lost = ["lost_of_one", "lost_of_other"]
    return table if table[lost].any(axis=None) else table.drop(columns=lost)


ANALYSES = (
    ReportAnalysis(
        "levels",
        "Variants and losses compared",
        "The change of the outcome from *other* to *one*, averaged over cells that are equal in all else; *cells* "
        "counts those of each. On a logarithmic scale the change is a ratio: for FID, 2 means twice the FID. "
        "Variants keep their own rates, and their own losses if the grid has no other. Intervals and p have Holm's "
        "correction over all pairs of variants, or of losses. Means leave out lost trainings.",
        level_comparisons,
        shorten_comparisons,
    ),
    ReportAnalysis(
        "improvement",
        "Probability of improvement",
        "The probability that a training with the trick ends better than one without it on the same background. "
        "Ties count half, and a failure is worse than any value. Intervals: bootstrap over the seeds of each network.",
        improvement_probabilities,
        name_backgrounds,
    ),
    ReportAnalysis(
        "middle",
        "Interquartile means",
        "The mean over the middle half of all trainings, each as a gain over the mean without tricks on "
        "its background. For outcomes on a logarithmic scale the gain is a ratio, and above 1 is better: for FID, "
        "2 means half the FID. For other outcomes it is a difference, and above 0 is better. Counts with "
        "another total on each data set are compared as shares of it. The mean hides failures of up to a quarter of "
        "the trainings, so read it together with the failure rates.",
        interquartile_gains,
    ),
    ReportAnalysis(
        "profiles",
        "Performance profiles",
        "The share of trainings that end within a factor of the best arm of their background. Failed trainings "
        "count as never within it.",
        performance_profiles,
        pivot_profiles,
    ),
    ReportAnalysis(
        "transfer",
        "Do effects transfer?",
        "The correlation between the true effects of tricks on two data sets: that of the estimates, corrected for "
        "the noise over seeds, which lowers it. *shown* counts tricks with an effect on the first data set, "
        "*repeated* those with an effect in the same direction on the second.",
        effect_transfer,
    ),
    ReportAnalysis(
        "lasting",
        "Do effects last?",
        "The correlation between the true effects of tricks at a point of the learning curves and at their end, "
        "corrected for the noise over seeds. *turned* is the share of effects whose estimate changes its sign. A point "
        "is the end of a shorter training where no rate or strength depends on the budget.",
        lasting_effects,
    ),
    ReportAnalysis(
        "targets",
        "Cost to reach a target",
        "Median cost over trainings until the first measured point of the learning curve that reaches the "
        "target. The suite may declare a target. Otherwise it is the mean of the last points of the data set's "
        "curves without tricks. A training that never reaches it has an infinite cost.",
        costs_to_target,
    ),
    ReportAnalysis(
        "front",
        "Quality against cost",
        "No other cell dominates the cells on the front: none is at least as good in both outcome and "
        "training time, and better in one. Cells with *failed* trainings, which diverged or failed, are left out of "
        "this comparison: their mean is that of the others.",
        cost_front,
    ),
    ReportAnalysis(
        "sensitivity",
        "Sensitivity to settings",
        "Results with the best and the worst hyperparameter setting, all else being equal.",
        settings_sensitivity,
    ),
    ReportAnalysis(
        "axes",
        "Settings one by one",
        "The change from one value of a setting to the next, over groups of trainings equal in all else.",
        axis_effects,
    ),
    ReportAnalysis(
        "selection",
        "Last and best checkpoint",
        "The best checkpoint is selected on other samples than those of the reported value. The last column "
        "compares the best seed with the mean over seeds: reporting only the best seed would claim this much "
        "improvement by chance.",
        checkpoint_selection,
    ),
    ReportAnalysis(
        "fewer_seeds",
        "Tables of fewer seeds",
        "Seeds of this run are drawn at random, as if it had stopped after them. *names best* is the share of draws "
        "that name the same best arm as all seeds, and *ratio* what the named arm costs on average. *wrong order* "
        "is the share of pairs of arms in the opposite order.",
        tables_of_fewer_seeds,
    ),
    ReportAnalysis(
        "variance",
        "Sources of variance",
        "Standard deviations within cells on the scale of the analysis: total, from sampling the generated "
        "images, and from training itself. On the logarithmic scale of FID, 0.2 is about 20 %.",
        variance_components,
    ),
    ReportAnalysis(
        "seeds",
        "Seeds needed to detect a change",
        "Seeds per arm in a single cell that detect a change with a power of 80 %, at the spread measured here. "
        "A change is a factor: 0.98 is 2 % less.",
        seeds_table,
    ),
)


def make_analyses(
    frame: pd.DataFrame, known: Mapping[str, pd.DataFrame] | None = None
) -> dict[str, pd.DataFrame]:
    """Computes all tables but the known ones, and returns those that have rows, by name."""
    tables = dict(known or {})
    for analysis in ANALYSES:
        if analysis.name not in tables:
            tables[analysis.name] = analysis.make(frame)
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
    texts = table.map(format_entry).rename(columns=lambda name: name.replace("_", " "))
    return texts.loc[:, (texts != "").any()]


def format_entry(value: object) -> str:
    if pd.isna(value) or value is False:  # type: ignore[call-overload]
        return ""
    if value is True:
        return "yes"
    return format_number(value) if isinstance(value, float) else str(value)
