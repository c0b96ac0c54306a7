"""A study in a terminal: human error an arm and rater, and the sentences that belong to it."""

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from ganbench.analysis.leaderboard import ARM_COLUMNS

HUMAN_ERROR_MEANING = (
    "Human error: the share of judgements, of fakes and of real pictures, that were wrong; 50 % is "
    "chance. Brackets: Wilson's 95 % interval of as many independent judgements as tell as much, since "
    "those of one rater, and of one picture, hang together."
)


def study_tables(study: dict[str, Any]) -> list[Table]:
    """One of arms, the hardest to tell first, and one of raters."""
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
            format_share(row["fooled"]),
            format_share(row["doubted"]),
        )
    return grid


def format_share_interval(row: dict[str, Any]) -> str:
    """`31 % [24, 39]`, or nothing."""
    if row["error"] is None:
        return ""
    return f"{row['error']:.0%} [{100 * row['low']:.0f}, {100 * row['high']:.0f}]".replace(
        "%", " %"
    )


def format_share(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}".replace("%", " %")


def study_sentences(study: dict[str, Any]) -> list[str]:
    counted = [rater for rater in study["raters"] if not rater["left_out"]]
    left_out = [rater for rater in study["raters"] if rater["left_out"]]
    return [
        HUMAN_ERROR_MEANING,
        *agreement_sentences(study["alpha"], len(counted)),
        *(left_out_sentence(rater) for rater in left_out),
        *flaw_sentences(counted, "hasty", "answers came faster than anybody decides"),
        *flaw_sentences(counted, "off", "exposures were not of the length asked for"),
    ]


def agreement_sentences(alpha: float | None, raters: int) -> list[str]:
    if raters < 2:
        return [
            "The answers of fewer than two raters count: nothing is known of how raters differ."
        ]
    if alpha is None:
        return []
    return [f"Agreement of {raters} raters: Krippendorff's alpha {alpha:.2f}."]


def left_out_sentence(rater: dict[str, Any]) -> str:
    return (
        f"{rater['rater']} is left out: {rater['caught']} of {rater['catches']} catch trials were answered "
        "as they said."
    )


def flaw_sentences(raters: list[dict[str, Any]], key: str, flaw: str) -> list[str]:
    """One sentence per rater with such answers: how many."""
    return [f"{rater['rater']}: {rater[key]} {flaw}." for rater in raters if rater[key]]
