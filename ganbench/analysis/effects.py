"""Effects: the change that each trick makes, at the same background and seed.

If a trick was tried on several backgrounds, as in a factorial design, its effect is the mean over these
backgrounds. Tricks that were only tried together are compared together with no trick.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ganbench.experiments.plan_names import ENDED_OUTCOMES, LOST_OUTCOMES

from .contrasts import (
    BACKGROUND_COLUMNS,
    Background,
    Change,
    Estimate,
    arm_columns,
    background_tables,
    contrast_on_background,
    estimate_contrast,
    holm_correct,
    holm_divisors,
    measured_arms,
    network_of,
)
from .factors import NO_TRICK, Weights, main_effect_weights, tricks_in, tricks_of_arm
from .intervals import CONFIDENCE_LEVEL, SCALES, ratio_or_difference
from .looks import CommonSeeds, Looks
from .metric_scale import EffectScale, MetricScale, outcome_scale
from .rows import refuse_mixed_protocols, without_attributes

COUNT_UNIT = "modes"  # the unit of metrics that count modes
DIRECTED_VERDICTS = ("helps", "harms")
SHARE_UNIT = "share"  # the unit of effects on counts of data sets with other numbers of modes


@dataclass(frozen=True)
class Effect:
    """The effect of a trick against none.

    On a log scale, `ratio` is the ratio of outcomes: below 1 if the outcome falls.
    """

    tricks: str
    ratio: float  # the difference if the scale of the metric is not logarithmic
    low: float
    high: float
    pairs: int  # compared seeds, summed over backgrounds
    cells: int
    lost: int  # trainings that diverged or failed with the trick but not without it
    p: float  # two-sided, Holm-corrected over all effects of its family
    verdict: str  # helps, harms, equivalent, undecided
    variant: str = ""  # the variant of the effect; empty for all variants
    loss: str = ""  # the loss of the effect; empty for all losses
    smallest: float = math.nan  # the smallest detectable ratio (above 1) or difference
    correlation: float = math.nan  # between the arms of a pair; pairing helps if it is high
    adjusted_low: float = math.nan  # the interval at the level of `p`
    adjusted_high: float = math.nan
    data: str = ""  # the data set of the effect; empty for all data sets
    seeds: int = 0  # of each arm at the last look; 0 if the seeds are fixed
    level: float = math.nan  # the mean outcome without the trick, over the compared backgrounds

    @property
    def is_compared(self) -> bool:
        """Returns whether some pair was compared, or a training was lost in one."""
        return bool(self.pairs or self.lost)

    @property
    def is_pooled(self) -> bool:
        """Returns whether the effect is over the whole grid."""
        return not (self.variant or self.loss or self.data)


def trick_effects(frame: pd.DataFrame) -> list[Effect]:
    """Estimates the effect of each trick against none, over backgrounds that allow it.

    The backgrounds are those of the grid, not a sample of all. The error comes from the seeds within each
    network, paired if the suite declares pairs. The interval does not cover other backgrounds.
    """
    return effects_of_family(frame, {(): outcome_rows(frame)}, ())


def chain_effects(frame: pd.DataFrame) -> list[Effect]:
    """Estimates the effect of each list of several tricks against none, as one family."""
    return effects_of_family(frame, {(): outcome_rows(frame)}, (), lists_of_several_tricks)


def effects_by_variant(frame: pd.DataFrame) -> list[Effect]:
    """Estimates the effects within each variant, as a family of their own.

    Returns an empty list if there is only one variant.
    """
    return effects_by(frame, "variant")


def effects_by_loss(frame: pd.DataFrame) -> list[Effect]:
    """Estimates the effects within each loss, as a family of their own.

    Returns an empty list if there is only one loss.
    """
    return effects_by(frame, "loss")


def effects_by_data(frame: pd.DataFrame) -> list[Effect]:
    """Estimates the effects within each data set, as a family of their own.

    Returns an empty list if there is only one data set.
    """
    return effects_by(frame, "data")


def effects_by(frame: pd.DataFrame, *axes: str) -> list[Effect]:
    """Estimates the effects within each combination of these columns.

    Returns an empty list if there is only one combination.
    """
    groups = outcome_rows(frame).groupby(list(axes), sort=False)
    effects = {key if isinstance(key, tuple) else (key,): part for key, part in groups}
    return effects_of_family(frame, effects, axes) if len(effects) > 1 else []


def effects_of_family(
    frame: pd.DataFrame,
    groups: Mapping[Background, pd.DataFrame],
    axes: tuple[str, ...],
    names: Callable[[pd.DataFrame], list[str]] | None = None,
) -> list[Effect]:
    """Estimates each named effect in each group, corrected together for their number."""
    plan = frame.attrs["plan"]["analysis"]
    scale, looks = outcome_scale(frame), Looks.of_plan(frame.attrs["plan"])
    raw: list[tuple[Effect, Estimate]] = []
    for key, values in groups.items():
        group = dict(zip(axes, key, strict=True))
        named = (names or names_of_effects)(values)
        estimated = estimate_effects(values, named, scale.transform, plan["paired"], looks)
        raw += [(with_group(effect, group), estimate) for effect, estimate in estimated]
    corrections = sequential_corrections(raw, looks) if looks else holm_corrections(raw)
    rule = VerdictRule(scale, plan["equivalence"], looks.error if looks else 1 - CONFIDENCE_LEVEL)
    return [
        rule.decide(correct_effect(effect, estimate, correction, scale), estimate, correction)
        for (effect, estimate), correction in zip(raw, corrections, strict=True)
    ]


@dataclass(frozen=True)
class Correction:
    """The corrected p of an effect, and the numbers that divide the error of its claims."""

    p: float
    tests: float  # of the adjusted interval
    family: float  # of equivalence, and of the smallest detectable change


def holm_corrections(raw: Sequence[tuple[Effect, Estimate]]) -> list[Correction]:
    """Returns the corrections of effects with fixed seeds.

    Claims of change follow Holm's test. It rejects false hypotheses first, which says nothing of
    equivalence, so claims of equivalence have Bonferroni's correction.
    """
    single = [estimate.p() for _, estimate in raw]
    family = max(1, sum(not math.isnan(p) for p in single))
    tests = zip(holm_correct(single), holm_divisors(single), strict=True)
    return [Correction(p, divisor, family) for p, divisor in tests]


def sequential_corrections(
    raw: Sequence[tuple[Effect, Estimate]], looks: Looks
) -> list[Correction]:
    """Returns the corrections of effects for all looks.

    Bonferroni's correction covers the effects, so that claims of change and of equivalence keep the error
    together. The corrected p covers the looks too.
    """
    # As Student intervals are computed at CONFIDENCE_LEVEL, the divisor holds the declared error too.
    scale = len(raw) * (1 - CONFIDENCE_LEVEL) / looks.error
    corrections = []
    for effect, estimate in raw:
        share = looks.share(effect.seeds)
        p = len(raw) * estimate.p() / share
        corrections.append(
            Correction(p if math.isnan(p) else min(1.0, p), scale / share, scale / share)
        )
    return corrections


def correct_effect(
    effect: Effect, estimate: Estimate, correction: Correction, scale: MetricScale
) -> Effect:
    """Returns the effect with its corrected p, interval and smallest detectable change."""
    low, high = estimate.interval(correction.tests)
    return replace(
        effect,
        p=correction.p,
        smallest=scale.change_of(estimate.smallest_detectable(correction.family)),
        adjusted_low=scale.change_of(low),
        adjusted_high=scale.change_of(high),
    )


@dataclass(frozen=True)
class VerdictRule:
    """Decides whether an effect helps, harms, is equivalent or undecided."""

    scale: MetricScale  # of the outcome
    margin: float  # a ratio between 1 - margin and 1 / (1 - margin) is no change
    error: float

    def decide(self, effect: Effect, estimate: Estimate, correction: Correction) -> Effect:
        """Returns the effect with its verdict, which is never stronger than its interval."""
        verdict = "undecided"
        if self.is_equivalent(estimate, correction):
            verdict = "equivalent"
        elif effect.p < self.error:
            verdict = "helps" if self.scale.is_improvement(effect.ratio) else "harms"
        return replace(effect, verdict=verdict)

    def is_equivalent(self, estimate: Estimate, correction: Correction) -> bool:
        """Returns whether the interval for the whole family is within the margin."""
        low, high = estimate.interval(correction.family)
        bound = -math.log1p(-self.margin)
        return self.scale.is_log and -bound < low and high < bound


def with_group(effect: Effect, group: dict[str, Any]) -> Effect:
    return replace(effect, **group)


def measured_outcomes(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows of the declared outcome in its own unit: trials at the last checkpoint."""
    outcome = refuse_mixed_protocols(frame).attrs["plan"]["analysis"]["outcome"]
    rows = without_attributes(frame)
    chosen = (rows["role"] == "trial") & (rows["checkpoint"] == "last")
    return rows[chosen & (rows["metric"] == outcome)]


def outcome_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows of the declared outcome in the unit of effects, which pool data sets.

    Counts on data sets with other numbers of modes are shares of these numbers.
    """
    values, largest = measured_outcomes(frame), largest_counts(frame)
    return values.assign(value=values["value"] / values["data"].map(largest)) if largest else values


def ended_outcomes(rows: pd.DataFrame, scale: MetricScale) -> pd.DataFrame:
    """Returns the rows of ended trainings; `transformed` is the outcome, or NaN of a lost one."""
    ended = rows[rows["outcome"].isin(ENDED_OUTCOMES)]
    return ended.assign(transformed=ended["value"].map(scale.to, na_action="ignore"))


def floor_counts(frame: pd.DataFrame) -> dict[str, float]:
    """Returns the count that held-out data reach, by data set.

    The result is empty if the outcome is no count, or if some data set has no floor.
    """
    plan = frame.attrs["plan"]
    outcome = plan["analysis"]["outcome"]
    if plan["metrics"][outcome]["unit"] != COUNT_UNIT:
        return {}
    rows = without_attributes(frame)
    floors = rows[(rows["role"] == "floor") & (rows["metric"] == outcome)]
    largest = floors.groupby("data")["value"].max().to_dict()
    return largest if set(rows["data"].dropna()) <= set(largest) else {}


def largest_counts(frame: pd.DataFrame) -> dict[str, float]:
    """Returns the counts of `floor_counts` if data sets differ in them; else an empty result.

    A mean over 8 modes of one data set and 25 of another would mostly be the mean of the larger one.
    """
    counts = floor_counts(frame)
    return counts if len(set(counts.values())) > 1 else {}


def largest_outcome(frame: pd.DataFrame) -> float:
    """Returns the largest possible outcome of a count, in the unit of effects; else infinity.

    A total that some arm exceeds is none, because held-out data then miss modes.
    """
    counts = floor_counts(frame)
    total = 1.0 if largest_counts(frame) else max(counts.values(), default=math.inf)
    return math.inf if outcome_rows(frame)["value"].max() > total else total


def effect_scale(frame: pd.DataFrame) -> EffectScale:
    """Returns the scale of effects on the outcome, of which counts may be shares."""
    scale = outcome_scale(frame)
    unit = SHARE_UNIT if largest_counts(frame) else scale.unit
    return EffectScale(scale.direction, scale.transform, unit, largest_outcome(frame))


def estimate_effects(
    values: pd.DataFrame,
    names: list[str],
    transform: str,
    paired: bool,
    looks: Looks | None = None,
) -> list[tuple[Effect, Estimate]]:
    """Estimates each named effect; returns effects without verdict and their estimates.

    With looks, an effect has the seeds of its last look.
    """
    tables, common = dict(background_tables(values, transform)), CommonSeeds.of(looks, values)
    count_lost = count_lost_trainings(values)
    effects = []
    for name in names:
        estimable = weights_by_background(tables, name)
        seeds, backgrounds = common.count(name, estimable), common.select(tables, name, estimable)
        changes = changes_by_background(backgrounds, estimable, paired)
        mean = estimate_contrast(list(changes.values()))
        low, high = mean.interval(1 / looks.share(seeds) if looks else 1)
        effect = Effect(
            name,
            ratio_or_difference(mean.mean, transform),
            ratio_or_difference(low, transform),
            ratio_or_difference(high, transform),
            pairs=sum(change.seeds for change in changes.values()),
            cells=len(changes),
            lost=count_lost(name),
            p=math.nan,
            verdict="",
            correlation=pair_correlation(backgrounds, estimable) if paired else math.nan,
            seeds=seeds,
            level=level_without(backgrounds, estimable, transform),
        )
        effects.append((effect, mean))
    return effects


def level_without(
    backgrounds: Mapping[Background, pd.DataFrame],
    weights: Mapping[Background, Weights],
    transform: str,
) -> float:
    """Returns the mean outcome, on the metric's own scale, of the arms without a trick."""
    levels = [
        -sum(
            weight * float(table[arm].mean()) for arm, weight in weights[key].items() if weight < 0
        )
        for key, table in backgrounds.items()
        if key in weights
    ]
    return SCALES[transform].back(sum(levels) / len(levels)) if levels else math.nan


def names_of_effects(values: pd.DataFrame) -> list[str]:
    """Returns single tricks that some background can estimate, then arms of other tricks.

    An arm has no effect of its own if each of its tricks can be estimated alone.
    """
    arms = applicable_arms(values)
    single = estimable_tricks(values, tricks_in(arms))
    jointly = [arm for arm in arms if not tricks_of_arm(arm) <= set(single)]
    in_order = [trick for trick in tricks_in(arms) if trick in single or trick in jointly]
    return list(dict.fromkeys([*in_order, *jointly]))


def applicable_arms(values: pd.DataFrame) -> list[str]:
    """Returns the arms that are applicable in some background, in order of appearance.

    The arm without tricks is left out.
    """
    applicable = values[values["outcome"] != "not_applicable"]
    return [arm for arm in applicable["tricks"].unique() if arm != NO_TRICK]


def estimable_tricks(values: pd.DataFrame, tricks: list[str]) -> list[str]:
    """Returns the tricks with a main effect that the arms of some background can estimate."""
    applicable = values[values["outcome"] != "not_applicable"]
    backgrounds = applicable.groupby(BACKGROUND_COLUMNS, dropna=False)["tricks"]
    all_arms = [tuple(arms.unique()) for _, arms in backgrounds]
    return [trick for trick in tricks if any(main_effect_weights(arms, trick) for arms in all_arms)]


def lists_of_several_tricks(values: pd.DataFrame) -> list[str]:
    return [arm for arm in applicable_arms(values) if len(tricks_of_arm(arm)) > 1]


def effect_weights(table: pd.DataFrame, name: str) -> Weights | None:
    """Returns the weights of a background's measured arms that estimate an effect, or None."""
    return weights_of_arms(tuple(table.columns), name, measured_arms(table))


def weights_of_arms(
    arms: Sequence[str], name: str, measured: Sequence[str] | None = None
) -> Weights | None:
    """Returns the weights of arms that estimate an effect, or None.

    By default all arms are measured. The effect is the main effect of a single trick, or a list of tricks against none.
    """
    if len(tricks_of_arm(name)) == 1:
        return main_effect_weights(arms, name, measured)
    known = set(arms if measured is None else measured)
    return {name: 1.0, NO_TRICK: -1.0} if {name, NO_TRICK} <= known else None


def weights_by_background(
    backgrounds: Mapping[Background, pd.DataFrame], name: str
) -> dict[Background, Weights]:
    """Returns the weights that estimate an effect, for each background that has some."""
    weights = {key: effect_weights(table, name) for key, table in backgrounds.items()}
    return {key: own for key, own in weights.items() if own}


def changes_by_background(
    backgrounds: Mapping[Background, pd.DataFrame],
    weights: Mapping[Background, Weights],
    paired: bool,
) -> dict[Background, Change]:
    """Returns the change of each background that has one."""
    changes = {
        key: contrast_on_background(backgrounds[key], own, paired, network_of(key))
        for key, own in weights.items()
    }
    return {key: change for key, change in changes.items() if change}


def count_lost_trainings(values: pd.DataFrame) -> Callable[[str], int]:
    """Returns a function that counts lost trainings with these tricks and a measured baseline.

    A lost training diverged or failed. The baseline is the training without tricks in the same background and
    with the same seed.
    """
    place = values.groupby([*BACKGROUND_COLUMNS, "seed"], dropna=False).ngroup()
    fine = place[values["tricks"].eq(NO_TRICK) & values["value"].notna()]
    badly = values["outcome"].isin(LOST_OUTCOMES) & place.isin(fine)
    counts = Counter(values.loc[badly, "tricks"])

    def count(name: str) -> int:
        tricks = tricks_of_arm(name)
        return sum(n for arm, n in counts.items() if tricks <= tricks_of_arm(arm))

    return count


def pair_correlation(
    backgrounds: Mapping[Background, pd.DataFrame],
    weights_by_background: Mapping[Background, Weights],
) -> float:
    """Computes the correlation of a contrast's two sides over seeds within backgrounds.

    The correlation is pooled over backgrounds, each without its mean. Returns NaN with fewer than
    two degrees of freedom, because any two points are collinear.
    """
    sides, freedom = [np.zeros((0, 2))], 0
    for background, weights in weights_by_background.items():
        table = arm_columns(backgrounds[background], weights)
        factors = np.array(list(weights.values()))
        table = table[~np.isnan(table).any(1)]
        both = np.stack([table @ factors.clip(min=0), table @ -factors.clip(max=0)], 1)
        sides.append(both - both.mean(0) if len(both) else both)
        freedom += max(0, len(both) - 1)
    x, y = np.concatenate(sides).T
    scale = math.sqrt(float((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale > 0 and freedom > 1 else math.nan
