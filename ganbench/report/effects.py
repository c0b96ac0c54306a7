"""The effects file: what each trick changes, where it does so more, and what it does to failures."""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import pandas as pd

from ganbench.analysis.contrasts import CELL_COLUMNS
from ganbench.analysis.effects import (
    Effect,
    chain_effects,
    effects_by_loss,
    effects_by_variant,
    outcome_rows,
    trick_effects,
)
from ganbench.analysis.factors import tricks_of_arm
from ganbench.analysis.interactions import all_interactions
from ganbench.analysis.rates import failure_rates
from ganbench.experiments.factorial import aliased_terms

from .findings import least, name_of, percent
from .markdown import as_table, number

NOTE = (
    "Averaged over the cells of this grid that tell, {pairing}; the error comes from the seeds within "
    "cells, so nothing is said about other cells. A trick that was tried on several backgrounds has its "
    "mean over them. *pairs*: seeds of cells that were compared. *lost*: trainings that diverged or failed "
    "where none finished. *shown from*: the least change that this grid would have shown with a power of "
    "80 %. *r*: the correlation of what is compared over seeds; pairing pays where it is high. Holm's "
    "correction is over the tricks of the grid, over all rows within variants, and over all within losses."
)
MORE = (
    "How many times as large the change is in one place as in the others that are alike but for this; for two "
    "tricks, as both would make it by themselves. Holm's correction is over all of a kind."
)
BADLY = (
    "Of all trainings that ended: *failed* diverged or failed, *collapsed* ended with few modes or little "
    "recall. Wilson's 95 % intervals. *more*, *fewer*: pairs of a cell and seed in which it went wrong with "
    "the trick alone, and with none alone; p is McNemar's, exact, by Holm's correction."
)


def sections(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The tables behind the file, as numbers."""
    known = [*trick_effects(frame), *effects_by_variant(frame), *effects_by_loss(frame)]
    made: dict[str, list[Any]] = {
        "effects": known,
        "chains": chain_effects(frame),
        "interactions": all_interactions(frame),
        "rates": failure_rates(frame),
    }
    return {name: pd.DataFrame([asdict(each) for each in found]) for name, found in made.items()}


def effects_of(table: pd.DataFrame) -> list[Effect]:
    """A table of effects as what it was made from."""
    return [Effect(**{str(k): v for k, v in row.items()}) for row in table.to_dict("records")]


def effects_text(frame: pd.DataFrame, found: dict[str, pd.DataFrame]) -> str:
    """The whole file."""
    plan = frame.attrs["plan"]
    outcome = plan["analysis"]["outcome"]
    title = f"# Each trick against none: {name_of(outcome)} of {plan['suite']}"
    if found["effects"].empty:
        return f"{title}\n\nNo trick was compared with none.\n"
    transform = plan["metrics"][outcome]["transform"]
    note = NOTE.format(pairing="paired by seed" if plan["analysis"]["paired"] else "unpaired")
    pages = [title, note, effects_table(found["effects"], transform)]
    if not found["chains"].empty:
        pages += ["## Chains as they are, against none", effects_table(found["chains"], transform)]
    pages += [f"Not told apart in {where}: {told}." for where, told in confounded(frame)]
    if not found["interactions"].empty:
        shown = interactions_table(found["interactions"], transform)
        pages += ["## Where a trick changes more", MORE, shown]
    if not found["rates"].empty:
        pages += ["## What goes wrong, and how often", BADLY, rates_table(found["rates"])]
    return "\n\n".join(pages) + "\n"


def confounded(frame: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """In which cells with combined tricks which effects have the same runs."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for cell, part in outcome_rows(frame).groupby(CELL_COLUMNS, dropna=False, sort=False):
        arms = part.loc[part["outcome"] != "not_applicable", "tricks"].unique()
        assert isinstance(cell, tuple)
        groups.setdefault(tuple(arms), []).append(" / ".join(str(name) for name in cell if name))
    for chains, cells in groups.items():
        if any(len(tricks_of_arm(chain)) > 1 for chain in chains):
            found = aliased_terms([tuple(sorted(tricks_of_arm(chain))) for chain in chains])
            if found:
                yield "; ".join(cells), "; ".join(" = ".join(group) for group in found)


def shown_change(transform: str) -> Callable[[float], str]:
    """Ratios in percent where the scale is logarithmic, else differences."""
    show = (lambda x: percent(x - 1)) if transform == "log" else number
    return lambda x: "" if math.isnan(x) else show(x)


def probability(p: float) -> str:
    return "" if math.isnan(p) else f"{p:.2g}"


def least_or_nothing(value: float, transform: str) -> str:
    return "" if math.isnan(value) else least(value, transform)


def times(ratio: float) -> str:
    return "" if math.isnan(ratio) else f"× {number(ratio)}"


def number_or_nothing(value: float) -> str:
    return "" if math.isnan(value) else number(value)


def effects_table(changes: pd.DataFrame, transform: str) -> str:
    change = shown_change(transform)
    shown = {
        "variant": changes["variant"].replace("", "all"),
        "loss": changes["loss"].replace("", "all"),
        "tricks": changes["tricks"],
        "change": changes["ratio"].map(change),
        "95 % low": changes["low"].map(change),
        "95 % high": changes["high"].map(change),
        "p (Holm)": changes["p"].map(probability),
        "shown from": [least_or_nothing(value, transform) for value in changes["smallest"]],
        "r": changes["correlation"].map(number_or_nothing),
        "cells": changes["cells"],
        "pairs": changes["pairs"],
        "lost": changes["lost"],
        "verdict": changes["verdict"],
    }
    return as_table(pd.DataFrame(shown))


def interactions_table(found: pd.DataFrame, transform: str) -> str:
    show = times if transform == "log" else number_or_nothing
    shown = {
        "kind": found["kind"],
        "tricks": found["tricks"],
        "where": found["where"],
        "more": found["ratio"].map(show),
        "95 % low": found["low"].map(show),
        "95 % high": found["high"].map(show),
        "p (Holm)": found["p"].map(probability),
        "cells": found["cells"],
        "verdict": found["verdict"],
    }
    return as_table(pd.DataFrame(shown))


def rates_table(found: pd.DataFrame) -> str:
    shown = {
        "what": found["what"],
        "tricks": found["tricks"],
        "of trainings": found["count"].astype(str) + "/" + found["trainings"].astype(str),
        "95 % low": found["low"].map("{:.0%}".format),
        "95 % high": found["high"].map("{:.0%}".format),
        "more": found["more"],
        "fewer": found["fewer"],
        "p (Holm)": found["p"].map(probability),
    }
    return as_table(pd.DataFrame(shown))
