"""A study in a terminal: human error an arm and rater, and the sentences that belong to it."""

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from ganbench.analysis.leaderboard import ARM_COLUMNS

MEANING = (
    "Human error: the share of judgements, of fakes and of real pictures, that were wrong; 50 % is "
    "chance. Brackets: Wilson's 95 % interval of as many independent judgements as tell as much, since "
    "those of one rater, and of one picture, hang together."
)


def tables(found: dict[str, Any]) -> list[Table]:
    """One of arms, the hardest to tell first, and one of raters."""
    arms = sorted(found["arms"], key=lambda arm: -(arm["error"] or 0.0))
    names = [" · ".join(filter(None, (arm[key] for key in ARM_COLUMNS[1:]))) for arm in arms]
    raters = [told["rater"] + (" (left out)" * told["left_out"]) for told in found["raters"]]
    return [table("arm", names, arms), table("rater", raters, found["raters"])]


def table(head: str, names: list[str], rows: list[dict[str, Any]]) -> Table:
    made = Table(box=SIMPLE_HEAD, padding=(0, 1))
    made.add_column(head)
    for column in ("human error [95 %]", "of fakes", "of reals"):
        made.add_column(column, justify="right")
    for name, row in zip(names, rows, strict=True):
        made.add_row(escape(name), interval(row), percent(row["fooled"]), percent(row["doubted"]))
    return made


def interval(row: dict[str, Any]) -> str:
    """`31 % [24, 39]`, or nothing."""
    if row["error"] is None:
        return ""
    return f"{row['error']:.0%} [{100 * row['low']:.0f}, {100 * row['high']:.0f}]".replace(
        "%", " %"
    )


def percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}".replace("%", " %")


def sentences(found: dict[str, Any]) -> list[str]:
    raters = found["raters"]
    kept = [told for told in raters if not told["left_out"]]
    said = [MEANING]
    if found["alpha"] is not None and len(kept) > 1:
        said.append(f"Agreement of {len(kept)} raters: Krippendorff's alpha {found['alpha']:.2f}.")
    if len(kept) < 2:
        said.append(
            "The answers of fewer than two raters count: nothing is known of how raters differ."
        )
    said += [
        f"{told['rater']} is left out: {told['caught']} of {told['catches']} catch trials were answered "
        "as they said."
        for told in raters
        if told["left_out"]
    ]
    for what, told in (("hasty", "answers came faster than anybody decides"),
                       ("off", "exposures were not of the length asked for")):  # fmt: skip
        said += [f"{rater['rater']}: {rater[what]} {told}." for rater in kept if rater[what]]
    return said
