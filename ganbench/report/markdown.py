"""Markdown tables, with the protocol, counts and floors that explain their numbers."""

import math
import re
from typing import Any

import pandas as pd

from ganbench.analysis.detection import MIN_DOMINANT_ACCURACY
from ganbench.analysis.leaderboard import (
    IMAGES_PER_SECOND,
    NO_REASON,
    UNMEASURED_OUTCOMES,
    name_outcome,
)
from ganbench.analysis.metric_scale import metric_scale
from ganbench.analysis.rows import ARM_COLUMNS
from ganbench.counts import format_share, format_threshold, join_words
from ganbench.errors import escape_control_characters
from ganbench.evaluation.metric_names import metric_display_name
from ganbench.experiments.plan_names import join_names
from ganbench.human_study.error_rates import HUMAN_ERROR_COLUMN

from .adaptive import describe_rule, describe_seeds, ends_of_effects
from .format_number import format_cell, format_error, is_visible_error
from .possible_range import clip_intervals, count_total, format_total

PARAMETER_COUNT_COLUMNS = ("generator_parameters", "discriminator_parameters")
FLAGS = {  # by column; divergence is listed below the tables
    "collapsed": "collapsed",
    "oscillating": "oscillating",
    "won": "dominated",  # by the discriminator
}
# Characters that are markup in a name: of code, tables, HTML, entities, emphasis and links. An underscore
# inside a word, as in spectral_norm, is none.
MARKUP = re.compile(r"[\\`|<>*$~]|&(?=[#\w])|(?<=\])[(\[]|(?<![^\W_])_|_(?![^\W_])")
LEFT_ALIGNED_COLUMNS = ("variant", "loss", "tricks", "plan", "flags")


def render_leaderboard(frame: pd.DataFrame, board: pd.DataFrame, findings: list[str]) -> str:
    """Renders leaderboard.md: findings, explanations, and one table per data set."""
    plan = frame.attrs["plan"]
    lines = [f"# {escape_markdown(plan['suite'])}", "", escape_markdown(plan["about"]), ""]
    lines += [*(f"- {escape_markdown(line)}" for line in findings), ""]
    seeds, device = describe_seeds(plan), plan["device"]
    lines += [f"Budget: {format_budget(plan)}. Seeds: {seeds}. Device: {device}.", ""]
    if "adaptive" in plan:
        lines += [describe_rule(plan), "", markdown_table(ends_of_effects(plan)), ""]
    lines += [f"Note: {escape_markdown(note)}.\n" for note in plan.get("notes", [])]
    for data, part in clip_intervals(plan, board).groupby("data", sort=False):
        lines += [f"## {escape_markdown(str(data))}", "", *describe_numbers(plan, str(data)), ""]
        lines += [leaderboard_markdown_table(plan, part), ""]
    lines += list_failures(plan, board)
    versions = plan["provenance"]
    lines += [f"ganbench {versions['ganbench']}, torch {versions['torch']}."]
    return "\n".join(lines) + "\n"


def escape_markdown(text: str) -> str:
    """Returns a text that Markdown shows as it is, in one line."""
    line = escape_control_characters(" ".join(text.split()))
    return MARKUP.sub(lambda found: f"\\{found[0]}", line)


def format_budget(plan: dict[str, Any]) -> str:
    spent = plan["budget"]
    unit = {"images": "real images shown to the discriminator", "seconds": "seconds of training"}
    text = f"{spent['amount']:,} {unit.get(spent['unit'], 'generator turns')}"
    if images := plan.get("images"):
        return f"{text}; whole training steps make it {images[0]:,} to {images[1]:,} per arm"
    return f"{text}, the same for every arm"


def format_short_budget(plan: dict[str, Any]) -> str:
    """Formats the budget in few words: `32,000 real images per arm`."""
    spent = plan["budget"]
    unit = {"images": "real images", "seconds": "seconds"}.get(spent["unit"], "generator turns")
    return f"{spent['amount']:,} {unit} per arm"


def describe_numbers(plan: dict[str, Any], data: str) -> list[str]:
    texts = [escape_markdown(p["text"]) for p in plan["protocols"].values() if p["data"] == data]
    return [
        f"Protocol: {'; '.join(texts)}. Values are means over seeds at the last checkpoint, on each metric's "
        f"own scale{describe_geometric_means(plan)}, with 95 % t intervals in brackets. ±: the standard error of one "
        "trial's value from sampling the generated images. ≈: the arm is not separable from the first, as "
        "corrected pairwise tests leave open which of the two is better. Costs are medians: images per second of "
        "training, seconds, peak memory, and weights of both networks. *floor*: held-out real data scored "
        "as if they were generated. *theory*: the expected score of a perfect generator, if real examples "
        "are independent. *untrained*: a variant's generator before its first step. *flags*, with "
        "the number of seeds: *collapsed*, modes or recall ended below "
        f"{format_threshold(plan['analysis']['collapse'])} of the floor's value, also if the generator never "
        "learned; *oscillating*, the mean score of generated "
        f"images cycles; *dominated*, the discriminator ranks {format_share(MIN_DOMINANT_ACCURACY)} of "
        "real-fake pairs correctly until the end."
    ]


def describe_geometric_means(plan: dict[str, Any]) -> str:
    """Names the metrics with geometric means: ` (geometric for FID and IS)`; empty for none."""
    names = [metric_display_name(m, plan) for m in plan["metrics"] if metric_scale(plan, m).is_log]
    titles = dict.fromkeys(name.partition(" (")[0] for name in names)
    return f" (geometric for {join_words(list(titles), 'and')})" if titles else ""


def leaderboard_markdown_table(plan: dict[str, Any], part: pd.DataFrame) -> str:
    scores = score_columns(plan, part)
    columns = {**name_columns(part), **scores, **format_human_error(part), **cost_columns(part)}
    table = pd.DataFrame(columns)
    empty = [name for name in ("plan", "flags", *scores) if (table[name] == "").all()]
    table = table.drop(columns=empty)
    alignments = ["left" if name in LEFT_ALIGNED_COLUMNS else "right" for name in table]
    return table.to_markdown(index=False, colalign=alignments, disable_numparse=True)


def name_columns(part: pd.DataFrame) -> dict[str, list[str]]:
    """Returns the columns with names, ranks, seeds and flags."""
    rows = part.to_dict("records")
    return {
        "#": [format_rank(row) for row in rows],
        **{name: part[name].fillna("").map(escape_markdown).tolist() for name in ARM_COLUMNS[1:]},
        "seeds": [format_measured_count(row) for row in rows],
        "flags": [format_flag_counts(row) for row in rows],
    }


def score_columns(plan: dict[str, Any], part: pd.DataFrame) -> dict[str, list[str]]:
    rows, outcome = part.to_dict("records"), plan["analysis"]["outcome"]
    return {
        f"{metric_display_name(metric, plan)}{format_total(count_total(plan, part, metric))}": [
            format_cell_with_error(row, metric, metric == outcome) for row in rows
        ]
        for metric in plan["metrics"]
    }


def cost_columns(part: pd.DataFrame) -> dict[str, list[str]]:
    weights = part[list(PARAMETER_COUNT_COLUMNS)].sum(axis=1, min_count=2)
    return {
        "img/s": format_costs(part[IMAGES_PER_SECOND]),
        "s": format_costs(part["train_seconds"]),
        "MB": format_costs(part["peak_memory"] / 1e6),
        "1,000 weights": format_costs(weights / 1e3),
    }


def format_human_error(part: pd.DataFrame) -> dict[str, list[str]]:
    """Returns the column of human error if there was a human study."""
    if HUMAN_ERROR_COLUMN not in part or part[HUMAN_ERROR_COLUMN].isna().all():
        return {}
    rows = part.to_dict("records")
    return {HUMAN_ERROR_COLUMN: [format_cell(row, HUMAN_ERROR_COLUMN, True) for row in rows]}


def format_costs(values: "pd.Series[float]") -> list[str]:
    return ["" if math.isnan(value) else f"{value:,.0f}" for value in values.astype(float)]


def format_rank(row: dict[Any, Any]) -> str:
    if row["role"] != "trial":
        return f"*{row['role']}*"
    return "" if pd.isna(row["rank"]) else f"{row['rank']}{tie_mark(row)}"


def tie_mark(row: dict[Any, Any]) -> str:
    """Returns a mark for arms that are not separable from the first."""
    return " ≈" if row["rank"] > 1 and row["tied"] is not pd.NA and row["tied"] else ""


def format_measured_count(row: dict[Any, Any]) -> str:
    return "" if row["role"] in ("floor", "theory") else f"{row['done']}/{row['seeds']}"


def format_flag_counts(row: dict[Any, Any]) -> str:
    """Formats flags as `collapsed 2/3, dominated 1/3`; empty for references."""
    texts = [f"{name} {row[flag]}/{row['seeds']}" for flag, name in FLAGS.items() if row[flag]]
    return ", ".join(texts) if row["role"] == "trial" else ""


def format_cell_with_error(row: dict[Any, Any], metric: str, interval: bool) -> str:
    """Formats a value with one trial's standard error: `4.2 [3.1, 5.6] ± 0.21`."""
    error = row[f"{metric} error"]
    return format_cell(row, metric, interval) + (
        f" {format_error(error)}" if is_visible_error(error, row[metric]) else ""
    )


def markdown_table(table: pd.DataFrame) -> str:
    """Converts a table of texts and numbers to Markdown, without markup in its texts."""
    plain = table.map(lambda value: escape_markdown(value) if isinstance(value, str) else value)
    plain.columns = [escape_markdown(str(name)) for name in table]
    return plain.to_markdown(index=False, disable_numparse=True)


def list_failures(plan: dict[str, Any], board: pd.DataFrame) -> list[str]:
    """Lists the cells with failed trainings, and the excluded cells, with their reasons."""
    failures = [
        f"{join_names(row[key] for key in ARM_COLUMNS)}: {counts}: {row['reason'] or NO_REASON}"
        for row in board.to_dict("records")
        if (counts := format_failure_counts(row))
    ]
    failures += [f"{entry['cell']}: excluded: {entry['reason']}" for entry in plan["excluded"]]
    lines = [f"- {escape_markdown(failure)}" for failure in failures]
    return ["## Not measured", "", *lines, ""] if lines else []


def format_failure_counts(row: dict[Any, Any]) -> str:
    """Formats counts as `1 diverged, 2 not applicable`, or as an empty string."""
    return ", ".join(f"{row[o]} {name_outcome(o)}" for o in UNMEASURED_OUTCOMES if row[o])
