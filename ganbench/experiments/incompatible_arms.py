"""Sets of tricks that a plan does not train, with the reasons."""

from collections import Counter
from typing import Any

from ganbench.counts import count_of

from .plan_names import Arm, arm_of_item


def describe_incompatible_arms(plan: dict[str, Any]) -> list[str]:
    """Returns a sentence for each set of tricks and reason, from the content of a plan.json.

    `not applicable: r1, in 2 of 3 cells: R1 needs scores of one image each`
    """
    cells = incompatibility_by_cell(plan)
    totals = Counter(tricks for *_, tricks, _ in cells)
    refused = Counter((cell[3], reason) for cell, reason in cells.items() if reason)
    return [
        f"not applicable: {tricks}, in {count} of {count_of(totals[tricks], 'cell')}: {reason}"
        for (tricks, reason), count in refused.items()
    ]


def incompatibility_by_cell(plan: dict[str, Any]) -> dict[Arm, str]:
    """Returns the reason of each cell of the grid, which is empty if the cell is trained."""
    return {
        arm_of_item(item): item["objection"] for item in plan["trials"] if item["role"] == "trial"
    }
