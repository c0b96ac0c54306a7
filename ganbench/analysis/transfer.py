"""Transfer: do the effects of tricks on one data set hold on another one?

Noise over seeds lowers the correlation between two lists of estimated effects. Spearman's (1904) correction
divides it by the root of both reliabilities, and the ends of its interval likewise (Hunter and Schmidt,
2004). The reliability is the share of true differences between effects in their variance. The interval is the
jackknife's over tricks (Tukey, 1958), as few tricks may have large effects, and one trick several of them.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from .contrasts import background_tables
from .effects import DIRECTED_VERDICTS, Effect, effects_by_data, outcome_rows
from .factors import NO_TRICK
from .intervals import CONFIDENCE_LEVEL
from .metric_scale import outcome_scale

MIN_EFFECTS = 5  # of different tricks
MIN_SEEDS = 2

Numbers = NDArray[np.float64]
Covariance = Callable[[Numbers, Numbers], float]  # of two tables [seeds, effects]


@dataclass(frozen=True)
class Correlation:
    """The correlation of true effects with its 95 % interval, and that of the estimates."""

    correlation: float
    low: float
    high: float
    uncorrected: float
    reliability_first: float
    reliability_second: float


def effect_transfer(frame: pd.DataFrame) -> pd.DataFrame:
    """Compares the effects of tricks on each pair of data sets of a run.

    An effect is that of a list of tricks on one background, against no trick, on the scale of the analysis. Either
    seeds or effects with gaps are left out. The table is empty with common effects of fewer than MIN_EFFECTS
    sets of tricks.

    Columns: first, second, the data sets; effects, their number; correlation of the true effects with low
    and high; uncorrected; both reliabilities; shown, the tricks with an effect shown on the first; repeated,
    how many of them have an effect in the same direction shown on the second; reversed, the tricks whose
    effect is shown in the other direction.
    """
    effects = paired_effects(outcome_rows(frame), outcome_scale(frame).transform)
    directions = shown_directions(effects_by_data(frame))
    rows = []
    for first, second in combinations(effects, 2):
        common = effects[first].columns.intersection(effects[second].columns)
        if count_tricks(common) >= MIN_EFFECTS:
            one, other = (effects[name][common].to_numpy() for name in (first, second))
            found = asdict(correlate_effects(one, other, tricks_of_effects(common)))
            kept = repeated_directions(directions.get(first, {}), directions.get(second, {}))
            rows.append({"first": first, "second": second, "effects": len(common), **found, **kept})
    return pd.DataFrame(rows)


def tricks_of_effects(names: pd.Index) -> list[str]:
    """Returns the tricks of effects that are named by background and tricks."""
    return [name[-1] for name in names]


def count_tricks(names: pd.Index) -> int:
    return len(set(tricks_of_effects(names)))


def paired_effects(values: pd.DataFrame, transform: str) -> dict[str, pd.DataFrame]:
    """Returns tables [seeds, effects] of the differences to no trick, by data set."""
    tables: dict[str, list[pd.DataFrame]] = {}
    for (data, *background), table in background_tables(values, transform):
        for differences in differences_of_background(tuple(background), table):
            tables.setdefault(str(data), []).append(differences)
    return {data: common_seeds(pd.concat(parts, axis=1)) for data, parts in tables.items()}


def common_seeds(effects: pd.DataFrame) -> pd.DataFrame:
    """Returns a table without gaps, by leaving out seeds or effects.

    It leaves out those that cost fewer values. Under adaptive seeds, effects that ended early have the first
    seeds alone. A training of no trick that is lost leaves a gap in all effects of its background.
    """
    measured = effects.loc[:, effects.notna().sum() >= MIN_SEEDS]
    by_seeds, by_effects = measured.dropna(axis=0), measured.dropna(axis=1)
    has_seeds = len(by_seeds) >= MIN_SEEDS
    return by_seeds if has_seeds and by_seeds.size > by_effects.size else by_effects


def differences_of_background(
    background: tuple[object, ...], table: pd.DataFrame
) -> Iterator[pd.DataFrame]:
    if NO_TRICK not in table:
        return
    seeds = table[table[NO_TRICK].notna()]
    if len(seeds) >= MIN_SEEDS:
        differences = seeds.drop(columns=NO_TRICK).sub(seeds[NO_TRICK], axis=0)
        yield differences.rename(columns=lambda tricks: (*background, tricks))


def correlate_effects(
    first: Numbers, second: Numbers, tricks: Sequence[str] | None = None
) -> Correlation:
    """Correlates the true effects behind two tables [seeds, effects] of different trainings.

    `tricks` names the tricks of each effect; by default all differ.
    """
    return correct_for_noise(covariance_of_means, first, second, tricks)


def covariance_of_means(first: Numbers, second: Numbers) -> float:
    return float(np.cov(first.mean(0), second.mean(0))[0, 1])


def correct_for_noise(
    covariance: Covariance, first: Numbers, second: Numbers, tricks: Sequence[str] | None = None
) -> Correlation:
    """Divides a correlation of estimates by the root of both reliabilities.

    The covariance is that of both mean effects. The ends of the interval are corrected too. Correlations are
    NaN, and the interval is [-1, 1], where a reliability is 0.
    """
    reliabilities = effect_reliability(first), effect_reliability(second)
    root = math.sqrt(math.prod(reliabilities))
    if root == 0:
        return Correlation(math.nan, -1, 1, math.nan, *reliabilities)
    observed = correlate_estimates(covariance, first, second)
    ends = correlation_interval(observed, covariance, first, second, tricks)
    value, low, high = np.clip(np.array([observed, *ends]) / root, -1, 1).tolist()
    return Correlation(value, low, high, observed, *reliabilities)


def correlate_estimates(covariance: Covariance, first: Numbers, second: Numbers) -> float:
    """Returns the correlation of both mean effects, with their noise; NaN without any spread."""
    spread = math.sqrt(np.cov(first).mean() * np.cov(second).mean())
    return float(np.clip(covariance(first, second) / spread, -1, 1)) if spread else math.nan


def correlation_interval(
    observed: float,
    covariance: Covariance,
    first: Numbers,
    second: Numbers,
    tricks: Sequence[str] | None,
) -> tuple[float, float]:
    """Returns the jackknife's interval on Fisher's scale (1921).

    It leaves out one trick at a time. Effects of one trick resemble each other, so they are no sample of their number.
    The interval is [-1, 1] if no effect varies without one of the tricks.
    """
    names = np.array(range(first.shape[1]) if tricks is None else tricks)
    kept = [names != name for name in np.unique(names)]
    left = [correlate_estimates(covariance, first[:, keep], second[:, keep]) for keep in kept]
    return (-1.0, 1.0) if np.isnan(left).any() else jackknife_interval(observed, np.array(left))


def jackknife_interval(correlation: float, left: Numbers) -> tuple[float, float]:
    """Returns the interval of a correlation from those with one group left out each."""
    limit = np.nextafter(1, 0)  # the logarithm of 1 is not finite
    centre, parts = (np.arctanh(np.clip(value, -limit, limit)) for value in (correlation, left))
    count = len(parts)
    error = math.sqrt((count - 1) * float(parts.var()))
    half = stats.t.ppf((1 + CONFIDENCE_LEVEL) / 2, count - 1) * error
    return float(np.tanh(centre - half)), float(np.tanh(centre + half))


def effect_reliability(table: Numbers) -> float:
    """Computes the share of true differences in the variance of the mean effects, in [0, 1].

    Errors of two seeds are independent. The covariance over effects between two seeds therefore estimates
    the variance of true effects without bias, whatever the errors of single effects are.
    """
    covariances = np.cov(table)
    true = mean_between_seeds(covariances)
    return float(np.clip(true / covariances.mean(), 0, 1)) if true > 0 else 0.0


def mean_between_seeds(covariances: Numbers) -> float:
    """Returns the mean of a matrix [seeds, seeds] beside its diagonal."""
    seeds = len(covariances)
    return float((covariances.sum() - np.trace(covariances)) / (seeds * (seeds - 1)))


def shown_directions(effects: list[Effect]) -> dict[str, dict[str, str]]:
    """Returns the verdicts of effects that are shown, by data set and tricks."""
    shown: dict[str, dict[str, str]] = {}
    for effect in effects:
        if effect.verdict in DIRECTED_VERDICTS:
            shown.setdefault(effect.data, {})[effect.tricks] = effect.verdict
    return shown


def repeated_directions(first: dict[str, str], second: dict[str, str]) -> dict[str, object]:
    """Returns the columns on shown effects; see `effect_transfer`."""
    both = [tricks for tricks in first if tricks in second]
    turned = [tricks for tricks in both if first[tricks] != second[tricks]]
    return {
        "shown": len(first),
        "repeated": len(both) - len(turned),
        "reversed": ", ".join(turned),
    }
