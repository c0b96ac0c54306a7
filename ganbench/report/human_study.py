"""A human study in the terminal: error by arm and by rater, and explanations."""

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from ganbench.analysis.rows import ARM_COLUMNS
from ganbench.counts import format_share

HUMAN_ERROR_MEANING = (
    "Human error: the share of wrong judgements over fakes and real pictures; 50 % is chance. "
    "Brackets: Wilson's 95 % interval for the effective number of independent judgements. "
    "Judgements of one rater, and of one picture, are correlated."
)


def study_tables(study: dict[str, Any]) -> list[Table]:
    """Returns a table of arms, highest human error first, and a table of raters."""
    arms = sorted(study["arms"], key=lambda arm: -(arm["error"] or 0.0))
    arm_names = [" · ".join(arm[key] for key in ARM_COLUMNS[1:] if arm[key]) for arm in arms]
    raters = study["raters"]
    rater_names = [rater["rater"] + " (left out)" * rater["left_out"] for rater in raters]
    return [study_table("arm", arm_names, arms), study_table("rater", rater_names, raters)]


def study_table(head: str, names: list[str], rows: list[dict[str, Any]]) -> Table:
    grid = Table(box=SIMPLE_HEAD, padding=(0, 1))
    grid.add_column(head)
    for column in ("human error [95 %]", "of fakes", "of reals"):
        grid.add_column(column, justify="right")
    for name, row in zip(names, rows, strict=True):
        grid.add_row(
            escape(name),
            format_share_interval(row),
            format_judged_share(row["fooled"]),
            format_judged_share(row["doubted"]),
        )
    return grid


def format_share_interval(row: dict[str, Any]) -> str:
    """Formats an error with its interval as `31 % [24, 39]`, or as an empty string."""
    if row["error"] is None:
        return ""
    return f"{format_share(row['error'])} [{100 * row['low']:.0f}, {100 * row['high']:.0f}]"


def format_judged_share(share: float | None) -> str:
    return "" if share is None else format_share(share)


def study_sentences(study: dict[str, Any]) -> list[str]:
    counted = [rater for rater in study["raters"] if not rater["left_out"]]
    left_out = [rater for rater in study["raters"] if rater["left_out"]]
    return [
        HUMAN_ERROR_MEANING,
        *agreement_sentences(study["alpha"], len(counted)),
        *(left_out_sentence(rater) for rater in left_out),
        *flaw_sentences(counted, "hasty", "answers were faster than human reaction time"),
        *flaw_sentences(counted, "off", "exposures did not have the requested length"),
    ]


def agreement_sentences(alpha: float | None, raters: int) -> list[str]:
    if raters < 2:
        return [
            "Fewer than two raters count: their agreement is unknown, and intervals ignore that raters differ."
        ]
    if alpha is None:
        return []
    return [f"Agreement of {raters} raters: Krippendorff's alpha {alpha:.2f}."]


def left_out_sentence(rater: dict[str, Any]) -> str:
    return (
        f"{rater['rater']} is left out: only {rater['caught']} of {rater['catches']} catch trials were "
        "answered correctly."
    )


def flaw_sentences(raters: list[dict[str, Any]], key: str, flaw: str) -> list[str]:
    """Returns one sentence per rater with flawed answers, with their number."""
    return [f"{rater['rater']}: {rater[key]} {flaw}." for rater in raters if rater[key]]
