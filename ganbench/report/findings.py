"""Findings: results in sentences that are no stronger than their intervals."""

from dataclasses import dataclass
from typing import Self

import pandas as pd

from ganbench.analysis.coverage import TrickCoverage
from ganbench.analysis.effects import Effect, effect_facts, effects_by_variant, trick_effects
from ganbench.analysis.interactions import Interaction, all_interactions
from ganbench.analysis.intervals import CONFIDENCE_LEVEL
from ganbench.analysis.leaderboard import leaderboard
from ganbench.analysis.rates import FailureRate, failure_rates
from ganbench.counts import count_of
from ganbench.evaluation.metric_names import metric_display_name

from .answer import answer_of, uncompared_sentences
from .best_arm import best_arm_sentences
from .format_change import (
    Facts,
    format_detectable,
    format_difference,
    format_effect_size,
    format_factor,
    format_interval,
)
from .format_number import format_p

VERDICT_VERBS = {"helps": "helps,", "harms": "harms,", "equivalent": "is equivalent to no trick,"}
FLAG_WORDS = {
    "collapse": "collapsed since",
    "oscillation": "oscillating since",
    "won": "dominated by the discriminator since",
    "diverged": "diverged at",
}
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

    coverage: TrickCoverage
    over_grid: list[Effect]
    by_variant: list[Effect]
    interactions: list[Interaction]
    rates: list[FailureRate]

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Self:
        return cls(
            coverage=TrickCoverage.of(frame),
            over_grid=trick_effects(frame),
            by_variant=effects_by_variant(frame),
            interactions=all_interactions(frame),
            rates=failure_rates(frame),
        )


def run_findings(
    frame: pd.DataFrame,
    changes: SuiteChanges | None = None,
    board: pd.DataFrame | None = None,
) -> list[str]:
    """Returns the findings of a run: tricks that help, harm, are equivalent, or undecided.

    Without compared tricks these are the best arms. `changes` and `board` are those of the frame, if they
    are known.
    """
    changes = changes or SuiteChanges.of(frame)
    answer = answer_of(frame, changes.over_grid, changes.coverage)
    if not answer:
        return best_arm_sentences(frame, leaderboard(frame) if board is None else board)
    plan = frame.attrs["plan"]
    estimated = [e for e in changes.over_grid if e.pairs or e.lost]
    facts, name = effect_facts(frame), metric_display_name(plan["analysis"]["outcome"], plan)
    sentences = [answer.text()]
    sentences += decided_sentences(estimated, name, facts, plan["analysis"]["equivalence"])
    sentences += undecided_sentences(estimated, name, facts)
    sentences += variant_sentences(changes.by_variant, name, facts)
    sentences += interaction_sentences(changes.interactions, name, facts)
    sentences += [failure_sentence(r) for r in changes.rates if r.p < 1 - CONFIDENCE_LEVEL]
    sentences += [lost_sentence(e) for e in estimated if e.lost]
    return sentences + uncompared_sentences(frame, changes.coverage)


def decided_sentences(effects: list[Effect], name: str, facts: Facts, margin: float) -> list[str]:
    """Returns one sentence per effect with a verdict."""
    decided = sorted((e for e in effects if e.verdict != "undecided"), key=effect_sort_key)
    return [effect_sentence(effect, name, facts, margin) for effect in decided]


def undecided_sentences(effects: list[Effect], name: str, facts: Facts) -> list[str]:
    """Returns one sentence with all effects that these seeds leave undecided."""
    undecided = [e for e in effects if e.pairs and e.verdict == "undecided"]
    if not undecided:
        return []
    sizes = "; ".join(
        f"{e.tricks} {format_effect_size(e, facts)}{detectable_note(e, facts)}" for e in undecided
    )
    return [f"Undecided with these seeds (change of {name}): {sizes}."]


def detectable_note(effect: Effect, facts: Facts) -> str:
    """Returns the smallest change, as ` (could be shown from −20 %)`; empty if it is NaN."""
    smallest = format_detectable(effect, facts)
    return f" (could be shown from {smallest})" if smallest else ""


def variant_sentences(effects: list[Effect], name: str, facts: Facts) -> list[str]:
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


def interaction_sentences(interactions: list[Interaction], name: str, facts: Facts) -> list[str]:
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


def interaction_sentence(interaction: Interaction, name: str, facts: Facts) -> str:
    """Returns a sentence about an effect that differs between one place and the others."""
    place = f"{PREPOSITIONS[interaction.kind]} {interaction.where}"
    return (
        f"{interaction.tricks} affects {name} differently {place} than elsewhere: "
        f"{format_interaction_size(interaction, facts)} "
        f"(p = {format_p(interaction.p)} after Holm's correction)."
    )


def format_interaction_size(interaction: Interaction, facts: Facts) -> str:
    """Formats an interaction with its adjusted interval: `× 0.49 [0.34, 0.71]`."""
    ends = interaction.adjusted_low, interaction.adjusted_high
    interval = format_interval(*ends, facts, as_factors=True)
    if facts["transform"] != "log":
        return f"{format_difference(interaction.ratio, facts)} {interval}"
    return f"× {format_factor(interaction.ratio)} {interval}"


def failure_sentence(rate: FailureRate) -> str:
    """Returns a sentence about a trick that changes the rate of failures or collapses."""
    return (
        f"{rate.tricks}: {rate.count} of {count_of(rate.trainings, 'training')} {rate.what}. Pairs in which only the "
        f"training with the trick {rate.what}: {rate.more}; only the one without it: {rate.fewer} "
        f"(p = {format_p(rate.p)} after Holm's correction)."
    )


def lost_sentence(effect: Effect) -> str:
    return (
        f"{effect.tricks}: {count_of(effect.lost, 'training')} diverged or failed, although the same without "
        "tricks finished."
    )


def effect_sort_key(effect: Effect) -> tuple[int, float]:
    return ("helps", "harms", "equivalent", "undecided").index(effect.verdict), effect.ratio


def effect_sentence(effect: Effect, outcome: str, facts: Facts, margin: float) -> str:
    where = (
        f"over {count_of(effect.cells, 'cell')} and {count_of(effect.pairs, 'pair')} of trainings"
    )
    match effect.verdict:
        case "helps" | "harms":
            return (
                f"{effect.tricks} {effect.verdict}: {outcome} {format_effect_size(effect, facts)} {where} "
                f"(p = {format_p(effect.p)} after Holm's correction)."
            )
    size = format_effect_size(effect, facts)
    return f"{effect.tricks} changes {outcome} by less than the margin of {100 * margin:.3g} %: {size} {where}."


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
