"""Effects: what each trick changes against the same cell and seed without tricks, and how surely."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from .intervals import LEVEL, SCALES
from .rows import unmixed

CELL = ["data", "variant", "loss", "plan"]


@dataclass(frozen=True)
class Effect:
    """One trick against none. On a log scale `ratio` is that of the outcome, below 1 where it falls."""

    tricks: str
    ratio: float  # or the difference, where the metric's scale is not logarithmic
    low: float
    high: float
    pairs: int  # cells and seeds in which both arms were measured
    cells: int
    lost: int  # pairs in which the trick's arm diverged or failed, and none did not
    p: float  # two-sided, Holm-corrected over all effects of its family
    verdict: str  # helps, harms, equivalent, undecided
    variant: str = ""  # the one that it is about, or all


def effects(frame: pd.DataFrame) -> list[Effect]:
    """Every chain of tricks against none, over the cells that have both.

    The cells are those of the grid, not a sample of all cells: the error comes from the seeds within
    each, by the pairing that the suite declared, and the interval says nothing about other cells.
    """
    return _family(frame, {"": outcomes(frame)})


def effects_by_variant(frame: pd.DataFrame) -> list[Effect]:
    """The same within each variant, as a family of its own; nothing if there is only one."""
    values = outcomes(frame)
    parts = {str(name): part for name, part in values.groupby("variant", sort=False)}
    return _family(frame, parts) if len(parts) > 1 else []


def _family(frame: pd.DataFrame, parts: dict[str, pd.DataFrame]) -> list[Effect]:
    """Every trick in every part, corrected together."""
    plan = frame.attrs["plan"]["analysis"]
    facts = frame.attrs["plan"]["metrics"][plan["outcome"]]
    found = [
        replace(raw(values, name, facts["transform"], plan["paired"]), variant=variant)
        for variant, values in parts.items()
        for name in tricks_of(values)
    ]
    corrected = holm([effect.p for effect in found])
    margin = plan["equivalence"]
    return [judged(effect, p, margin, facts) for effect, p in zip(found, corrected, strict=True)]


def outcomes(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that are compared: the declared outcome of trials, at the last checkpoint."""
    outcome = unmixed(frame).attrs["plan"]["analysis"]["outcome"]
    chosen = (frame["role"] == "trial") & (frame["checkpoint"] == "last")
    return frame[chosen & (frame["metric"] == outcome)]


def tricks_of(values: pd.DataFrame) -> list[str]:
    applicable = values[values["outcome"] != "not_applicable"]
    return [name for name in applicable["tricks"].unique() if name != "none"]


def raw(values: pd.DataFrame, name: str, transform: str, paired: bool) -> Effect:
    """The effect before correction for how many tricks were looked at."""
    scale = SCALES[transform]
    arms = [values[values["tricks"] == arm].set_index([*CELL, "seed"]) for arm in (name, "none")]
    tried = arms[0][["value", "outcome"]].rename(columns={"value": "value_with"})
    both = tried.join(arms[1]["value"].rename("value_none"), how="inner")
    ended_badly = both["outcome"].isin(["diverged", "failed"])
    lost = int((ended_badly & both["value_none"].notna()).sum())
    measured = both.dropna(subset=["value_with", "value_none"])
    logs = measured[["value_with", "value_none"]].map(scale.to)
    cells = [part.to_numpy() for _, part in logs.groupby(CELL, dropna=False)]
    mean, low, high, p = combined([change(cell[:, 0], cell[:, 1], paired) for cell in cells])
    back = scale.back if transform == "log" else float
    return Effect(name, back(mean), back(low), back(high), len(measured), len(cells), lost, p, "")


@dataclass(frozen=True)
class Change:
    """One cell's mean difference, its squared error where seeds allow one, and that error's freedom."""

    mean: float
    variance: float
    freedom: int
    seeds: int


def change(trick: np.ndarray, none: np.ndarray, paired: bool) -> Change:
    """The difference of two arms over their seeds, on the transformed scale."""
    count, mean = len(trick), float((trick - none).mean())
    if count < 2:
        return Change(mean, math.nan, 0, count)
    if paired:
        return Change(mean, (trick - none).var(ddof=1) / count, count - 1, count)
    return Change(mean, (trick.var(ddof=1) + none.var(ddof=1)) / count, 2 * (count - 1), count)


def combined(changes: list[Change]) -> tuple[float, float, float, float]:
    """Mean over cells, interval and two-sided p of no change (Welch and Satterthwaite's freedom).

    A cell with a single pair borrows the others' mean variance; without any, there is no interval.
    """
    if not changes:
        return math.nan, math.nan, math.nan, math.nan
    mean = float(np.mean([c.mean for c in changes]))
    known = [c for c in changes if c.freedom]
    singles = len(changes) - len(known)
    # What the known variances count for, in the sum and so in its freedom: borrowing adds none.
    counts = [1 + singles * c.seeds / len(known) for c in known]
    parts = [count * c.variance for count, c in zip(counts, known, strict=True)]
    variance = sum(parts)
    if not known or variance == 0:
        return mean, math.nan, math.nan, math.nan
    freedom = variance**2 / sum(v**2 / c.freedom for v, c in zip(parts, known, strict=True))
    error = math.sqrt(variance) / len(changes)
    half = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * error
    p = 2 * float(stats.t.sf(abs(mean) / error, freedom))
    return mean, mean - half, mean + half, p


def holm(p: list[float]) -> list[float]:
    """Holm's step-down correction (1979); what has no p keeps none."""
    known = sorted((value, i) for i, value in enumerate(p) if not math.isnan(value))
    corrected, least = [math.nan] * len(p), 0.0
    for rank, (value, i) in enumerate(known):
        least = max(least, min(1.0, (len(known) - rank) * value))
        corrected[i] = least
    return corrected


def judged(effect: Effect, p: float, margin: float, facts: dict[str, str]) -> Effect:
    """The effect with its corrected p and what may be said of it, no stronger than its interval."""
    inside = 1 - margin < effect.low and effect.high < 1 / (1 - margin)
    verdict = "undecided"
    if facts["transform"] == "log" and inside:
        verdict = "equivalent"
    elif p < 1 - LEVEL:
        falls = effect.ratio < (1 if facts["transform"] == "log" else 0)
        verdict = "helps" if falls == (facts["direction"] == "lower") else "harms"
    return replace(effect, p=p, verdict=verdict)
