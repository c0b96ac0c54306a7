"""Variance of results over seeds (Bouthillier et al., 2021).

The variance is split into measurement and training. The module also computes how many seeds are needed
to detect a change.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from .contrasts import BACKGROUND_COLUMNS, TEST_POWER
from .intervals import CONFIDENCE_LEVEL, SCALES
from .metric_scale import metric_scale, outcome_scale
from .rows import ARM_COLUMNS, refuse_mixed_protocols

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
    """Splits the variance over seeds at the last checkpoint, one row per data set and metric.

    Standard deviations are on the metric's scale (intervals.SCALES; on a logarithmic scale 0.05 is about 5 %).

    Columns:

    - data, metric, cells, trainings (measured);
    - total_sd: between seeds within cells, pooled over cells with trainings - cells degrees of freedom. low
      and high are its 95 % chi-square interval;
    - sampling_sd: the effect of drawing other fakes from the same generator; the root mean square of the
      standard errors;
    - training_sd: the rest;
    - sampling_share: sampling's share of the variance, in [0, 1];
    - median_sd: the median over the cells' own deviations. It is far below total_sd if few cells are much
      noisier than the others. Then the interval, which assumes equal deviations, is too narrow.

    All trainings use the same latents. If this makes their errors alike, sampling is less of the total than
    it seems. Rows of one protocol cannot show the variance due to the reference. For that, run
    `ganbench measure --protocol 'ganbench(reals=...)'` and pass both frames to `variance_between_frames`.
    """
    parts = measured_trials(frame).groupby(["data", "metric"], sort=False)
    entries = [(*names, *split_variance(part)) for names, part in parts]
    return pd.DataFrame(entries, columns=VARIANCE_COLUMNS.split())


def measured_trials(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns the trials' rows at the last checkpoint that have a value.

    The columns `transformed` and `error` are the value and its error on the transformed scale.
    """
    chosen = (frame["role"] == "trial") & (frame["checkpoint"] == "last")
    rows = refuse_mixed_protocols(frame)[
        chosen & (frame["kind"] == "quality") & frame["value"].notna()
    ]
    plan = frame.attrs["plan"]
    scales = [metric_scale(plan, metric).transform for metric in rows["metric"]]
    pairs = list(zip(scales, rows["value"], strict=True))
    slopes = np.array([scale_derivative(scale, value) for scale, value in pairs], dtype=float)
    transformed = np.array([SCALES[scale].to(value) for scale, value in pairs], dtype=float)
    return rows.assign(
        transformed=transformed, error=rows["standard_error"].to_numpy(float) * slopes
    )


def scale_derivative(transform: str, value: float) -> float:
    """Computes the derivative of a scale at a value, to transform errors (delta method).

    The derivative is 0 where the scale is clipped.
    """
    scale = SCALES[transform]
    if not math.isclose(scale.back(scale.to(value)), value):
        return 0.0
    return SCALE_DERIVATIVES[transform](value)


def split_variance(part: pd.DataFrame) -> tuple[float, ...]:
    """Computes the row of one data set and metric for `variance_components`."""
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
    """Computes the standard deviation within cells and its degrees of freedom.

    The deviation is NaN without any degrees of freedom.
    """
    cells = part.groupby(ARM_COLUMNS, dropna=False)["transformed"]
    freedom = len(part) - cells.ngroups
    squares = float((part["transformed"] - cells.transform("mean")).pow(2).sum())
    return (math.sqrt(squares / freedom) if freedom else math.nan), freedom


def deviation_interval(sd: float, freedom: int) -> tuple[float, float]:
    """Computes the interval of a normal standard deviation from its degrees of freedom."""
    if not freedom:
        return math.nan, math.nan
    tails = (1 + CONFIDENCE_LEVEL) / 2, (1 - CONFIDENCE_LEVEL) / 2
    low, high = (sd * math.sqrt(freedom / float(stats.chi2.ppf(t, freedom))) for t in tails)
    return low, high


def variance_between_frames(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Computes how far apart frames put the same trials.

    The frames may differ in latents, references or protocols. Columns, all deviations on the metric's scale:

    - data, metric, trials (measured in all frames with the metric), frames;
    - sd: of a trial's value over the frames;
    - own_sd: the same without the shift of a frame that all trials share. Comparisons of trials do not notice
      that shift;
    - standard_error: the root mean square of the frames' standard errors for drawing other fakes. It equals
      sd over frames that differ only in the protocol's `seed`.

    A reference of another size or another extractor shifts values, and the shift is part of sd. Raises
    ValueError for fewer than two frames.
    """
    if len(frames) < 2:
        raise ValueError("pass at least two frames to compare")
    names = ["data", "metric", "trial", "transformed", "error"]
    stacked = pd.concat([measured_trials(f)[names].assign(frame=n) for n, f in enumerate(frames)])
    entries = [
        (*own, *frame_distance(part))
        for own, part in stacked.groupby(["data", "metric"], sort=False)
    ]
    columns = "data metric trials frames sd own_sd standard_error"
    return pd.DataFrame(entries, columns=columns.split())


def frame_distance(part: pd.DataFrame) -> tuple[float, ...]:
    """Computes the row of one data set and metric for `variance_between_frames`."""
    table = part.pivot(index="trial", columns="frame", values="transformed").dropna()
    values, (trials, frames) = table.to_numpy(), table.shape
    if frames < 2 or not trials:
        return trials, frames, math.nan, math.nan, math.nan
    off = values - values.mean(axis=1, keepdims=True)
    error = part.loc[part["trial"].isin(table.index), "error"].pow(2).mean()
    own = root_mean_square(off - off.mean(axis=0), (trials - 1) * (frames - 1))
    return trials, frames, root_mean_square(off, trials * (frames - 1)), own, math.sqrt(error)


def root_mean_square(deviations: np.ndarray, freedom: int) -> float:
    """Returns the root of the mean square of deviations, given their degrees of freedom."""
    return math.sqrt(float((deviations**2).sum()) / freedom) if freedom else math.nan


def seeds_needed(
    sd: float,
    change: float,
    power: float = TEST_POWER,
    level: float = 1 - CONFIDENCE_LEVEL,
    correlation: float | None = None,
) -> int:
    """Returns the seeds per arm that a t test needs to detect a change on a log scale.

    The test is two-sided. `sd` is the standard deviation of the logarithm over seeds, in each arm. `change` is
    a ratio: 0.95 for -5 %. `correlation` is that between the arms' values of one seed, for the paired test.
    Without it, the arms are independent. The computation is exact, with the noncentral t distribution. Raises
    ValueError if no number of seeds suffices.
    """
    has_answer = 0 <= sd < math.inf and 0 < change != 1 and -1 <= (correlation or 0) <= 1
    if not (has_answer and 0 < level < 1 and 0 < power < 1):
        raise ValueError(
            f"no number of seeds shows a change by {change} at sd {sd}, level {level}, {power=}"
        )

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
    """Computes the power in [0, 1] of the t test of `seeds_needed`."""
    freedom = (seeds - 1) * (2 if correlation is None else 1)
    error = sd * math.sqrt(2 * (1 - (correlation or 0)) / seeds)
    off = min(abs(math.log(change)) / max(error, 1e-300), 1e3)  # beyond this, detection is certain
    edge = float(stats.t.ppf(1 - level / 2, freedom))
    wrong = np.nan_to_num(stats.nct.cdf(-edge, freedom, off))  # NaN means far below 1e-99
    return float(stats.nct.sf(edge, freedom, off) + wrong)


def seeds_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Computes the seeds that detect changes of the outcome at this grid's spread.

    The power is 0.8 and the level 0.05. Columns: data; change, as a ratio; unpaired and paired, the seeds per
    arm for a t test in one cell. Entries are missing if there are too few rows: paired needs the correlation
    of the arms of one cell over their seeds. A contrast over many cells takes fewer seeds in each. The table
    is empty if the scale of the outcome is not logarithmic.
    """
    outcome, rows = frame.attrs["plan"]["analysis"]["outcome"], measured_trials(frame)
    rows = rows[(rows["metric"] == outcome) & outcome_scale(frame).is_log]
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
    """Computes the correlation of two arms over seeds, pooled over cells.

    Only seeds that all arms of a cell have are used.
    """
    own = both = 0.0
    for _, cell in part.groupby(BACKGROUND_COLUMNS, dropna=False):
        table = cell.pivot(index="seed", columns="tricks", values="transformed").dropna()
        if min(table.shape) > 1:
            covariances, (seeds, arms) = table.cov().to_numpy(), table.shape
            trace = float(np.trace(covariances))
            own += (seeds - 1) * trace / arms
            both += (seeds - 1) * (float(covariances.sum()) - trace) / (arms * (arms - 1))
    return float(np.clip(both / own, -1, 1)) if own else math.nan
