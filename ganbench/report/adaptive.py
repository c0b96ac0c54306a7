"""Texts on adaptive seeds: the rule, and where the seeds of each effect ended."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

FIXED_CORRECTION = "after Holm's correction"
SEQUENTIAL_CORRECTION = "corrected for effects and looks"
ENDS = {
    "helps": "decided",
    "harms": "decided",
    "equivalent": "decided",
    "little chance": "undecided, with little chance of a decision",
    "last round": "undecided after the last round",
    "budget": "undecided, no budget left",
    "no values": "undecided, no training with it finished",
    "goes on": "undecided, gets more seeds",
}


def name_correction(plan: dict[str, Any]) -> str:
    """Returns the words for the correction of a suite's p-values."""
    return SEQUENTIAL_CORRECTION if "adaptive" in plan else FIXED_CORRECTION


def describe_seeds(plan: dict[str, Any]) -> str:
    """Returns the number of seeds, or the range of adaptive seeds: `3 to 8 (adaptive)`."""
    count = len(plan["seeds"])
    if "adaptive" not in plan:
        return str(count)
    first = plan["adaptive"]["rounds"][0]
    return f"{first} to {count} (adaptive)" if count > first else f"{first} (adaptive)"


def describe_rule(plan: dict[str, Any]) -> str:
    """Returns sentences on the rounds, the budget, the error and the intervals of a run."""
    record = plan["adaptive"]
    rounds = ", ".join(map(str, record["rounds"]))
    limits = [f"{record['trainings']:,} trainings"] if record["trainings"] else []
    limits += [f"{record['hours']:g} hours of training"] if record["hours"] else []
    budget = f" Budget: {' and '.join(limits)}." if limits else ""
    state = "All effects have ended" if record["over"] else "The run is not over"
    return (
        f"Adaptive seeds: {rounds} after each round; {record['taken']} of {len(record['rounds'])} looks were "
        f"taken. {state}.{budget} With a probability of {100 * (1 - record['error']):g} % all claims about effects "
        "over the grid are true at all looks together. So are those within variants, within losses and within data "
        "sets, each kind by itself. Intervals of effects are repeated confidence intervals; those of arms "
        "and all other tests share their error equally between the looks."
    )


def ends_of_effects(plan: dict[str, Any]) -> pd.DataFrame:
    """Returns a table of the effects over the grid: seeds, and why they ended."""
    rows: Sequence[dict[str, Any]] = plan["adaptive"]["effects"]
    return pd.DataFrame(
        {
            "tricks": [row["tricks"] for row in rows],
            "seeds": [row["seeds"] for row in rows],
            "ended": [ENDS[row["state"]] for row in rows],
        }
    )


def page_texts(plan: dict[str, Any]) -> dict[str, Any]:
    """Returns the texts on error and looks for the page."""
    if "adaptive" not in plan:
        return {"error": 0.05, "adaptive": None}
    table = ends_of_effects(plan).itertuples(index=False)
    return {
        "error": plan["adaptive"]["error"],
        "adaptive": {
            "rule": describe_rule(plan),
            "ends": [f"{row.tricks}: {row.seeds} seeds, {row.ended}" for row in table],
        },
    }


def end_of_effect(plan: dict[str, Any], tricks: str) -> str:
    """Returns the reason why the seeds of an effect ended; empty if it is unknown."""
    rows = plan["adaptive"]["effects"]
    return next((ENDS[row["state"]] for row in rows if row["tricks"] == tricks), "")
