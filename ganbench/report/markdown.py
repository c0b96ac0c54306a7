"""Tables as Markdown, with what they mean in their headers: protocol, counts, floors."""

import math
from typing import Any

import pandas as pd

from ganbench.analysis.detection import MIN_DOMINANT_ACCURACY
from ganbench.analysis.leaderboard import ARM_COLUMNS
from ganbench.human_study.error_rates import HUMAN_ERROR_COLUMN as HUMAN

from .findings import metric_display_name

IMAGES_PER_SECOND_COLUMN = "train_images_per_second"
PARAMETER_COUNT_COLUMNS = ("generator_parameters", "discriminator_parameters")
FLAG_COLUMNS = ("collapsed", "oscillating", "won")  # what diverged is named below the tables


def render_leaderboard(frame: pd.DataFrame, board: pd.DataFrame, found: list[str]) -> str:
    """The whole leaderboard file: findings, what the numbers mean, a table a data set."""
    plan = frame.attrs["plan"]
    lines = [f"# {plan['suite']}", "", plan["about"], "", *(f"- {line}" for line in found), ""]
    lines += [
        f"Budget: {format_budget(plan)}. Seeds: {len(plan['seeds'])}. Device: {plan['device']}.",
        "",
    ]
    for data, part in board.groupby("data", sort=False):
        lines += [
            f"## {data}",
            "",
            *describe_numbers(plan, str(data)),
            "",
            leaderboard_markdown_table(plan, part),
            "",
        ]
    lines += list_failures(board)
    versions = plan["provenance"]
    lines += [f"ganbench {versions['ganbench']}, torch {versions['torch']}."]
    return "\n".join(lines) + "\n"


def format_budget(plan: dict[str, Any]) -> str:
    spent = plan["budget"]
    unit = {"images": "real images shown to the discriminator", "seconds": "seconds of training"}
    return (
        f"{spent['amount']:,} {unit.get(spent['unit'], 'generator turns')}, the same for every arm"
    )


def describe_numbers(plan: dict[str, Any], data: str) -> list[str]:
    texts = [p["text"] for p in plan["protocols"].values() if p["data"] == data]
    return [
        f"Protocol: {'; '.join(texts)}. Means over seeds at the last checkpoint, on each metric's own "
        "scale (geometric for FID and IS), with 95 % t intervals in brackets; ± is the standard error of "
        "one trial's value by its fakes. ≈: not told apart from the first by Welch's test of the two. "
        "Costs are medians: training's images a second, seconds, peak memory, and weights of "
        "both networks. *floor*: held-out data in the place of the fakes. *theory*: what "
        "a perfect generator is expected to score. *untrained*: a variant's generator before its first step. "
        "*flags*, of how many seeds: *collapsed*, modes or recall ended below "
        f"{plan['analysis']['collapse']:.0%} of the floor's; *oscillating*, the fakes' mean score cycles; "
        f"*won*, the discriminator tells {MIN_DOMINANT_ACCURACY:.0%} of pairs apart to the end."
    ]


def leaderboard_markdown_table(plan: dict[str, Any], part: pd.DataFrame) -> str:
    metrics = list(plan["metrics"])
    outcome = plan["analysis"]["outcome"]
    shown = pd.DataFrame(
        {
            "#": [format_rank(row) for row in part.to_dict("records")],
            "variant": part["variant"].fillna("").tolist(),
            "loss": part["loss"].fillna("").tolist(),
            "tricks": part["tricks"].fillna("").tolist(),
            "plan": part["plan"].fillna("").tolist(),
            "seeds": [format_measured_count(row) for row in part.to_dict("records")],
            "flags": [format_flag_counts(row) for row in part.to_dict("records")],
            **{
                metric_display_name(m): [
                    format_cell_with_error(row, m, m == outcome) for row in part.to_dict("records")
                ]
                for m in metrics
            },
            **format_human_error(part),
            "img/s": format_costs(part[IMAGES_PER_SECOND_COLUMN]),
            "s": format_costs(part["train_seconds"]),
            "MB": format_costs(part["peak_memory"] / 1e6),
            "1,000 weights": format_costs(
                part[list(PARAMETER_COUNT_COLUMNS)].sum(axis=1, min_count=2) / 1e3
            ),
        }
    )
    empty = [
        c for c in ("plan", "flags", *map(metric_display_name, metrics)) if (shown[c] == "").all()
    ]
    shown = shown.drop(columns=empty)
    right = [c not in ("variant", "loss", "tricks", "plan", "flags") for c in shown]
    return shown.to_markdown(
        index=False, colalign=["right" if r else "left" for r in right], disable_numparse=True
    )


def format_human_error(part: pd.DataFrame) -> dict[str, list[str]]:
    """How often people judged wrongly, where they were asked."""
    if HUMAN not in part or part[HUMAN].isna().all():
        return {}
    return {HUMAN: [format_cell(row, HUMAN, True) for row in part.to_dict("records")]}


def format_costs(values: "pd.Series[float]") -> list[str]:
    return ["" if math.isnan(value) else f"{value:,.0f}" for value in values.astype(float)]


def format_rank(row: dict[Any, Any]) -> str:
    if row["role"] != "trial":
        return f"*{row['role']}*"
    return "" if pd.isna(row["rank"]) else f"{row['rank']}{tie_mark(row)}"


def tie_mark(row: dict[Any, Any]) -> str:
    """A mark at those that are not told apart from the first."""
    return " ≈" if row["rank"] > 1 and row["tied"] is not pd.NA and row["tied"] else ""


def format_measured_count(row: dict[Any, Any]) -> str:
    return "" if row["role"] in ("floor", "theory") else f"{row['done']}/{row['seeds']}"


def format_flag_counts(row: dict[Any, Any]) -> str:
    """`collapsed 2/3, won 1/3`; references have none."""
    texts = [f"{flag} {row[flag]}/{row['seeds']}" for flag in FLAG_COLUMNS if row[flag]]
    return ", ".join(texts) if row["role"] == "trial" else ""


def format_cell(row: dict[Any, Any], metric: str, interval: bool) -> str:
    """`4.2 [3.1, 5.6]`, `4.2` or nothing."""
    if pd.isna(row[metric]):
        return ""
    if not interval or pd.isna(row[f"{metric} low"]):
        return format_number(row[metric])
    value, low, high = (format_number(row[f"{metric}{end}"]) for end in ("", " low", " high"))
    return f"{value} [{low}, {high}]"


def format_cell_with_error(row: dict[Any, Any], metric: str, interval: bool) -> str:
    """The cell with the standard error of one trial's value: `4.2 [3.1, 5.6] ± 0.21`."""
    error = row[f"{metric} error"]
    return format_cell(row, metric, interval) + (
        f" ± {error:.2g}" if error > 1e-4 * abs(row[metric]) else ""
    )


def markdown_table(shown: pd.DataFrame) -> str:
    """Texts and numbers as a Markdown table, as they are."""
    return shown.to_markdown(index=False, disable_numparse=True)


def format_number(value: float) -> str:
    """Three digits, or all of those before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def list_failures(board: pd.DataFrame) -> list[str]:
    """Cells that did not all end well, and why."""
    lines = []
    for row in board[board["reason"] != ""].to_dict("records"):
        counts = [
            f"{row[o]} {o.replace('_', ' ')}"
            for o in ("diverged", "failed", "not_applicable")
            if row[o]
        ]
        if counts:
            name = " / ".join(row[key] for key in ARM_COLUMNS if row[key])
            lines.append(f"- {name}: {', '.join(counts)}: {row['reason']}")
    return ["## Not measured", "", *lines, ""] if lines else []
