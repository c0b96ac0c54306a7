"""Findings: results in sentences that are no stronger than their intervals."""

import math
from dataclasses import dataclass
from typing import Any, Self

import pandas as pd

from ganbench.analysis.coverage import TrickCoverage
from ganbench.analysis.effects import (
    Effect,
    effect_scale,
    effects_by_data,
    effects_by_variant,
    trick_effects,
)
from ganbench.analysis.interactions import Interaction, all_interactions
from ganbench.analysis.intervals import CONFIDENCE_LEVEL
from ganbench.analysis.leaderboard import leaderboard
from ganbench.analysis.level_comparisons import level_comparisons
from ganbench.analysis.metric_scale import EffectScale, MetricScale
from ganbench.analysis.rates import FailureRate, failure_rates
from ganbench.counts import count_of, format_threshold, join_words
from ganbench.evaluation.metric_names import metric_display_name

from .adaptive import name_correction
from .answer import PREPOSITIONS, answer_of, by_size, uncompared_sentences
from .best_arm import best_arm_sentences, unlearned_sentences
from .dependence import TrickDependence
from .format_change import (
    BEYOND,
    MAX_PERCENT_RATIO,
    format_change,
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
MAX_UNDECIDED_NAMED = 3
MAX_INTERACTION_SENTENCES = 5  # a large grid has dozens of interactions
MAX_OTHERS_NAMED = 2  # levels that an interaction is compared with, or data sets
PLURALS = {
    "loss": "the other losses",
    "variant": "the other variants",
    "data": "the other data sets",
}
MAX_LEVEL_SENTENCES = 3  # for variants, and for losses


@dataclass(frozen=True)
class SuiteChanges:
    """The changes that a suite's tricks make, estimated once for all tables and sentences."""

    coverage: TrickCoverage
    over_grid: list[Effect]
    by_variant: list[Effect]
    by_data: list[Effect]
    interactions: list[Interaction]
    rates: list[FailureRate]
    levels: pd.DataFrame  # comparisons of variants and of losses

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Self:
        return cls(
            coverage=TrickCoverage.of(frame),
            over_grid=trick_effects(frame),
            by_variant=effects_by_variant(frame),
            by_data=effects_by_data(frame),
            interactions=all_interactions(frame),
            rates=failure_rates(frame),
            levels=level_comparisons(frame),
        )

    @property
    def dependence(self) -> TrickDependence:
        return TrickDependence.of(self.interactions)


def run_findings(
    frame: pd.DataFrame,
    changes: SuiteChanges | None = None,
    board: pd.DataFrame | None = None,
) -> list[str]:
    """Returns the findings of a run: tricks that help, harm, are equivalent, or undecided.

    Without compared tricks these are the best arms. Tricks whose effect depends on the data set have no
    sentence over the grid. `changes` and `board` are those of the frame, if they are known.
    """
    changes = changes or SuiteChanges.of(frame)
    effects = [*changes.over_grid, *changes.by_data]
    answer = answer_of(frame, effects, changes.coverage, changes.dependence)
    plan = frame.attrs["plan"]
    scale, name = effect_scale(frame), metric_display_name(plan["analysis"]["outcome"], plan)
    levels = level_sentences(changes.levels, name, scale)
    board = leaderboard(frame) if board is None else board
    if not answer:
        return [*best_arm_sentences(frame, board), *levels]
    estimated = [e for e in changes.over_grid if e.is_compared]
    sentences = [answer.text(), *unlearned_sentences(frame, board)]
    pooled = [e for e in estimated if not changes.dependence.on_data(e.tricks)]
    correction = name_correction(plan)
    margin = plan["analysis"]["equivalence"]
    sentences += decided_sentences(pooled, name, scale, margin, correction)
    sentences += undecided_sentences(pooled, name, scale, len(pooled) == len(estimated))
    sentences += variant_sentences(changes.by_variant, name, scale)
    sentences += levels
    sentences += interaction_sentences(changes.interactions, plan, scale)
    rates = [rate for rate in changes.rates if rate.p < 1 - CONFIDENCE_LEVEL]
    sentences += [failure_sentence(rate, correction) for rate in rates]
    sentences += [lost_sentence(e) for e in estimated if e.lost]
    return sentences + uncompared_sentences(frame, changes.coverage)


def decided_sentences(
    effects: list[Effect], name: str, scale: MetricScale, margin: float, correction: str
) -> list[str]:
    """Returns one sentence per effect with a verdict."""
    decided = sort_decided(effects, scale)
    return [effect_sentence(effect, name, scale, margin, correction) for effect in decided]


def undecided_sentences(
    effects: list[Effect], name: str, scale: EffectScale, are_all: bool = True
) -> list[str]:
    """Returns one sentence about the effects that these seeds leave undecided.

    Of many effects it names those with the largest possible changes. `are_all` is false if tricks were
    left out, as their effects depend on the data set.
    """
    undecided = [e for e in effects if e.pairs and e.verdict == "undecided"]
    if not undecided:
        return []
    named = undecided
    if len(undecided) > MAX_UNDECIDED_NAMED:
        named = by_possible_size(undecided, scale)[:MAX_UNDECIDED_NAMED]
    sizes = "; ".join(
        f"{e.tricks} {format_effect_size(e, scale)}{detectable_note(e, scale)}" for e in named
    )
    if len(named) == len(undecided):
        return [f"Undecided with these seeds (change of {name}): {sizes}."]
    which = "" if are_all else " that are not shown to depend on the data set"
    count = f"{len(undecided)} tricks{which} are undecided with these seeds"
    if not any(has_interval(e) for e in undecided):
        return [f"{count}, which give no intervals."]
    return [f"{count}. The largest changes of {name} stay possible for {sizes}."]


def has_interval(effect: Effect) -> bool:
    return not math.isnan(effect.adjusted_low)


def by_possible_size(effects: list[Effect], scale: MetricScale) -> list[Effect]:
    """Sorts effects by the farther end of their interval; those without one come first."""
    to = scale.difference_of

    def reach(effect: Effect) -> float:
        ends = [to(end) for end in (effect.adjusted_low, effect.adjusted_high)]
        return math.inf if math.isnan(sum(ends)) else max(map(abs, ends))

    return sorted(effects, key=reach, reverse=True)


def detectable_note(effect: Effect, scale: EffectScale) -> str:
    """Returns the smallest change, as ` (could be shown from −20 %)`; empty if it is NaN."""
    smallest = format_detectable(effect, scale)
    word = "only" if smallest.startswith(BEYOND) else "from"
    return f" (could be shown {word} {smallest})" if smallest else ""


def variant_sentences(effects: list[Effect], name: str, scale: MetricScale) -> list[str]:
    """Returns one sentence per variant with decided effects."""
    decided = sort_decided(effects, scale)
    sentences = []
    for variant in dict.fromkeys(e.variant for e in effects if e.verdict != "undecided"):
        own = [e for e in decided if e.variant == variant]
        changes = "; ".join(
            f"{e.tricks} {VERDICT_VERBS[e.verdict]} {format_effect_size(e, scale)}" for e in own
        )
        sentences.append(f"Within {variant} (change of {name}): {changes}.")
    return sentences


def level_sentences(levels: pd.DataFrame, name: str, scale: MetricScale) -> list[str]:
    """Returns sentences on variants, and on losses, that differ; the smallest p first."""
    sentences = []
    for factor, part in levels[levels["verdict"].ne("undecided")].groupby("factor", sort=False):
        surest = part.sort_values("p", kind="stable").head(MAX_LEVEL_SENTENCES)
        sentences += [level_sentence(row, name, scale) for row in surest.to_dict("records")]
        if hidden := len(part) - len(surest):
            sentences.append(f"The analyses list {count_of(hidden, 'more such pair')} by {factor}.")
    return sentences


def level_sentence(row: dict[Any, Any], name: str, scale: MetricScale) -> str:
    """Returns a sentence that puts the better of two levels first."""
    one, other, sign = row["one"], row["other"], 1
    if row["verdict"] == "worse":
        one, other, sign = other, one, -1
    ends = [scale.difference_of(row[key]) for key in ("change", "adjusted_low", "adjusted_high")]
    change, *bounds = [scale.change_of(sign * end) for end in ends]
    low, high = sorted(bounds)
    interval = format_interval(low, high, scale, as_factors=change > MAX_PERCENT_RATIO)
    return (
        f"{one} ends better than {other}: {name} {format_change(change, scale)} {interval} over "
        f"{count_of(row['cells'], 'cell')} each (p = {format_p(row['p'])} after Holm's correction)."
    )


def interaction_sentences(
    interactions: list[Interaction], plan: dict[str, Any], scale: MetricScale
) -> list[str]:
    """Returns one sentence per interaction, by increasing p.

    The last sentence counts the interactions that are left out.
    """
    differing = [i for i in interactions if i.verdict == "differs"]
    surest = sorted(differing, key=lambda i: i.p)[:MAX_INTERACTION_SENTENCES]
    sentences = [interaction_sentence(each, plan, scale) for each in surest]
    hidden = len(differing) - len(surest)
    if hidden:
        sentences.append(f"The table of interactions lists {hidden} more such differences.")
    return sentences


def interaction_sentence(interaction: Interaction, plan: dict[str, Any], scale: MetricScale) -> str:
    """Returns a sentence about an effect that differs between one place and others."""
    data = interaction.data_sets
    only = data[0] if len(data) == 1 else None
    name = metric_display_name(plan["analysis"]["outcome"], plan, only)
    return (
        f"{interaction.tricks} affects {name} differently {describe_places(interaction)}: "
        f"{format_interaction_size(interaction, scale)} "
        f"(p = {format_p(interaction.p)} {name_correction(plan)})."
    )


def describe_places(interaction: Interaction) -> str:
    """Returns the compared places: `in gan than in dcgan(width=8), on digits`."""
    factor, data = interaction.kind.rpartition(" × ")[2], interaction.data_sets
    places = (
        f"{PREPOSITIONS[factor]} {interaction.where} than {describe_others(interaction, factor)}"
    )
    if factor == "data":
        return places
    named = join_words(data, "and") if len(data) <= MAX_OTHERS_NAMED else f"{len(data)} data sets"
    return f"{places}, {PREPOSITIONS['data']} {named}"


def describe_others(interaction: Interaction, factor: str) -> str:
    """Returns the places that a place is compared with: `in dcgan(width=8)`."""
    if factor == "trick":
        return "without it"
    others = interaction.other_levels
    named = join_words(others, "and") if len(others) <= MAX_OTHERS_NAMED else PLURALS[factor]
    return f"{PREPOSITIONS[factor]} {named}"


def format_interaction_size(interaction: Interaction, scale: MetricScale) -> str:
    """Formats an interaction with its adjusted interval: `× 0.49 [0.34, 0.71]`."""
    ends = interaction.adjusted_low, interaction.adjusted_high
    interval = format_interval(*ends, scale, as_factors=True)
    if not scale.is_log:
        return f"{format_difference(interaction.ratio, scale)} {interval}"
    return f"× {format_factor(interaction.ratio)} {interval}"


def failure_sentence(rate: FailureRate, correction: str) -> str:
    """Returns a sentence about a trick that changes the rate of failures or collapses."""
    return (
        f"{rate.tricks}: {rate.count} of {count_of(rate.trainings, 'training')} {rate.what}. Pairs in which only the "
        f"training with the trick {rate.what}: {rate.more}; only the one without it: {rate.fewer} "
        f"(p = {format_p(rate.p)} {correction})."
    )


def lost_sentence(effect: Effect) -> str:
    return (
        f"{effect.tricks}: {count_of(effect.lost, 'training')} diverged or failed, although the same without "
        "tricks finished."
    )


def sort_decided(effects: list[Effect], scale: MetricScale) -> list[Effect]:
    """Returns the decided effects: help, harm, equivalence; the largest change first."""
    return [e for verdict in VERDICT_VERBS for e in by_size(effects, scale) if e.verdict == verdict]


def effect_sentence(
    effect: Effect, outcome: str, scale: MetricScale, margin: float, correction: str
) -> str:
    where = f"over {count_of(effect.cells, 'background')} and {count_of(effect.pairs, 'pair')} of trainings"
    match effect.verdict:
        case "helps" | "harms":
            return (
                f"{effect.tricks} {effect.verdict}: {outcome} {format_effect_size(effect, scale)} {where} "
                f"(p = {format_p(effect.p)} {correction})."
            )
    size = format_effect_size(effect, scale)
    return f"{effect.tricks} changes {outcome} by less than the margin of {format_threshold(margin)}: {size} {where}."


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
