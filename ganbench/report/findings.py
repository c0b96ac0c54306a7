"""Findings as sentences, no stronger than their intervals."""

import math

import pandas as pd

from ganbench.analysis.effects import Effect, effects_by_variant, trick_effects
from ganbench.analysis.interactions import Interaction, all_interactions
from ganbench.analysis.intervals import CONFIDENCE_LEVEL
from ganbench.analysis.rates import FailureRate, failure_rates

VERBS = {"helps": "helps,", "harms": "harms,", "equivalent": "is equivalent to none,"}
FLAGS = {
    "collapse": "collapsed since",
    "oscillation": "oscillating since",
    "won": "won by the discriminator since",
    "diverged": "diverged at",
}
NAMES = {"fid": "FID", "kid": "KID", "is": "IS"}
MOST = 5  # interactions that are told; a large grid has dozens


def findings(frame: pd.DataFrame) -> list[str]:
    """What the run showed: tricks that help, that harm, that do neither, and what stays open."""
    found = [e for e in trick_effects(frame) if e.pairs or e.lost]
    if not found:
        return ["No trick was compared with none in this suite."]
    outcome = frame.attrs["plan"]["analysis"]["outcome"]
    facts, name = frame.attrs["plan"]["metrics"][outcome], name_of(outcome)
    said = [verdict(e, name, facts) for e in sorted(found, key=order) if e.verdict != "undecided"]
    if not any(effect.verdict == "helps" for effect in found):
        better = "lower" if facts["direction"] == "lower" else "raise"
        said.insert(0, f"No trick is shown to {better} {name} over the cells of this grid.")
    if unclear := [effect for effect in found if effect.pairs and effect.verdict == "undecided"]:
        told = "; ".join(f"{e.tricks} {size(e, facts)}{shown_from(e, facts)}" for e in unclear)
        said.append(f"Undecided with these seeds, change of {name}: {told}.")
    said += by_variant(frame, name, facts)
    said += by_place(frame, name, facts)
    said += [went_wrong(r) for r in failure_rates(frame) if r.p < 1 - CONFIDENCE_LEVEL]
    return said + [
        f"{e.tricks} lost {e.lost} trainings that none finished." for e in found if e.lost
    ]


def by_variant(frame: pd.DataFrame, name: str, facts: dict[str, str]) -> list[str]:
    """A sentence a variant in which something is decided."""
    found = [e for e in effects_by_variant(frame) if e.verdict != "undecided"]
    said = []
    for variant in dict.fromkeys(effect.variant for effect in found):
        here = sorted((e for e in found if e.variant == variant), key=order)
        told = "; ".join(f"{e.tricks} {VERBS[e.verdict]} {size(e, facts)}" for e in here)
        said.append(f"In {variant}, change of {name}: {told}.")
    return said


def by_place(frame: pd.DataFrame, name: str, facts: dict[str, str]) -> list[str]:
    """A sentence an interaction, the surest first, and how many more there are."""
    found = sorted(
        (i for i in all_interactions(frame) if i.verdict == "differs"), key=lambda i: i.p
    )
    said = [more(interaction, name, facts) for interaction in found[:MOST]]
    if len(found) > MOST:
        said.append(f"{len(found) - MOST} more such differences are in the table of interactions.")
    return said


def shown_from(effect: Effect, facts: dict[str, str]) -> str:
    """` (shown from ±20 %)`: what this grid could have seen; nothing where seeds do not tell."""
    if math.isnan(effect.smallest):
        return ""
    return f" (shown from {least(effect.smallest, facts['transform'])})"


def least(change: float, transform: str) -> str:
    """A least change that would have been shown: `±20 %`, `× 3.9` or a difference."""
    if transform != "log":
        return f"±{change:.3g}"
    return f"× {change:.2g}" if change >= 3 else percent(change - 1).replace("+", "±")


def more(found: Interaction, name: str, facts: dict[str, str]) -> str:
    """That a trick changes the outcome otherwise in one place than in the others."""
    place = f"beside {found.where}" if found.kind == "trick × trick" else f"under {found.where}"
    form = "× {:.3g} [{:.3g}, {:.3g}]"
    if facts["transform"] != "log":
        form = "{:+.3g} [{:+.3g}, {:+.3g}]"
    numbers = form.format(found.ratio, found.low, found.high).replace("-", "−")
    return (
        f"{found.tricks} changes {name} otherwise {place} than elsewhere: {numbers} "
        f"(p = {found.p:.2g} after Holm's correction)."
    )


def went_wrong(rate: FailureRate) -> str:
    """That more or fewer trainings failed or collapsed with a trick."""
    return (
        f"{rate.tricks}: {rate.count} of {rate.trainings} trainings {rate.what}, {rate.more} where the same "
        f"without it did not and {rate.fewer} the other way round (p = {rate.p:.2g})."
    )


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
    """`−34 %`, or of what is smaller than half of one its first digit: `−0.4 %`."""
    form = "+.0f" if abs(change) >= 0.005 or not change else "+.1g"
    return f"{100 * change:{form}} %".replace("-", "−")


def name_of(metric: str) -> str:
    return NAMES.get(metric, metric)


def sentence(flags: dict[str, int]) -> str:
    """`Collapsed since step 800, diverged at step 950.` of a trial's flags."""
    told = ", ".join(f"{FLAGS[flag]} step {step}" for flag, step in flags.items())
    return f"{told.capitalize()}."
