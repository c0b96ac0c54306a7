"""Names that plans, tables and commands share: trials, parts of an arm, and outcomes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

PlanItem = dict[str, Any]  # a trial in plan.json
ARM_FIELDS = ("data", "variant", "loss", "tricks", "plan")
Arm = tuple[str, ...]  # the names of these fields in tables

LOST_OUTCOMES = ("diverged", "failed")
TRAINED_OUTCOMES = ("done", "diverged")  # of trials with a result
ENDED_OUTCOMES = ("done", *LOST_OUTCOMES)
FINISHED_OUTCOMES = (*TRAINED_OUTCOMES, "not_applicable")  # which another run keeps
ID_DIGITS = 16  # of a trial's id in tables and folder names


def short_id(trial: str) -> str:
    """Returns the begin of a trial's id, as in tables and folder names."""
    return trial[:ID_DIGITS]


def arm_of_item(item: Mapping[str, Any]) -> Arm:
    """Returns the arm of a trial in plan.json, or of a row of a table."""
    return tuple(item[field] for field in ARM_FIELDS)


def protocols_of_run(plan: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the protocols of a plan's run, with the extractors of the learning curves.

    They are unknown, and empty, for a plan that was measured again before they were recorded.
    """
    is_measured_again = bool(plan.get("measured", {}).get("protocol"))
    own: Mapping[str, Any] = plan.get(
        "run_protocols", {} if is_measured_again else plan["protocols"]
    )
    return own


def join_names(names: Iterable[str]) -> str:
    """Joins the names of a cell's parts, without empty ones: `digits / dcgan / hinge / r1`."""
    return " / ".join(filter(None, names))


def format_chain(tricks: Sequence[str]) -> str:
    """Returns the name of a chain of tricks: `ema + r1`, or `none`."""
    return " + ".join(tricks) or "none"
