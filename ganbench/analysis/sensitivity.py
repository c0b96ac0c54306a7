"""Sensitivity of the outcome to hyperparameters (Lucic et al., 2018).

Cells that differ only in their hyperparameters are a family: one method in all settings that were tried.
"""

import ast
import itertools
import math
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from typing import Any

import pandas as pd

from ganbench.experiments.plan_names import LOST_OUTCOMES
from ganbench.gan.variants import all_variants
from ganbench.registry import SpecError, parse_spec

from .contrasts import Background, contrast_on_background, estimate_contrast, network_of
from .effects import ended_outcomes, measured_outcomes, outcome_rows
from .metric_scale import MetricScale, outcome_scale

FAMILY_COLUMNS = ["data", "variant", "loss", "tricks"]
NEAR_BEST_FACTOR = 1.25  # a mean within this factor of the best is good enough for most purposes
OWN_SETTING = "own"  # the variant's default hyperparameters

SENSITIVITY_COLUMNS = (
    "settings broken trainings failures best best_mean worst worst_mean ratio near_best"
)
AXIS_EFFECT_COLUMNS = "axis before after families pairs change low high"


def settings_sensitivity(frame: pd.DataFrame) -> pd.DataFrame:
    """Compares the best and the worst setting of each family, with one row per family.

    Families that were tried in a single setting are left out.

    Columns:

    - data, variant, loss, tricks;
    - settings, a count, and broken, the number of settings in which no training has a value;
    - trainings, and failures among them (diverged or failed);
    - best and worst, the labels of settings with a value ("own" is the unchanged default of the variant);
    - best_mean and worst_mean, the means over seeds in the metric's unit;
    - ratio of the worst mean to the best;
    - near_best, the share in [0, 1] of all settings with a mean within a factor of 1.25 of the best. Broken
      settings count as not near.

    Means leave out lost trainings, so read them together with failures. The best of many settings is partly
    due to luck, like the best of many seeds.
    """
    scale = outcome_scale(frame)
    families = attempted_trials(measured_outcomes(frame), scale).groupby(FAMILY_COLUMNS, sort=False)
    entries = [(*names, *family_extremes(part, scale)) for names, part in families]
    return pd.DataFrame(entries, columns=[*FAMILY_COLUMNS, *SENSITIVITY_COLUMNS.split()])


def attempted_trials(rows: pd.DataFrame, scale: MetricScale) -> pd.DataFrame:
    """Returns the ended trials of families with two settings or more.

    The column `transformed` is the outcome on the transformed scale.
    """
    ended = ended_outcomes(rows, scale)
    return ended[ended.groupby(FAMILY_COLUMNS)["plan"].transform("nunique") > 1]


def family_extremes(part: pd.DataFrame, scale: MetricScale) -> tuple[Any, ...]:
    """Returns a family's row of `settings_sensitivity`, without its names."""
    back, lower = scale.back, scale.is_lower_better
    means = part.groupby("plan", sort=False)["transformed"].mean()
    ranked = means.dropna().sort_values(ascending=lower, kind="stable").map(back)
    ratios = ranked / ranked.iloc[0] if len(ranked) and ranked.iloc[0] > 0 else ranked * math.nan
    near = ratios <= NEAR_BEST_FACTOR if lower else ratios >= 1 / NEAR_BEST_FACTOR
    share = near.sum() / len(means) if ratios.notna().any() else math.nan
    failures = part["outcome"].isin(LOST_OUTCOMES).sum()
    counts = len(means), len(means) - len(ranked), len(part), failures
    ratio = ratios.iloc[-1] if len(ratios) else math.nan
    return (*counts, *best_and_worst(ranked), ratio, share)


def best_and_worst(ranked: "pd.Series[float]") -> tuple[Any, ...]:
    """Returns label and mean of the first setting, then of the last."""
    if not len(ranked):
        return (None, math.nan, None, math.nan)
    best, worst = ranked.index[0], ranked.index[-1]
    return (best or OWN_SETTING, ranked[best], worst or OWN_SETTING, ranked[worst])


def axis_effects(frame: pd.DataFrame) -> pd.DataFrame:
    """Estimates the change along one axis of the settings, with one row per pair of values.

    A pair is two neighbouring values of an axis, in cells that differ only in this axis. If a label of
    hyperparameters leaves out an axis, the cell has the variant's own value.

    Columns:

    - axis; before and after, its values;
    - families, with fixed other settings, in which both values were tried; pairs of trainings;
    - change, the outcome's ratio of after to before, averaged over families, with its 95 % t interval from low
      to high. If the scale of the metric is not logarithmic, it is a difference on that scale.

    The families are those of the grid, not a sample: the error comes from the seeds within families. Seeds
    are paired if the suite declares pairs. The intervals are not corrected for the number of axes.
    """
    entries = defaultdict(list)
    paired, scale = frame.attrs["plan"]["analysis"]["paired"], outcome_scale(frame)
    for names, pair in moves_along_axes(attempted_trials(outcome_rows(frame), scale)):
        entries[names].append(pair)
    ordered = sorted(entries, key=lambda names: (names[0], *map(sort_key_of_setting, names[1:])))
    rows = []
    for names in ordered:
        _, before, after = names
        changes = [
            contrast_on_background(table, {after: 1.0, before: -1.0}, paired, network)
            for network, table in entries[names]
        ]
        estimate = estimate_contrast([change for change in changes if change])
        ends = (estimate.mean, *estimate.interval())
        change = map(scale.change_of, ends)
        pairs = sum(len(table) for _, table in entries[names])
        rows.append((*names, len(entries[names]), pairs, *change))
    return pd.DataFrame(rows, columns=AXIS_EFFECT_COLUMNS.split())


def moves_along_axes(
    values: pd.DataFrame,
) -> Iterator[tuple[tuple[str, str, str], tuple[Background, pd.DataFrame]]]:
    """Yields an axis, a value, the next value, and the outcomes of a family that has both.

    Outcomes are a table of seeds with a column for each of the two values, beside the family's network.
    """
    settings = settings_by_axis(values)
    outcomes = values[[*FAMILY_COLUMNS, "seed", "transformed"]].join(settings)
    for axis in map(str, settings):
        rest = [*FAMILY_COLUMNS, *settings.columns.drop([axis])]
        for family, part in outcomes.groupby(rest, sort=False):
            table = part.pivot(index="seed", columns=axis, values="transformed")
            ordered = sorted(map(str, table), key=sort_key_of_setting)
            for before, after in itertools.pairwise(ordered):
                both = table[[before, after]].dropna()
                if len(both):
                    yield (axis, before, after), (network_of(family), both)


def settings_by_axis(values: pd.DataFrame) -> pd.DataFrame:
    """Returns each row's settings, with one column per axis that occurs in some label."""
    settings = [parse_settings_label(label) for label in values["plan"]]
    axes = sorted(set().union(*settings))
    rows = [
        [own.get(axis) or own_setting(name, axis) for axis in axes]
        for name, own in zip(values["variant"], settings, strict=True)
    ]
    return pd.DataFrame(rows, index=values.index, columns=axes)


def parse_settings_label(label: str) -> dict[str, str]:
    """Parses `betas=(0.5, 0.9), lr=0.001` into names and values, both as texts."""
    return dict(re.findall(r"(\w+)=(\([^)]*\)|[^,]+)", label))


@cache
def own_setting(name: str, axis: str) -> str:
    """Returns a variant's own value of a setting, as a text.

    Returns "own" if the values of generator and discriminator differ, or if no such variant is registered.
    Its network and task are not imported, since they need torch.
    """
    try:
        hyperparameters = all_variants()[parse_spec(name).name].hyperparameters
    except (SpecError, KeyError):
        return OWN_SETTING
    sides = ["generator_", "discriminator_"] if axis in ("lr", "betas") else [""]
    values = {str(getattr(hyperparameters, side + axis, OWN_SETTING)) for side in sides}
    return values.pop() if len(values) == 1 else OWN_SETTING


def sort_key_of_setting(value: str) -> tuple[bool, Any]:
    """Returns a key that sorts numbers and pairs by size, then words."""
    try:
        return False, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return True, value
