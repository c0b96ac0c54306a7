"""The best arm of each data set in sentences, with its rivals and references."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from ganbench.analysis.effects import COUNT_UNIT
from ganbench.analysis.metric_scale import MetricScale, outcome_scale
from ganbench.counts import count_of, list_first
from ganbench.evaluation.metric_names import metric_display_name

from .arm_names import ArmNamer, shorten_names
from .format_change import describe_direction
from .format_number import format_number
from .possible_range import clip_intervals, count_total, format_total

UNTRAINED_KEY = ["data", "variant"]
MAX_NAMED_RIVALS = 2  # arms that are not separable from the best one
MIN_SEEDS = 2  # of an arm that a test can separate from another
ALL_ARMS_END = {1: "The arm ends", 2: "Both arms end"}


@dataclass(frozen=True)
class BestArm:
    """The best arm of a data set: the sentence with its value, and further sentences."""

    lead: str
    notes: list[str]

    def text(self) -> str:
        return " ".join([self.lead, *self.notes])


def best_arms(frame: pd.DataFrame, board: pd.DataFrame) -> list[BestArm]:
    """Describes the best arm of each data set; empty if no training has a value."""
    plan, namer = frame.attrs["plan"], ArmNamer.of(board)
    parts = dict(iter(clip_intervals(plan, board).groupby("data", sort=False)))
    ranked = {str(data): part for data, part in parts.items() if part["rank"].notna().any()}
    return [
        describe_best_arm(frame, part, namer, f" on {data}" if len(ranked) > 1 else "")
        for data, part in ranked.items()
    ]


def best_arm_sentences(frame: pd.DataFrame, board: pd.DataFrame) -> list[str]:
    """Returns one text per data set with its best arm.

    The first one names the better direction.
    """
    texts = [arm.text() for arm in best_arms(frame, board)]
    if not texts:
        return ["No training of this suite has a value yet."]
    direction = describe_direction(outcome_scale(frame)).capitalize()
    return [f"{texts[0]} {direction}.", *texts[1:]]


def describe_best_arm(
    frame: pd.DataFrame, part: pd.DataFrame, namer: ArmNamer, place: str
) -> BestArm:
    """Describes the first arm of a data set. Suites without tricks also name the second one."""
    plan, scale = frame.attrs["plan"], outcome_scale(frame)
    outcome, data = plan["analysis"]["outcome"], str(part["data"].iloc[0])
    rows = part[part["rank"].notna()].to_dict("records")
    short = shorten_names([namer.name(row) for row in rows])
    name = metric_display_name(outcome, plan, data)
    total = count_total(plan, part, outcome)
    lead = f"{short[namer.name(rows[0])]} has the {superlative(scale)} {name}{place}: "
    names = [short[namer.name(row)] for row in rows]
    values = [format_outcome(row, outcome, total) for row in rows]
    texts = [f"{name} {value}" for name, value in zip(names, values, strict=True)]
    notes = [describe_separation(rows, texts)]
    if not namer.has_tricks and len(rows) > 1 and not any(map(is_rival, rows[1:])):
        notes.append(f"The next is {names[1]}: {values[1]}.")
    if total is None:
        notes.append(describe_reference(part, outcome))
    notes.append(describe_learning(part, outcome, scale.is_lower_better))
    return BestArm(f"{lead}{format_outcome(rows[0], outcome, total)}.", [n for n in notes if n])


def superlative(scale: MetricScale) -> str:
    if scale.is_lower_better:
        return "lowest"
    return "most" if scale.unit == COUNT_UNIT else "highest"


def format_outcome(row: dict[Any, Any], metric: str, total: float | None) -> str:
    """Formats a mean with its total and its interval: `23.2 of 25 [20.8, 25]`."""
    value = f"{format_number(row[metric])}{format_total(total)}"
    if pd.isna(row[f"{metric} low"]):
        return value
    return (
        f"{value} [{format_number(row[f'{metric} low'])}, {format_number(row[f'{metric} high'])}]"
    )


def is_rival(row: dict[Any, Any]) -> bool:
    """Returns whether an arm is not separable from the first."""
    return row["tied"] is not pd.NA and bool(row["tied"])


def describe_separation(rows: list[dict[Any, Any]], texts: list[str]) -> str:
    """Describes the arms that are not separable from the first, and names the best of them.

    `texts` has the name and value of each row. If the second arm is separable, it is named too.
    """
    others = len(rows) - 1
    rivals = [text for row, text in zip(rows[1:], texts[1:], strict=True) if is_rival(row)]
    if not others:
        return ""
    if rows[0]["done"] < MIN_SEEDS:
        measured = " with a value" if rows[0]["seeds"] >= MIN_SEEDS else ""
        return f"It has one seed{measured}, so that no other arm is separable from it."
    if not rivals:
        beaten = {1: "the other", 2: "both others"}.get(others, f"all {others} others")
        return f"It is significantly better than {beaten}."
    named = list_first(rivals, MAX_NAMED_RIVALS)
    beyond = "" if is_rival(rows[1]) else f"significantly better than the next, {texts[1]}, but "
    return f"It is {beyond}not separable from {count_of(len(rivals), 'other')}: {'; '.join(named)}."


def describe_reference(part: pd.DataFrame, outcome: str) -> str:
    """Returns the score of held-out data; empty if it has none."""
    floors = part.loc[part["role"].eq("floor"), outcome].dropna()
    return f"Held-out data score {format_number(floors.iloc[0])}." if len(floors) else ""


def describe_learning(part: pd.DataFrame, outcome: str, lower: bool) -> str:
    """Describes how many arms end better than untrained; empty if this is unknown."""
    learned = count_learned(part, outcome, lower)
    if learned is None:
        return ""
    better, arms = learned
    if better == arms:
        return f"{ALL_ARMS_END.get(better, f'All {better} arms end')} better than untrained."
    verb = "is" if arms == 1 else "are"
    return f"{better} of {count_of(arms, 'arm')} {verb} shown to end better than untrained."


def count_learned(part: pd.DataFrame, outcome: str, lower: bool) -> tuple[int, int] | None:
    """Counts the arms that end better than untrained, with disjoint intervals, and all arms.

    Returns None without untrained references or without intervals.
    """
    untrained = part[part["role"].eq("untrained")].drop_duplicates(UNTRAINED_KEY)
    arms = part[part["rank"].notna()].merge(untrained, on=UNTRAINED_KEY, suffixes=("", " before"))
    ends = (f"{outcome} high", f"{outcome} low") if lower else (f"{outcome} low", f"{outcome} high")
    after, before = arms[ends[0]], arms[f"{ends[1]} before"]
    if not (after.notna() & before.notna()).any():
        return None
    return int((after < before if lower else after > before).sum()), len(arms)


def unlearned_sentences(frame: pd.DataFrame, board: pd.DataFrame) -> list[str]:
    """Returns a sentence for each data set on which no arm is shown to have learned."""
    outcome = frame.attrs["plan"]["analysis"]["outcome"]
    lower = outcome_scale(frame).is_lower_better
    counts = {
        str(data): count_learned(part, outcome, lower)
        for data, part in board.groupby("data", sort=False)
    }
    return [
        f"On {data}, no arm is shown to end better than untrained: alike arms may have learned nothing."
        for data, learned in counts.items()
        if learned and not learned[0]
    ]
