"""Human error: the rate of wrong judgements of real and fake (HYPE, Zhou et al., 2019).

A rate of 50 % is chance. Judgements of one rater are correlated, and so are those of one picture.
Wilson's interval (1927) therefore uses the effective number of independent judgements. It has the same
variance as the data under both kinds of clusters (Cameron, Gelbach and Miller, 2011). For shares, see Dean
and Pagano (2015). With few raters this variance is itself uncertain, so the interval is widened by its
degrees of freedom (Korn and Graubard, 1998).
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from ganbench.analysis.agreement import krippendorff_alpha
from ganbench.analysis.intervals import CONFIDENCE_LEVEL, t_quantile
from ganbench.analysis.rates import clustered_wilson_interval
from ganbench.analysis.rows import ARM_COLUMNS
from ganbench.files import CorruptFile, read_json

from .answers import RaterSession
from .key import Key

MIN_CATCH_SHARE = 0.75  # raters with fewer correct catch trials are left out
HASTY_MILLISECONDS = 150  # faster than human reaction time
MAX_EXPOSURE_ERROR = 50  # milliseconds by which an exposure may differ from the requested length
HUMAN_ERROR_COLUMN = "human error"

Wrong = NDArray[np.float64]  # 1 for wrong judgements, [raters, items]


@dataclass(frozen=True)
class Rater:
    rater: str
    catches: int
    caught: int  # catch trials with the correct answer
    left_out: bool
    judgements: int
    error: float
    low: float
    high: float
    fooled: float  # the share of fakes that were called real
    doubted: float  # the share of real pictures that were called fake
    median_ms: float
    hasty: int  # answers faster than human reaction time
    off: int  # exposures without the requested length


@dataclass(frozen=True)
class HumanError:
    """The human error of one arm; shares are NaN if no answers count."""

    raters: int
    judgements: int
    independent: float  # the effective number of independent judgements
    error: float
    low: float
    high: float
    fooled: float
    doubted: float


def summarize_study(key: Key, sessions: Sequence[RaterSession]) -> dict[str, Any]:
    """Computes all results of a study: the content of study.json."""
    raters = [summarize_rater(key, session) for session in sessions]
    pairs = zip(sessions, raters, strict=True)
    counted = [session for session, rater in pairs if not rater.left_out]
    alpha = rater_agreement(key, counted)
    arms = [asdict(arm_human_error(key, number, counted)) for number, _ in enumerate(key.arms)]
    return {
        "schema": 1,
        "study": key.study,
        "suite": key.suite,
        "data": key.data,
        "exposure": key.exposure,
        "arms": [
            arm.model_dump() | {"trials": trials_of_arm(key, number)} | finite_row(arms[number])
            for number, arm in enumerate(key.arms)
        ],
        "raters": [finite_row(asdict(rater)) for rater in raters],
        "alpha": None if math.isnan(alpha) else alpha,
    }


def trials_of_arm(key: Key, arm: int) -> list[str]:
    """Returns the trials that generated the fakes of an arm."""
    items = key.items.values()
    return sorted({item.source for item in items if (item.arm, item.truth) == (arm, "fake")})


def summarize_rater(key: Key, session: RaterSession) -> Rater:
    catches = [a for a in session.answers if key.items[a.item].arm is None]
    caught = sum(a.answer == key.items[a.item].truth for a in catches)
    judged = [a for a in session.answers if key.items[a.item].arm is not None]
    wrong = wrong_judgements(key, [session], [a.item for a in judged])
    truths = np.array([key.items[a.item].truth == "fake" for a in judged])
    low, high = clustered_wilson_interval(float(wrong.mean()), wrong.size)
    timed = [a for a in judged if a.ms >= key.exposure > 0]
    return Rater(
        rater=session.rater,
        catches=len(catches),
        caught=caught,
        left_out=caught < MIN_CATCH_SHARE * len(catches),
        judgements=wrong.size,
        error=float(wrong.mean()),
        low=low,
        high=high,
        fooled=float(wrong[:, truths].mean()),
        doubted=float(wrong[:, ~truths].mean()),
        median_ms=float(np.median([a.ms for a in judged])),
        hasty=sum(a.ms < HASTY_MILLISECONDS for a in judged),
        off=sum(abs(a.shown - key.exposure) > MAX_EXPOSURE_ERROR for a in timed),
    )


def arm_human_error(key: Key, arm: int, sessions: Sequence[RaterSession]) -> HumanError:
    items = [name for name, item in key.items.items() if item.arm == arm]
    truths = np.array([key.items[name].truth == "fake" for name in items])
    wrong = wrong_judgements(key, sessions, items)
    if not wrong.size:
        return HumanError(0, 0, 0.0, *[math.nan] * 5)
    low, high = human_error_interval(wrong)
    return HumanError(
        raters=len(sessions),
        judgements=wrong.size,
        independent=effective_judgements(wrong),
        error=float(wrong.mean()),
        low=low,
        high=high,
        fooled=float(wrong[:, truths].mean()),
        doubted=float(wrong[:, ~truths].mean()),
    )


def wrong_judgements(key: Key, sessions: Sequence[RaterSession], items: Sequence[str]) -> Wrong:
    """Returns 1 for each wrong judgement of these items, else 0: [raters, items]."""
    answers_by_rater = [{a.item: a.answer for a in session.answers} for session in sessions]
    rows = [
        [answers[item] != key.items[item].truth for item in items] for answers in answers_by_rater
    ]
    return np.array(rows, dtype=np.float64).reshape(len(sessions), len(items))


def human_error_interval(wrong: Wrong) -> tuple[float, float]:
    """Computes Wilson's interval for the effective number of independent judgements.

    The number shrinks by the squared ratio of the quantiles of the normal and the t distribution.
    """
    tail = (1 + CONFIDENCE_LEVEL) / 2
    shrinkage = (stats.norm.ppf(tail) / t_quantile(tail, degrees_of_freedom(wrong))) ** 2
    return clustered_wilson_interval(float(wrong.mean()), effective_judgements(wrong) * shrinkage)


def degrees_of_freedom(wrong: Wrong) -> float:
    """Computes Satterthwaite's degrees of freedom of the variance over raters and items."""
    variances = clustered_variances(wrong)
    parts = zip(variances, wrong.shape, strict=True)
    uncertainty = sum(variance**2 / max(1, clusters - 1) for variance, clusters in parts)
    return sum(variances) ** 2 / uncertainty if uncertainty else math.inf


def effective_judgements(wrong: Wrong) -> float:
    """Computes the effective number of independent judgements.

    As many independent judgements would estimate the share with the same variance.
    """
    share = wrong.mean()
    single = share * (1 - share) / wrong.size  # the variance if all were independent
    if not single:
        return float(wrong.size)
    of_raters, of_items = clustered_variances(wrong)
    variance = max(of_raters + of_items - single, of_raters, of_items, single)
    return float(wrong.size * single / variance)


def clustered_variances(wrong: Wrong) -> tuple[float, float]:
    """Computes the variance of the share with raters as clusters, and with items as clusters."""
    gaps = wrong - wrong.mean()
    raters, items = wrong.shape
    of_raters = correct_variance((gaps.sum(axis=1) ** 2).sum() / wrong.size**2, raters)
    return of_raters, correct_variance((gaps.sum(axis=0) ** 2).sum() / wrong.size**2, items)


def correct_variance(variance: float, clusters: int) -> float:
    """Corrects a variance for few clusters.

    A single cluster gives no estimate, so its variance is 0.
    """
    return variance * clusters / (clusters - 1) if clusters > 1 else 0.0


def rater_agreement(key: Key, sessions: Sequence[RaterSession]) -> float:
    """Computes Krippendorff's alpha of the answers, over all items except catch trials."""
    items = [name for name, item in key.items.items() if item.arm is not None]
    truths = np.array([key.items[name].truth == "fake" for name in items], dtype=np.float64)
    called_fake = np.abs(truths - wrong_judgements(key, sessions, items))  # [raters, items]
    fake = called_fake.sum(axis=0).astype(np.int64)  # [items]
    return krippendorff_alpha(np.stack([fake, len(sessions) - fake], axis=1))


def finite_row(row: dict[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()}


def with_human_error(board: pd.DataFrame, frame: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Adds the columns `human error`, with `low` and `high`, to the leaderboard of a frame.

    The leaderboard is unchanged if the suite's folder has no study of trials of the frame.
    """
    try:
        content = read_json(folder / "study.json")
    except CorruptFile:
        content = None
    if content is None or content.get("schema") != 1:
        return board
    trials = set(frame["trial"].dropna())  # an arm with another budget has other trials
    judged = [arm for arm in content["arms"] if trials.issuperset(arm.get("trials", ()))]
    if not judged:
        return board
    arms = pd.DataFrame(judged)[[*ARM_COLUMNS, "error", "low", "high"]]
    ends = {end: f"{HUMAN_ERROR_COLUMN} {end}" for end in ("low", "high")}
    names = {"error": HUMAN_ERROR_COLUMN, **ends}
    columns = list(names.values())
    joined = board.merge(arms.rename(columns=names), on=ARM_COLUMNS, how="left")
    joined[columns] = joined[columns].astype(float).where(joined["role"].eq("trial"))
    joined.index = board.index
    return joined
