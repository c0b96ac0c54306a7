"""Differences of training conditions between two tables: budget, versions, code and more."""

from typing import Any

import pandas as pd

from ganbench.counts import count_of

from .rows import ARM_COLUMNS, name_processors
from .shared_numerics import shared_numerics, without_shared_numerics


def list_condition_differences(a: pd.DataFrame, b: pd.DataFrame) -> list[str]:
    """Returns the differences in training conditions, as sentences.

    Each of them may be the cause of a change in the results.
    """
    before, after = training_conditions(a), training_conditions(b)
    pairs = {name: (before.get(name, "-"), after.get(name, "-")) for name in before | after}
    changed = [f"{name}: {x} before, {y} after" for name, (x, y) in pairs.items() if x != y]
    return changed + describe_changed_code(a, b)


def training_conditions(frame: pd.DataFrame) -> dict[str, str]:
    """Returns the budget, arithmetic, seeds, metrics, versions and processors of a run."""
    plan = frame.attrs["plan"]
    spent = plan["budget"]
    conditions = {"budget": f"{spent['amount']:,} {spent['unit'].replace('_', ' ')}"}
    conditions |= {"device": plan["device"], "numerics": shared_numerics(frame)}
    conditions |= {"seeds": ", ".join(map(str, plan["seeds"]))}
    conditions |= {"metrics": ", ".join(sorted(plan["metrics"]))} | plan["provenance"]
    return conditions | name_processors(frame)


def describe_changed_code(a: pd.DataFrame, b: pd.DataFrame) -> list[str]:
    """Returns a sentence with the number of cells with changed training code, if any."""
    before, after = (code_by_cell(without_shared_numerics(frame)) for frame in (a, b))
    both = before.index.intersection(after.index)
    count = int((before[both] != after[both]).sum())
    return [f"training code: changed in {count} of {count_of(len(both), 'cell')}"] if count else []


def code_by_cell(frame: pd.DataFrame) -> "pd.Series[Any]":
    """Returns for each cell the set of hashes of the code that trained it."""
    trained = frame[frame["role"].eq("trial") & frame["code"].notna()]
    return trained.groupby(ARM_COLUMNS)["code"].agg(frozenset)
