"""Variance (Bouthillier et al., 2021): how far trainings of different seeds lie apart.

And how much of that is measurement, and how many seeds it takes to see a change through it.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from .contrasts import CELL_COLUMNS, TEST_POWER
from .intervals import CONFIDENCE_LEVEL, SCALES
from .rows import ARM_COLUMNS, outcome_facts, refuse_mixed_protocols

DETECTABLE_RATIOS = (0.98, 0.95, 0.9, 0.8, 0.5)
VARIANCE_COLUMNS = (
    "data metric cells trainings total_sd low high sampling_sd training_sd sampling_share median_sd"
)

SCALE_DERIVATIVES = {
    "none": lambda x: 1.0,
    "log": lambda x: 1 / x,
    "logit": lambda p: 1 / (p * (1 - p)),
}


def variance_components(frame: pd.DataFrame) -> pd.DataFrame:
    """How the spread of trainings splits, a row a data set and metric, at the last checkpoint.

    Columns: data, metric, cells, trainings (measured), and standard deviations on the metric's
    scale (intervals.SCALES; on a logarithmic one 0.05 is about 5 %). total_sd: between seeds
    within cells, pooled over cells with trainings - cells degrees of freedom, with the 95 %
    chi-square interval low to high. sampling_sd: what drawing other fakes of the same generator
    would do, the root mean square of the standard errors. training_sd: the rest. sampling_share:
    of the variance, in [0, 1]. median_sd: of the cells' own, far below total_sd where few cells
    are wilder than the others; then the interval, which takes one spread for all, is too narrow.

    Fakes come from the same latents in every training: where that makes their errors alike,
    sampling is less of the total than it seems. Nor can rows of one protocol show the variance of
    the reference: for that, `ganbench measure --protocol 'ganbench(reals=...)'`, and
    `variance_between_frames` of both frames.
    """
    parts = measured_trials(frame).groupby(["data", "metric"], sort=False)
    entries = [(*names, *split_variance(part)) for names, part in parts]
    return pd.DataFrame(entries, columns=VARIANCE_COLUMNS.split())


def measured_trials(frame: pd.DataFrame) -> pd.DataFrame:
    """Trials' last rows with a value; `transformed` and `error` are it and its error on its scale."""
    chosen = (frame["role"] == "trial") & (frame["checkpoint"] == "last")
    rows = refuse_mixed_protocols(frame)[
        chosen & (frame["kind"] == "quality") & frame["value"].notna()
    ]
    facts = frame.attrs["plan"]["metrics"]
    scales = [facts[metric]["transform"] for metric in rows["metric"]]
    pairs = list(zip(scales, rows["value"], strict=True))
    slopes = np.array([scale_derivative(scale, value) for scale, value in pairs], dtype=float)
    transformed = np.array([SCALES[scale].to(value) for scale, value in pairs], dtype=float)
    return rows.assign(
        transformed=transformed, error=rows["standard_error"].to_numpy(float) * slopes
    )


def scale_derivative(transform: str, value: float) -> float:
    """Of a scale at a value, for errors (delta method); 0 where the scale is cut off."""
    scale = SCALES[transform]
    if not math.isclose(scale.back(scale.to(value)), value):
        return 0.0
    return SCALE_DERIVATIVES[transform](value)


def split_variance(part: pd.DataFrame) -> tuple[float, ...]:
    """One data set's and metric's row of `variance_components`, without their names."""
    total, freedom = pooled_deviation(part)
    low, high = deviation_interval(total, freedom)
    sampling = float(part["error"].pow(2).mean())
    rest = float(np.maximum(0, total**2 - sampling))
    share = float(np.minimum(1, sampling / total**2)) if total > 0 else math.nan
    cells = len(part) - freedom
    median = float(part.groupby(ARM_COLUMNS, dropna=False)["transformed"].std().median())
    deviations = total, low, high, math.sqrt(sampling), math.sqrt(rest)
    return cells, len(part), *deviations, share, median


def pooled_deviation(part: pd.DataFrame) -> tuple[float, int]:
    """The standard deviation within cells, and its degrees of freedom; nan if there are none."""
    cells = part.groupby(ARM_COLUMNS, dropna=False)["transformed"]
    freedom = len(part) - cells.ngroups
    squares = float((part["transformed"] - cells.transform("mean")).pow(2).sum())
    return (math.sqrt(squares / freedom) if freedom else math.nan), freedom


def deviation_interval(sd: float, freedom: int) -> tuple[float, float]:
    """Of a normal standard deviation that was estimated with these degrees of freedom."""
    if not freedom:
        return math.nan, math.nan
    tails = (1 + CONFIDENCE_LEVEL) / 2, (1 - CONFIDENCE_LEVEL) / 2
    low, high = (sd * math.sqrt(freedom / float(stats.chi2.ppf(t, freedom))) for t in tails)
    return low, high


def variance_between_frames(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """How far apart frames put the same trials: of other latents, references or protocols.

    Columns: data, metric, trials (that all frames with the metric measured), frames, and on the
    metric's scale: sd, of a trial's value over the frames; own_sd, the same without what a frame
    adds to all trials alike, which no comparison of trials notices; standard_error, the root mean
    square of what the frames state for drawing other fakes, which is sd over frames that differ in
    the protocol's `seed` alone. A reference of another size or another extractor shifts values:
    then it is part of sd. Raises ValueError if there are fewer than two frames.
    """
    if len(frames) < 2:
        raise ValueError("how frames differ can be told of two or more")
    names = ["data", "metric", "trial", "transformed", "error"]
    stacked = pd.concat([measured_trials(f)[names].assign(frame=n) for n, f in enumerate(frames)])
    entries = [
        (*own, *frame_distance(part))
        for own, part in stacked.groupby(["data", "metric"], sort=False)
    ]
    columns = "data metric trials frames sd own_sd standard_error"
    return pd.DataFrame(entries, columns=columns.split())


def frame_distance(part: pd.DataFrame) -> tuple[float, ...]:
    """One data set's and metric's row of `variance_between_frames`, without their names."""
    table = part.pivot(index="trial", columns="frame", values="transformed").dropna()
    values, (trials, frames) = table.to_numpy(), table.shape
    if frames < 2 or not trials:
        return trials, frames, math.nan, math.nan, math.nan
    off = values - values.mean(axis=1, keepdims=True)
    error = part.loc[part["trial"].isin(table.index), "error"].pow(2).mean()
    own = signed_root(off - off.mean(axis=0), (trials - 1) * (frames - 1))
    return trials, frames, signed_root(off, trials * (frames - 1)), own, math.sqrt(error)


def signed_root(off: np.ndarray, freedom: int) -> float:
    return math.sqrt(float((off**2).sum()) / freedom) if freedom else math.nan


def seeds_needed(
    sd: float,
    change: float,
    power: float = TEST_POWER,
    level: float = 1 - CONFIDENCE_LEVEL,
    correlation: float | None = None,
) -> int:
    """Seeds an arm for a two-sided t test to show a change of a metric on a logarithmic scale.

    `sd`: of the logarithm over seeds, in each arm. `change`: the ratio, 0.95 for -5 %.
    `correlation`: between the arms' values of one seed, for the paired test; without it the arms
    are independent. Exact by the noncentral t. Raises ValueError if no number of seeds would do.
    """
    if not (sd >= 0 and 0 < change != 1 and 0 < level < 1 and 0 < power < 1):
        raise ValueError(f"no seeds show a change by {change} at sd {sd}, level {level}, {power=}")

    def is_enough(seeds: int) -> bool:
        return power_of_test(sd, change, seeds, level, correlation) >= power

    most = 2
    while not is_enough(most):
        most *= 2
    return bisect_left(range(most), True, lo=2, key=is_enough)


def power_of_test(
    sd: float,
    change: float,
    seeds: int,
    level: float = 1 - CONFIDENCE_LEVEL,
    correlation: float | None = None,
) -> float:
    """The power of the test of `seeds_needed` with so many seeds an arm, in [0, 1]."""
    freedom = (seeds - 1) * (2 if correlation is None else 1)
    error = sd * math.sqrt(2 * (1 - (correlation or 0)) / seeds)
    off = min(abs(math.log(change)) / max(error, 1e-300), 1e3)  # as good as certain
    edge = float(stats.t.ppf(1 - level / 2, freedom))
    wrong = np.nan_to_num(stats.nct.cdf(-edge, freedom, off))  # nan where it is far below 1e-99
    return float(stats.nct.sf(edge, freedom, off) + wrong)


def seeds_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Seeds that changes of the outcome take at this grid's spread (power 0.8, level 0.05).

    Columns: data; change, as a ratio; unpaired and paired, seeds an arm for a t test in one cell,
    missing where the rows do not suffice: paired needs the correlation of arms of one cell over their
    seeds. A contrast over many cells takes fewer in each. Empty if the outcome's scale is not
    logarithmic.
    """
    outcome, rows = frame.attrs["plan"]["analysis"]["outcome"], measured_trials(frame)
    rows = rows[(rows["metric"] == outcome) & (outcome_facts(frame)["transform"] == "log")]
    entries = []
    for data, part in rows.groupby("data", sort=False):
        (sd, _), correlation = pooled_deviation(part), arm_correlation(part)
        for change in DETECTABLE_RATIOS:
            seeds = seeds_entry(sd, change, None), seeds_entry(sd, change, correlation)
            entries.append((data, change, *seeds))
    table = pd.DataFrame(entries, columns=["data", "change", "unpaired", "paired"])
    return table.astype({"change": float, "unpaired": "Int64", "paired": "Int64"})


def seeds_entry(sd: float, change: float, correlation: float | None) -> int | None:
    if math.isnan(sd) or math.isnan(correlation or 0):
        return None
    return seeds_needed(sd, change, correlation=correlation)


def arm_correlation(part: pd.DataFrame) -> float:
    """The correlation of two arms over the seeds that all of a cell have, pooled over cells."""
    own = both = 0.0
    for _, cell in part.groupby(CELL_COLUMNS, dropna=False):
        table = cell.pivot(index="seed", columns="tricks", values="transformed").dropna()
        if min(table.shape) > 1:
            covariances, (seeds, arms) = table.cov().to_numpy(), table.shape
            trace = float(np.trace(covariances))
            own += (seeds - 1) * trace / arms
            both += (seeds - 1) * (float(covariances.sum()) - trace) / (arms * (arms - 1))
    return both / own if own else math.nan
