"""Forecast of adaptive seeds: trainings and detectable effects of each round."""

import math
from collections import defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ganbench.experiments.suite import AdaptiveSeeds

from .contrasts import BACKGROUND_COLUMNS, Background, Estimate, network_of, satterthwaite_freedom
from .effects import names_of_effects, outcome_rows, weights_of_arms
from .factors import Weights
from .intervals import CONFIDENCE_LEVEL
from .sequential import LookRule


@dataclass(frozen=True)
class RoundForecast:
    """A round of seeds: its trainings in total, and what its look detects.

    Effects are in standard deviations over the seeds of an arm, detected with a power of 80 %.
    """

    seeds: int
    trainings: int  # if every arm gets these seeds
    sizes: list[float]  # detectable effect of each trick; without those that have no estimate
    is_covered: bool  # whether the budget covers the round for every arm


def forecast_rounds(frame: pd.DataFrame, settings: AdaptiveSeeds) -> list[RoundForecast]:
    """Forecasts each round from the planned rows of a suite.

    Arms and backgrounds of one seed count as uncorrelated. If they are correlated, pairs detect smaller
    effects.
    """
    values = outcome_rows(frame)
    arms = arms_by_background(values)
    weights = [planned_weights(arms, name) for name in names_of_effects(values)]
    grown = {(key, arm) for weight in weights for key, own in weight.items() for arm in own}
    rest = sum(map(len, arms.values())) - len(grown)
    rule = LookRule(tuple(settings.rounds), settings.error, max(1, len(weights)), 0.0)
    paired = frame.attrs["plan"]["analysis"]["paired"]
    rounds = []
    for look, seeds in enumerate(settings.rounds):
        sizes = [detectable_effect(own, look, rule, paired) for own in weights if own]
        trainings = seeds * len(grown) + settings.rounds[0] * rest
        limit = math.inf if settings.trainings is None else settings.trainings
        rounds.append(RoundForecast(seeds, trainings, sizes, is_covered=trainings <= limit))
    return rounds


def arms_by_background(values: pd.DataFrame) -> dict[Background, tuple[str, ...]]:
    """Returns the applicable arms of each background."""
    applicable = values[values["outcome"].ne("not_applicable")]
    arms: dict[Background, tuple[str, ...]] = {}
    for background, part in applicable.groupby(BACKGROUND_COLUMNS, dropna=False, sort=False):
        assert isinstance(background, tuple)
        arms[background] = tuple(part["tricks"].unique())
    return arms


def planned_weights(
    arms: Mapping[Background, tuple[str, ...]], name: str
) -> dict[Background, Weights]:
    """Returns the weights with which an effect will be estimated, if all trainings finish."""
    weights = {key: weights_of_arms(own, name) for key, own in arms.items()}
    return {key: own for key, own in weights.items() if own}


def detectable_effect(
    weights: Mapping[Background, Weights], look: int, rule: LookRule, paired: bool
) -> float:
    """Computes the smallest effect that a look detects with a power of 80 %."""
    seeds, parts = rule.rounds[look], defaultdict[Hashable, float](float)
    for background, own in weights.items():
        for arm, weight in own.items():
            parts[(network_of(background), "" if paired else arm)] += weight**2
    variances = [part / seeds / len(weights) ** 2 for part in parts.values()]
    freedom = satterthwaite_freedom(variances, [seeds - 1.0] * len(variances))
    estimate = Estimate(0.0, math.sqrt(sum(variances)), freedom)
    return estimate.smallest_detectable((1 - CONFIDENCE_LEVEL) / rule.level(look))


def describe_rounds(rounds: list[RoundForecast], settings: AdaptiveSeeds) -> list[str]:
    """Returns sentences on the trainings and the detectable effects of a suite."""
    most = min(rounds[-1].trainings, settings.trainings or rounds[-1].trainings)
    hours = f", and at most {settings.hours:g} hours of training" if settings.hours else ""
    lines = [
        f"adaptive seeds: {rounds[0].trainings:,} to {most:,} trainings{hours}; effects detected with a "
        "power of 80 %, in standard deviations over seeds (s.d.):"
    ]
    for entry in rounds:
        note = "" if entry.is_covered else ", which the budget covers only for some arms"
        lines.append(
            f"  {entry.seeds} seeds: {format_sizes(entry.sizes)}, with at most "
            f"{entry.trainings:,} trainings{note}"
        )
    return lines


def format_sizes(sizes: list[float]) -> str:
    if not sizes:
        return "no effect, because no trick has an arm without it"
    low, high = f"{min(sizes):.2g}", f"{max(sizes):.2g}"
    return f"{low if low == high else f'{low} to {high}'} s.d."


def forecast_record(entry: RoundForecast) -> dict[str, Any]:
    """Returns a round for JSON."""
    return {
        "seeds": entry.seeds,
        "trainings": entry.trainings,
        "detectable": [round(end(entry.sizes), 3) for end in (min, max)] if entry.sizes else [],
        "covered": entry.is_covered,
    }
