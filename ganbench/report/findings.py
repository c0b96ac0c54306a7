"""Findings: results in sentences that are no stronger than their intervals."""

import math
from dataclasses import dataclass
from typing import Self

import pandas as pd

from ganbench.analysis.coverage import TrickCoverage
from ganbench.analysis.effects import Effect, effect_facts, effects_by_variant, trick_effects
from ganbench.analysis.interactions import Interaction, all_interactions
from ganbench.analysis.intervals import CONFIDENCE_LEVEL, SCALES
from ganbench.analysis.leaderboard import leaderboard
from ganbench.analysis.rank_interval import format_rank_interval
from ganbench.analysis.rates import FailureRate, failure_rates
from ganbench.counts import count_of
from ganbench.evaluation.metric_names import metric_display_name

from .arm_names import ArmNamer
from .format_change import (
    Facts,
    format_change,
    format_detectable,
    format_difference,
    format_effect_size,
    format_factor,
    format_interval,
)
from .format_number import format_cell, format_p

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
NONE_HELPS = "no trick is shown to help"
MAX_HEADLINE_NAMES = 3  # tricks that help or harm, in the first sentence
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
    estimated = [e for e in changes.over_grid if e.pairs or e.lost]
    if not estimated:
        return best_arm_sentences(frame, leaderboard(frame) if board is None else board)
    outcome = frame.attrs["plan"]["analysis"]["outcome"]
    plan = frame.attrs["plan"]
    facts, name = effect_facts(frame), metric_display_name(outcome, plan)
    sentences = [headline(estimated, name, facts, changes.coverage)]
    sentences += decided_sentences(estimated, name, facts, plan["analysis"]["equivalence"])
    sentences += undecided_sentences(estimated, name, facts)
    sentences += variant_sentences(changes.by_variant, name, facts)
    sentences += interaction_sentences(changes.interactions, name, facts)
    sentences += [failure_sentence(r) for r in changes.rates if r.p < 1 - CONFIDENCE_LEVEL]
    return sentences + [lost_sentence(e) for e in estimated if e.lost]


def headline(effects: list[Effect], name: str, facts: Facts, coverage: TrickCoverage) -> str:
    """Returns the answer in one sentence: the tricks that are shown to help or to harm.

    Tricks that were compared in all cells come first.
    """

    def size(effect: Effect) -> str:
        cells = "" if coverage.is_complete(effect) else f" in {coverage.count(effect)} cells"
        return f"{effect.tricks} ({format_change(effect.ratio, facts)}{cells})"

    ordered = sorted(by_size(effects, facts), key=lambda effect: not coverage.is_complete(effect))
    helping = [size(effect) for effect in ordered if effect.verdict == "helps"]
    harming = [size(effect) for effect in ordered if effect.verdict == "harms"]
    if not helping and not harming:
        return f"{name}: no trick is shown to change it."
    clauses = [f"{list_names(helping)} {verb('help', helping)}" if helping else NONE_HELPS]
    clauses += [f"{list_names(harming)} {verb('harm', harming)}"] if harming else []
    return f"{name}: {'; '.join(clauses)}."


def by_size(effects: list[Effect], facts: Facts) -> list[Effect]:
    """Sorts effects by the size of their change, the largest first."""
    to = SCALES["log" if facts["transform"] == "log" else "none"].to
    estimated = [effect for effect in effects if not math.isnan(effect.ratio)]
    return sorted(estimated, key=lambda effect: -abs(to(effect.ratio)))


def list_names(names: list[str]) -> str:
    """Joins the first names with commas and `and`, and counts the others."""
    shown, hidden = names[:MAX_HEADLINE_NAMES], len(names) - MAX_HEADLINE_NAMES
    parts = [*shown, count_of(hidden, "other trick")] if hidden > 0 else shown
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]


def verb(word: str, subjects: list[str]) -> str:
    return word if len(subjects) > 1 else f"{word}s"


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
    """Returns the smallest change, as ` (detectable from −20 %)`; empty if it is NaN."""
    smallest = format_detectable(effect, facts)
    return f" (detectable from {smallest})" if smallest else ""


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


def best_arm_sentences(frame: pd.DataFrame, board: pd.DataFrame) -> list[str]:
    """Returns one sentence per data set with its best arm, for suites without tricks."""
    ranked, namer = board[board["rank"].notna()], ArmNamer.of(board)
    if ranked.empty:
        return ["No training of this suite has a value yet."]
    several = ranked["data"].nunique() > 1
    return [
        best_arm_sentence(frame, part, namer, f" on {data}" if several else "")
        for data, part in ranked.groupby("data", sort=False)
    ]


def best_arm_sentence(frame: pd.DataFrame, part: pd.DataFrame, namer: ArmNamer, place: str) -> str:
    """Returns a sentence with the first arm of a data set and the ranks it may have."""
    outcome, first = frame.attrs["plan"]["analysis"]["outcome"], part.iloc[0].to_dict()
    end = "lowest" if effect_facts(frame)["direction"] == "lower" else "highest"
    name = metric_display_name(outcome, frame.attrs["plan"], str(first["data"]))
    sentence = (
        f"{namer.name(first)} has the {end} {name}{place}: {format_cell(first, outcome, True)}"
    )
    ranks = format_rank_interval(first["rank low"], first["rank high"])
    if len(part) < 2 or not ranks:
        return f"{sentence}."
    return f"{sentence}; pairwise tests leave rank {ranks} of {len(part)}."


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
