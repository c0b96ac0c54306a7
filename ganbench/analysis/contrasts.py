"""Contrasts: weighted sums of arms on each background, and their means over backgrounds.

A background is a cell without its tricks. Backgrounds are those of the grid, not a sample of all: the error
of a contrast comes from the seeds. Backgrounds with the same data set and variant are one network. Trainings
of one seed share initial weights there, so their changes are correlated, and each seed counts once.
Different networks count as independent.
Degrees of freedom follow Welch (1947) and Satterthwaite (1946).
"""

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize, special, stats

from .intervals import CONFIDENCE_LEVEL, SCALES

NETWORK_COLUMNS = ["data", "variant"]  # backgrounds that agree in these share initial weights
BACKGROUND_COLUMNS = [*NETWORK_COLUMNS, "loss", "plan"]
TEST_POWER = 0.8  # the power at the smallest detectable effect
MAX_ROUNDING = 1e-12  # relative; a smaller error comes from sums of equal values
ROUNDING_VARIANCE = 1 / 3  # of sums of up to four whole numbers, each 1/12 (Sheppard, 1898)


Background = tuple[Hashable, ...]
Samples = Mapping[str, Mapping[Any, float]]  # by arm, then by seed


@dataclass(frozen=True)
class Change:
    """The contrast of one background, its squared error, and the error's degrees of freedom.

    The squared error is NaN with too few seeds. `samples` are the weighted values that the contrast
    adds up, of each arm; those of a paired contrast are the seeds' differences, under an empty name.
    """

    mean: float
    variance: float
    freedom: float
    seeds: int
    network: Hashable = None  # of the background; None for a network of its own
    samples: Samples = field(default_factory=dict)


@dataclass(frozen=True)
class Estimate:
    """A contrast on the transformed scale; the error is NaN with too few seeds."""

    mean: float
    error: float
    freedom: float

    def interval(self, tests: float = 1) -> tuple[float, float]:
        """Computes the t interval, with a Bonferroni correction for a number of tests.

        The number need not be whole: looks have shares of the error.
        """
        tail = (1 - CONFIDENCE_LEVEL) / (2 * tests)
        half = float(stats.t.ppf(1 - tail, self.freedom)) * self.error
        return self.mean - half, self.mean + half

    def p(self) -> float:
        """Computes the two-sided p-value of the hypothesis of no change."""
        return 2 * float(stats.t.sf(abs(self.mean) / self.error, self.freedom))

    def p_above(self, bound: float) -> float:
        """Computes the one-sided p-value of the hypothesis of a change of at most the bound.

        Without an error there is no evidence against it.
        """
        if math.isnan(self.error):
            return 1.0
        return float(special.stdtr(self.freedom, (bound - self.mean) / self.error))

    def upper_bound(self) -> float:
        """Computes the one-sided upper confidence bound; NaN without an error."""
        return self.mean + float(special.stdtrit(self.freedom, CONFIDENCE_LEVEL)) * self.error

    def smallest_detectable(self, family: float) -> float:
        """Computes the smallest true change that a t test would detect with power TEST_POWER.

        The level of the test has a Bonferroni correction for the size of the family.
        """
        if not self.error > 0:
            return math.nan
        level = (1 - CONFIDENCE_LEVEL) / (2 * family)
        return self.error * detectable_size(self.freedom, level, TEST_POWER)


def detectable_size(freedom: float, level: float, power: float) -> float:
    """Returns the change that a one-sided t test detects with a power, in standard errors."""
    bound = float(stats.t.ppf(1 - level, freedom))
    found = optimize.brentq(lambda size: stats.nct.sf(bound, freedom, size) - power, 0, 20 * bound)
    return float(found)


def background_tables(
    values: pd.DataFrame, transform: str
) -> Iterator[tuple[Background, pd.DataFrame]]:
    """Yields the outcomes of each background on the transformed scale, as a table.

    A table has one row per seed and one column per arm, with NaN for missing values. Arms that are not
    applicable are left out, and so are arms that were not measured in any background.
    """
    tried = values["tricks"].isin(values.loc[values["value"].notna(), "tricks"])
    applicable = values[tried & values["outcome"].ne("not_applicable")]
    applicable = applicable.assign(
        y=applicable["value"].map(SCALES[transform].to, na_action="ignore")
    )
    for background, part in applicable.groupby(BACKGROUND_COLUMNS, dropna=False, sort=False):
        assert isinstance(background, tuple)
        yield background, part.pivot(index="seed", columns="tricks", values="y")


def measured_arms(table: pd.DataFrame) -> tuple[str, ...]:
    """Returns the arms of a background that have an outcome."""
    has_values = ~np.isnan(table.to_numpy()).all(axis=0)
    return tuple(
        arm for arm, is_measured in zip(table.columns, has_values, strict=True) if is_measured
    )


def network_of(background: Background) -> Background:
    """Returns the data set and the variant of a background."""
    return background[: len(NETWORK_COLUMNS)]


def contrast_on_background(
    table: pd.DataFrame, weights: Mapping[str, float], paired: bool, network: Hashable = None
) -> Change | None:
    """Computes the contrast within one background, or None without values.

    A paired contrast uses the seeds that all arms have. Otherwise each arm contributes its own seeds.
    """
    arms, factors = arm_columns(table, weights), np.array(list(weights.values()))
    own_columns = dict(zip(weights, (arms * factors).T, strict=True))
    columns = {"": arms @ factors} if paired else own_columns
    seeds = table.index.to_numpy()
    return change_of_samples({arm: by_seed(seeds, own) for arm, own in columns.items()}, network)


def by_seed(seeds: np.ndarray, values: np.ndarray) -> dict[Hashable, float]:
    """Returns the known values by their seeds."""
    known = ~np.isnan(values)
    return dict(zip(seeds[known].tolist(), values[known].tolist(), strict=True))


def change_of_samples(samples: Samples, network: Hashable = None) -> Change | None:
    """Returns the sum of the arms' means, or None if an arm has no value."""
    parts = [mean_change_of(np.array([*own.values()])) for own in samples.values()]
    change = sum_changes([part for part in parts if part], len(parts))
    return change and replace(change, network=network, samples=samples)


def arm_columns(table: pd.DataFrame, arms: Iterable[str]) -> np.ndarray:
    """Returns the columns of these arms as an array [seeds, arms].

    This is called for each trick and background, and is much faster than indexing with pandas.
    """
    names = table.columns.tolist()
    return table.to_numpy()[:, [names.index(arm) for arm in arms]]


def mean_change_of(values: np.ndarray) -> Change | None:
    """Computes the mean of independent values and its squared error."""
    count = len(values)
    if count == 0:
        return None
    variance = float(values.var(ddof=1)) / count if count > 1 else math.nan
    return Change(float(values.mean()), variance, count - 1, count)


def sum_changes(parts: list[Change], wanted: int) -> Change | None:
    """Adds up independent changes; returns None if there are fewer than `wanted`."""
    if len(parts) < wanted:
        return None
    mean, seeds = sum(part.mean for part in parts), min(part.seeds for part in parts)
    variance = sum(part.variance for part in parts)
    freedom = satterthwaite_freedom(
        [part.variance for part in parts], [part.freedom for part in parts]
    )
    return Change(mean, variance, freedom, seeds)


def satterthwaite_freedom(variances: Sequence[float], freedoms: Sequence[float]) -> float:
    """Computes the degrees of freedom of a sum of independent squared errors."""
    if not sum(variances) > 0:
        return min(freedoms)
    terms = [v**2 / f for v, f in zip(variances, freedoms, strict=True) if v > 0]
    return float(sum(variances) ** 2 / sum(terms))


def estimate_contrast(
    changes: Sequence[Change], weights: Sequence[float] | None = None
) -> Estimate:
    """Computes the weighted sum of the backgrounds' changes, by default their mean.

    One with a single seed or pair borrows the mean variance of the others. Without any variance only
    counts have an error.
    """
    if not changes:
        return Estimate(math.nan, math.nan, math.nan)
    factors = [1 / len(changes)] * len(changes) if weights is None else list(weights)
    mean = sum(w * c.mean for w, c in zip(factors, changes, strict=True))
    weighted = merge_networks(zip(factors, changes, strict=True))
    estimable = [(w, c) for w, c in weighted if c.freedom > 0]
    # Borrowed variances scale the estimated ones, so they add no degrees of freedom.
    borrowed = sum(w**2 / c.seeds for w, c in weighted if c.freedom <= 0)
    parts = [(w**2 + borrowed * c.seeds / len(estimable)) * c.variance for w, c in estimable]
    if not estimable:
        return Estimate(mean, math.nan, math.nan)
    error = math.sqrt(sum(parts))
    freedom = satterthwaite_freedom(parts, [c.freedom for _, c in estimable])
    if error > MAX_ROUNDING * abs(mean):
        return Estimate(mean, error, freedom)
    return Estimate(mean, error_of_equal_counts(mean, factors, changes), freedom)


def error_of_equal_counts(
    mean: float, weights: Sequence[float], changes: Sequence[Change]
) -> float:
    """Returns the error of counts that changed by the same number in every seed, or NaN.

    Counts are whole, so they have at least the error of rounding. NaN: nothing changed, or values that
    are no counts changed alike.
    """
    values = [v for c in changes for own in c.samples.values() for v in own.values()]
    if not mean or not are_whole(values):
        return math.nan
    parts = [w**2 / c.seeds for w, c in zip(weights, changes, strict=True)]
    return math.sqrt(ROUNDING_VARIANCE * sum(parts))


def are_whole(values: Sequence[float] | np.ndarray) -> bool:
    return len(values) > 0 and all(float(value).is_integer() for value in values)


def merge_networks(weighted: Iterable[tuple[float, Change]]) -> list[tuple[float, Change]]:
    """Merges the changes of each network into one: they are never independent."""
    groups: dict[Hashable, list[tuple[float, Change]]] = {}
    for place, (weight, change) in enumerate(weighted):
        key = place if change.network is None else (change.network,)
        groups.setdefault(key, []).append((weight, change))
    return [
        group[0] if len(group) == 1 else merge_changes(group) or bound_changes(group)
        for group in groups.values()
    ]


def merge_changes(group: Sequence[tuple[float, Change]]) -> tuple[float, Change] | None:
    """Adds up weighted changes of one network seed by seed; returns a weight and their change.

    The error is that of the common seeds. The weight is that of as many independent backgrounds, so that the
    variance of the change is comparable with theirs. Returns None with fewer than two common seeds.
    """
    size = math.sqrt(sum(weight**2 for weight, _ in group))
    arms = dict.fromkeys(arm for _, change in group for arm in change.samples)
    samples = {arm: add_common_seeds(group, arm, size) for arm in arms}
    summed = change_of_samples(samples)
    if summed is None or math.isnan(summed.variance):
        return None
    mean = sum(weight * change.mean for weight, change in group) / size
    return size, replace(summed, mean=mean)


def bound_changes(group: Sequence[tuple[float, Change]]) -> tuple[float, Change]:
    """Adds up weighted changes of one network by a bound; returns a weight and their change.

    The error of a sum is at most the sum of the errors, whatever the correlations. The freedom is the
    smallest. A change with a single seed or pair borrows the mean variance of the others.
    """
    size = sum(abs(weight) for weight, _ in group)
    mean = sum(weight * change.mean for weight, change in group) / size
    known = [change for _, change in group if change.freedom > 0]
    if not known:
        return size, Change(mean, math.nan, 0, 1)
    spread = sum(change.seeds * change.variance for change in known) / len(known)
    variances = [c.variance if c.freedom > 0 else spread / c.seeds for _, c in group]
    errors = zip(group, map(math.sqrt, variances), strict=True)
    error = sum(abs(weight) * each for (weight, _), each in errors) / size
    freedom, seeds = min(c.freedom for c in known), max(c.seeds for c in known)
    return size, Change(mean, error**2, freedom, seeds)


def add_common_seeds(
    group: Sequence[tuple[float, Change]], arm: str, size: float
) -> dict[Hashable, float]:
    """Returns the weighted sum of an arm's values at each seed that all its backgrounds have."""
    own = [
        (weight / size, change.samples[arm]) for weight, change in group if arm in change.samples
    ]
    seeds = [seed for seed in own[0][1] if all(seed in values for _, values in own)]
    return {seed: sum(weight * values[seed] for weight, values in own) for seed in seeds}


def holm_divisors(p: Sequence[float]) -> list[int]:
    """Returns the number by which Holm's test divides the level of each hypothesis.

    An interval at that level excludes no change exactly if Holm's test rejects it (Serlin, 1993, "Holm
    on the range"). The hypotheses that are not rejected share the divisor of the first of them. Entries
    that are NaN have the divisor 1.
    """
    ordered = sorted((value, i) for i, value in enumerate(p) if not math.isnan(value))
    divisors, rejecting = [1] * len(p), True
    left = len(ordered)
    for value, i in ordered:
        divisors[i] = left
        rejecting = rejecting and left * value < 1 - CONFIDENCE_LEVEL
        left -= rejecting
    return divisors


def holm_correct(p: Sequence[float]) -> list[float]:
    """Applies Holm's step-down correction (1979); entries that are NaN stay NaN."""
    ordered = sorted((value, i) for i, value in enumerate(p) if not math.isnan(value))
    corrected, least = [math.nan] * len(p), 0.0
    for rank, (value, i) in enumerate(ordered):
        least = max(least, min(1.0, (len(ordered) - rank) * value))
        corrected[i] = least
    return corrected


def arm_difference(trick: np.ndarray, none: np.ndarray, paired: bool) -> Change:
    """Computes the difference of two arms over their seeds, on the transformed scale."""
    parts = [mean_change_of(part) for part in ([trick - none] if paired else [trick, -none])]
    difference = sum_changes([part for part in parts if part], len(parts))
    assert difference
    return difference


def difference_of_means(one: np.ndarray, other: np.ndarray) -> Estimate:
    """Computes the mean of one minus that of the other, with Welch's error and freedom.

    Values that are equal on each side have no error, but counts have that of rounding.
    """
    sides = [part for part in map(mean_change_of, (one, -other)) if part]
    change, values = sum_changes(sides, 2), np.concatenate([one, other])
    if change and change.variance <= (MAX_ROUNDING * np.abs(values).max()) ** 2:
        change = sum_changes([with_error_of_rounding(side, values) for side in sides], 2)
    assert change
    return Estimate(change.mean, math.sqrt(change.variance), change.freedom)


def with_error_of_rounding(side: Change, values: np.ndarray) -> Change:
    """Returns the mean of one side with the error of whole numbers; NaN if values are none."""
    share = ROUNDING_VARIANCE / 2 if are_whole(values) else math.nan
    return replace(side, variance=share / side.seeds)
