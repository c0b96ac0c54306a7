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


def study_tables(found: dict[str, Any]) -> list[Table]:
    """One of arms, the hardest to tell first, and one of raters."""
    arms = sorted(found["arms"], key=lambda arm: -(arm["error"] or 0.0))
    names = [" · ".join(filter(None, (arm[key] for key in ARM_COLUMNS[1:]))) for arm in arms]
    raters = [tables["rater"] + (" (left out)" * tables["left_out"]) for tables in found["raters"]]
    return [study_table("arm", names, arms), study_table("rater", raters, found["raters"])]


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


def study_sentences(found: dict[str, Any]) -> list[str]:
    raters = found["raters"]
    counted = [told for told in raters if not told["left_out"]]
    sentences = [HUMAN_ERROR_MEANING]
    if found["alpha"] is not None and len(counted) > 1:
        sentences.append(
            f"Agreement of {len(counted)} raters: Krippendorff's alpha {found['alpha']:.2f}."
        )
    if len(counted) < 2:
        sentences.append(
            "The answers of fewer than two raters count: nothing is known of how raters differ."
        )
    sentences += [
        f"{told['rater']} is left out: {told['caught']} of {told['catches']} catch trials were answered "
        "as they said."
        for told in raters
        if told["left_out"]
    ]
    for what, told in (("hasty", "answers came faster than anybody decides"),
                       ("off", "exposures were not of the length asked for")):  # fmt: skip
        sentences += [
            f"{rater['rater']}: {rater[what]} {told}." for rater in counted if rater[what]
        ]
    return sentences
