"""Findings: results in sentences that are no stronger than their intervals."""

import math
from dataclasses import dataclass
from typing import Self

import pandas as pd

from ganbench.analysis.effects import Effect, effects_by_variant, trick_effects
from ganbench.analysis.interactions import Interaction, all_interactions
from ganbench.analysis.intervals import CONFIDENCE_LEVEL
from ganbench.analysis.rates import FailureRate, failure_rates
from ganbench.counts import count_of

VERDICT_VERBS = {"helps": "helps,", "harms": "harms,", "equivalent": "is equivalent to no trick,"}
FLAG_WORDS = {
    "collapse": "collapsed since",
    "oscillation": "oscillating since",
    "won": "dominated by the discriminator since",
    "diverged": "diverged at",
}
METRIC_NAMES = {"fid": "FID", "kid": "KID", "is": "IS"}
PREPOSITIONS = {
    "trick × loss": "under",
    "trick × variant": "in",
    "trick × data": "on",
    "trick × trick": "together with",
}
MAX_INTERACTION_SENTENCES = 5  # a large grid has dozens of interactions


@dataclass(frozen=True)
class SuiteChanges:
    """The changes that a suite's tricks make, estimated once for all tables and sentences."""

    over_grid: list[Effect]
    by_variant: list[Effect]
    interactions: list[Interaction]
    rates: list[FailureRate]

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Self:
        return cls(
            over_grid=trick_effects(frame),
            by_variant=effects_by_variant(frame),
            interactions=all_interactions(frame),
            rates=failure_rates(frame),
        )


def run_findings(frame: pd.DataFrame, changes: SuiteChanges | None = None) -> list[str]:
    """Returns the findings of a run: tricks that help, harm, are equivalent, or undecided.

    `changes` are those of the frame, if they are known; else they are estimated.
    """
    changes = changes or SuiteChanges.of(frame)
    estimated = [e for e in changes.over_grid if e.pairs or e.lost]
    if not estimated:
        return ["No trick was compared with training without tricks in this suite."]
    outcome = frame.attrs["plan"]["analysis"]["outcome"]
    facts, name = frame.attrs["plan"]["metrics"][outcome], metric_display_name(outcome)
    sentences = decided_sentences(estimated, name, facts)
    sentences += undecided_sentences(estimated, name, facts)
    sentences += variant_sentences(changes.by_variant, name, facts)
    sentences += interaction_sentences(changes.interactions, name, facts)
    sentences += [failure_sentence(r) for r in changes.rates if r.p < 1 - CONFIDENCE_LEVEL]
    return sentences + [lost_sentence(e) for e in estimated if e.lost]


def decided_sentences(effects: list[Effect], name: str, facts: dict[str, str]) -> list[str]:
    """Returns one sentence per effect with a verdict.

    If no trick helps, another sentence at the beginning states this.
    """
    decided = sorted((e for e in effects if e.verdict != "undecided"), key=effect_sort_key)
    sentences = [effect_sentence(effect, name, facts) for effect in decided]
    if any(effect.verdict == "helps" for effect in effects):
        return sentences
    better = "lower" if facts["direction"] == "lower" else "raise"
    return [f"No trick is shown to {better} {name} over the cells of this grid.", *sentences]


def undecided_sentences(effects: list[Effect], name: str, facts: dict[str, str]) -> list[str]:
    """Returns one sentence with all effects that these seeds leave undecided."""
    undecided = [e for e in effects if e.pairs and e.verdict == "undecided"]
    if not undecided:
        return []
    sizes = "; ".join(
        f"{e.tricks} {format_effect_size(e, facts)}{format_detectable(e, facts)}" for e in undecided
    )
    return [f"Undecided with these seeds (change of {name}): {sizes}."]


def variant_sentences(effects: list[Effect], name: str, facts: dict[str, str]) -> list[str]:
    """Returns one sentence per variant with decided effects."""
    decided = [e for e in effects if e.verdict != "undecided"]
    sentences = []
    for variant in dict.fromkeys(effect.variant for effect in decided):
        own = sorted((e for e in decided if e.variant == variant), key=effect_sort_key)
        changes = "; ".join(
            f"{e.tricks} {VERDICT_VERBS[e.verdict]} {format_effect_size(e, facts)}" for e in own
        )
        sentences.append(f"Within {variant} (change of {name}): {changes}.")
    return sentences


def interaction_sentences(
    interactions: list[Interaction], name: str, facts: dict[str, str]
) -> list[str]:
    """Returns one sentence per interaction, by increasing p.

    The last sentence counts the interactions that are left out.
    """
    differing = [i for i in interactions if i.verdict == "differs"]
    surest = sorted(differing, key=lambda i: i.p)[:MAX_INTERACTION_SENTENCES]
    sentences = [interaction_sentence(interaction, name, facts) for interaction in surest]
    hidden = len(differing) - len(surest)
    if hidden:
        sentences.append(f"The table of interactions lists {hidden} more such differences.")
    return sentences


def format_detectable(effect: Effect, facts: dict[str, str]) -> str:
    """Returns the smallest change, as ` (detectable from ±20 %)`; empty if it is NaN."""
    if math.isnan(effect.smallest):
        return ""
    return f" (detectable from {format_least_change(effect.smallest, facts['transform'])})"


def format_least_change(change: float, transform: str) -> str:
    """Formats a smallest detectable change: `±20 %`, `× 3.9`, or a difference."""
    if transform != "log":
        return f"±{change:.3g}"
    return f"× {change:.2g}" if change >= 3 else format_percent(change - 1).replace("+", "±")


def interaction_sentence(interaction: Interaction, name: str, facts: dict[str, str]) -> str:
    """Returns a sentence about an effect that differs between one place and the others."""
    place = f"{PREPOSITIONS[interaction.kind]} {interaction.where}"
    form = "× {:.3g} [{:.3g}, {:.3g}]"
    if facts["transform"] != "log":
        form = "{:+.3g} [{:+.3g}, {:+.3g}]"
    numbers = form.format(interaction.ratio, interaction.low, interaction.high).replace("-", "−")
    return (
        f"{interaction.tricks} affects {name} differently {place} than elsewhere: {numbers} "
        f"(p = {interaction.p:.2g} after Holm's correction)."
    )


def failure_sentence(rate: FailureRate) -> str:
    """Returns a sentence about a trick that changes the rate of failures or collapses."""
    return (
        f"{rate.tricks}: {rate.count} of {count_of(rate.trainings, 'training')} {rate.what}. Pairs in which only the "
        f"training with the trick {rate.what}: {rate.more}; only the one without it: {rate.fewer} "
        f"(p = {rate.p:.2g} after Holm's correction)."
    )


def lost_sentence(effect: Effect) -> str:
    return (
        f"{effect.tricks}: {count_of(effect.lost, 'training')} diverged or failed, although the same without "
        "tricks finished."
    )


def effect_sort_key(effect: Effect) -> tuple[int, float]:
    return ("helps", "harms", "equivalent", "undecided").index(effect.verdict), effect.ratio


def effect_sentence(effect: Effect, outcome: str, facts: dict[str, str]) -> str:
    where = (
        f"over {count_of(effect.cells, 'cell')} and {count_of(effect.pairs, 'pair')} of trainings"
    )
    match effect.verdict:
        case "helps" | "harms":
            return (
                f"{effect.tricks} {effect.verdict}: {outcome} {format_effect_size(effect, facts)} {where} "
                f"(p = {effect.p:.2g} after Holm's correction)."
            )
    size = format_effect_size(effect, facts)
    return f"{effect.tricks} changes {outcome} by less than the declared margin: {size} {where}."


def format_effect_size(effect: Effect, facts: dict[str, str]) -> str:
    """Formats an effect as `−34 % [−50 %, −13 %]`, or as differences on other scales."""
    numbers = (effect.ratio, effect.low, effect.high)
    if facts["transform"] == "log":
        mean, low, high = (format_percent(number - 1) for number in numbers)
    else:
        mean, low, high = (f"{number:+.3g}" for number in numbers)
    return f"{mean} [{low}, {high}]" if not math.isnan(effect.low) else f"{mean} [no interval]"


def format_percent(change: float) -> str:
    """Formats a change as `−34 %`, or with one digit below half a percent: `−0.4 %`."""
    form = "+.0f" if abs(change) >= 0.005 or not change else "+.1g"
    return f"{100 * change:{form}} %".replace("-", "−")


def metric_display_name(metric: str) -> str:
    return METRIC_NAMES.get(metric, metric)


def flags_sentence(flags: dict[str, int], first_point: int | None = None) -> str:
    """Formats the flags of a trial: `Collapsed since step 800, diverged at step 950.`

    `first_point` is the step of the learning curve's first point. A flag that began there may also be
    of a generator that never learned.
    """
    words = dict(FLAG_WORDS)
    if first_point is not None and flags.get("collapse") == first_point:
        words["collapse"] = "collapsed or never learned, since the first point at"
    sentences = ", ".join(f"{words[flag]} step {step}" for flag, step in flags.items())
    return f"{sentences.capitalize()}."
