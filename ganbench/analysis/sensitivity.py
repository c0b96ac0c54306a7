"""Sensitivity (Lucic et al., 2018): how much of a score its settings decide.

Cells that differ in their plan alone are a family: one method, in all the settings it was tried in.
"""

import ast
import itertools
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from ganbench.gan.variants import variant
from ganbench.registry import SpecError

from .effects import outcomes
from .intervals import LEVEL, SCALES
from .variance import outcome_facts

FAMILY = ["data", "variant", "loss", "tricks"]
NEAR = 1.25  # a mean within this factor of the best is as good for most ends
OWN = "own"  # what the variant's plan has by itself
BROKEN = ("diverged", "failed")

SENSITIVITY = "settings broken trainings failures best best_mean worst worst_mean ratio near_best"
EFFECTS = "axis before after families pairs change low high"


def sensitivity(frame: pd.DataFrame) -> pd.DataFrame:
    """What settings make of the outcome, a row a family that was tried in two or more.

    Columns: data, variant, loss, tricks; settings, and broken ones, in which no training came to a
    value; trainings, and failures among them (diverged or failed); best and worst setting of those
    with a value, as the plan's label ("own" is the variant's plan unchanged), and their means over
    seeds (on the metric's scale, given back); ratio of the worst mean to the best; near_best, the
    share in [0, 1] of all settings whose mean is within a factor of 1.25 of the best; broken ones
    are not. Means are of trainings that survived, so read them beside failures; and the best of
    many settings is partly luck, as a seed is.
    """
    families = attempted(frame).groupby(FAMILY, sort=False)
    found = [(*names, *extremes(part, outcome_facts(frame))) for names, part in families]
    return pd.DataFrame(found, columns=[*FAMILY, *SENSITIVITY.split()])


def attempted(frame: pd.DataFrame) -> pd.DataFrame:
    """Trials that ended, of families with two plans or more; `there` is their scaled outcome."""
    rows = outcomes(frame)
    ended = rows[rows["outcome"].isin(["done", *BROKEN])]
    several = ended.groupby(FAMILY)["plan"].transform("nunique") > 1
    to = SCALES[outcome_facts(frame)["transform"]].to
    return ended.assign(there=ended["value"].map(to, na_action="ignore"))[several]


def extremes(part: pd.DataFrame, facts: dict[str, str]) -> tuple[Any, ...]:
    """One family's row of `sensitivity`, without its names."""
    back, lower = SCALES[facts["transform"]].back, facts["direction"] == "lower"
    means = part.groupby("plan", sort=False)["there"].mean()
    ranked = means.dropna().sort_values(ascending=lower, kind="stable").map(back)
    ratios = ranked / ranked.iloc[0] if len(ranked) and ranked.iloc[0] > 0 else ranked * math.nan
    near = ratios <= NEAR if lower else ratios >= 1 / NEAR
    share = near.sum() / len(means) if ratios.notna().any() else math.nan
    ends = [(label or OWN, ranked[label]) for label in ranked.index[[0, -1]]] if len(ranked) else []
    best, worst = ends or [(None, math.nan)] * 2
    counts = len(means), len(means) - len(ranked), len(part), part["outcome"].isin(BROKEN).sum()
    return (*counts, *best, *worst, ratios.iloc[-1] if len(ratios) else math.nan, share)


def axis_effects(frame: pd.DataFrame) -> pd.DataFrame:
    """What a step along one axis changes, all else the same, a row a pair of values.

    Compared are the neighbours in size among cells that differ in this axis alone; what a plan's
    label leaves out is what the variant has by itself. Columns: axis; before and after, its values;
    families, each with its other settings, in which both were tried, and pairs of trainings;
    change, the mean over families of the outcome's ratio after to before (a difference on the
    metric's scale, where that is not logarithmic), with the 95 % t interval low to high. The
    families are those of the grid: the error is that of seeds within them, paired as the suite
    declared, and not corrected for how many axes are looked at.
    """
    found = defaultdict(list)
    for names, pair in moves(attempted(frame)):
        found[names].append(pair)
    ordered = sorted(found, key=lambda names: (names[0], *map(in_order, names[1:])))
    paired, transform = frame.attrs["plan"]["analysis"]["paired"], outcome_facts(frame)["transform"]
    back = math.exp if transform == "log" else float
    rows = [(*names, *counts(found[names]), *map(back, mean_change(found[names], paired)))
            for names in ordered]  # fmt: skip
    return pd.DataFrame(rows, columns=EFFECTS.split())


def counts(pairs: Sequence[np.ndarray]) -> tuple[int, int]:
    """Families, and pairs of trainings in them."""
    return len(pairs), sum(map(len, pairs))


def moves(values: pd.DataFrame) -> Iterator[tuple[tuple[str, str, str], np.ndarray]]:
    """Axis, value, next value; and the outcomes [seeds, 2] of a family that has both."""
    settings = spelled_out(values)
    known = values[[*FAMILY, "seed", "there"]].join(settings)
    for axis in map(str, settings):
        rest = [*FAMILY, *settings.columns.drop([axis])]
        for _, part in known.groupby(rest, sort=False):
            table = part.pivot(index="seed", columns=axis, values="there")
            for before, after in itertools.pairwise(sorted(map(str, table), key=in_order)):
                both = table[[before, after]].dropna().to_numpy(float)
                if len(both):
                    yield (axis, before, after), both


def spelled_out(values: pd.DataFrame) -> pd.DataFrame:
    """The settings of each row, a column an axis that any row's label names."""
    told = [settings_of(label) for label in values["plan"]]
    axes = sorted(set().union(*told))
    rows = [
        [settings.get(axis) or own(name, axis) for axis in axes]
        for name, settings in zip(values["variant"], told, strict=True)
    ]
    return pd.DataFrame(rows, index=values.index, columns=axes)


def settings_of(label: str) -> dict[str, str]:
    """`betas=(0.5, 0.9), lr=0.001` as names and values, values as texts."""
    return dict(re.findall(r"(\w+)=(\([^)]*\)|[^,]+)", label))


@cache
def own(name: str, axis: str) -> str:
    """What a variant has by itself; "own" if its sides differ, or it is not known here."""
    try:
        plan = variant(name).plan
    except SpecError:
        return OWN
    sides = ["generator_", "discriminator_"] if axis in ("lr", "betas") else [""]
    found = {str(getattr(plan, side + axis, OWN)) for side in sides}
    return found.pop() if len(found) == 1 else OWN


def in_order(value: str) -> tuple[bool, Any]:
    """A key that sorts numbers and pairs by size, and words after them."""
    try:
        return False, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return True, value


def mean_change(pairs: Sequence[np.ndarray], paired: bool) -> tuple[float, float, float]:
    """The mean over families and its t interval (Welch and Satterthwaite's freedom).

    A family with a single pair borrows the others' mean variance; without any: no interval.
    """
    mean = float(np.mean([np.diff(pair).mean() for pair in pairs]))
    known = [pair for pair in pairs if len(pair) > 1]
    borrowed = (len(pairs) - len(known)) / max(1, len(known))
    errors = [squared_error(pair, paired) * (1 + borrowed * len(pair)) for pair in known]
    if not sum(errors) > 0:
        return mean, math.nan, math.nan
    freedoms = [(len(pair) - 1) * (1 if paired else 2) for pair in known]
    freedom = sum(errors) ** 2 / sum(e**2 / f for e, f in zip(errors, freedoms, strict=True))
    half = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * math.sqrt(sum(errors)) / len(pairs)
    return mean, mean - half, mean + half


def squared_error(pair: np.ndarray, paired: bool) -> float:
    """Of the mean difference of two columns."""
    spread = np.diff(pair).var(ddof=1) if paired else pair.var(axis=0, ddof=1).sum()
    return float(spread) / len(pair)
