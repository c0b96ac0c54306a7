"""Findings as sentences, no stronger than their intervals."""

import math

import pandas as pd

from ..analysis.effects import Effect, effects

NAMES = {"fid": "FID", "kid": "KID", "is": "IS"}


def findings(frame: pd.DataFrame) -> list[str]:
    """What the run showed: tricks that help, that harm, that do neither, and what stays open."""
    found = [e for e in effects(frame) if e.pairs]
    if not found:
        return ["No trick was compared with none in this suite."]
    outcome = name_of(frame.attrs["plan"]["analysis"]["outcome"])
    facts = frame.attrs["plan"]["metrics"][frame.attrs["plan"]["analysis"]["outcome"]]
    said = [
        verdict(e, outcome, facts) for e in sorted(found, key=order) if e.verdict != "undecided"
    ]
    unclear = [f"{e.tricks} ({size(e, facts)})" for e in found if e.verdict == "undecided"]
    if unclear:
        said.append(f"Undecided with these seeds, change of {outcome}: {'; '.join(unclear)}.")
    return said + [
        f"{e.tricks} lost {e.lost} trainings that none finished." for e in found if e.lost
    ]


def order(effect: Effect) -> tuple[int, float]:
    return ("helps", "harms", "equivalent", "undecided").index(effect.verdict), effect.ratio


def verdict(effect: Effect, outcome: str, facts: dict[str, str]) -> str:
    where = f"over {effect.cells} cells and {effect.pairs} pairs of trainings"
    match effect.verdict:
        case "helps" | "harms":
            return (
                f"{effect.tricks} {effect.verdict}: {outcome} {size(effect, facts)} {where} "
                f"(p = {effect.p:.2g} after Holm's correction)."
            )
    return f"{effect.tricks} changes {outcome} by less than the declared margin: {size(effect, facts)} {where}."


def size(effect: Effect, facts: dict[str, str]) -> str:
    """`−34 % [−50 %, −13 %]`, or a difference where the metric's scale is not logarithmic."""
    numbers = (effect.ratio, effect.low, effect.high)
    if facts["transform"] == "log":
        mean, low, high = (percent(number - 1) for number in numbers)
    else:
        mean, low, high = (f"{number:+.3g}" for number in numbers)
    return f"{mean} [{low}, {high}]" if not math.isnan(effect.low) else f"{mean} [no interval]"


def percent(change: float) -> str:
    return f"{change:+.0%}".replace("%", " %").replace("-", "−")


def name_of(metric: str) -> str:
    return NAMES.get(metric, metric)
