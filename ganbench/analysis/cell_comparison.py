"""The comparison of one metric in one cell, and its table."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import pandas as pd

from ganbench.evaluation.metric_names import name_with_features

from .intervals import CONFIDENCE_LEVEL
from .verdicts import ComparisonVerdict

# In the order of sentences.
COMPARISON_VERDICTS = (
    ComparisonVerdict.IDENTICAL,
    ComparisonVerdict.BETTER,
    ComparisonVerdict.WORSE,
    ComparisonVerdict.EQUIVALENT,
    ComparisonVerdict.UNDECIDED,
    ComparisonVerdict.NEW,
    ComparisonVerdict.MISSING,
    ComparisonVerdict.NOT_COMPARABLE,
)
UNTESTED_VERDICTS = COMPARISON_VERDICTS[-3:]


@dataclass(frozen=True)
class CellComparison:
    """A metric before and after, in one cell or on average over all matched cells."""

    metric: str
    direction: str  # the better direction: lower or higher
    data: str = ""  # the cell's names; empty for the mean over all cells
    variant: str = ""
    loss: str = ""
    tricks: str = ""
    plan: str = ""
    cells: int = 0  # with values before and after
    seeds: int = 0  # in these cells: pairs, or the seeds of the side with fewer
    paired: bool = False  # by seed
    before: float = math.nan  # the cell's mean, in the unit of the metric
    after: float = math.nan
    unit: str = "ratio"  # of the change: ratio (after / before), difference, log odds
    change: float = math.nan
    low: float = math.nan  # 95 % interval of this change, not corrected
    high: float = math.nan
    family_low: float = math.nan  # interval for all cells together, which equivalence follows
    family_high: float = math.nan
    p: float = math.nan  # two-sided, Holm-corrected over the cells (for the mean: over the metrics)
    failed_before: int = 0  # diverged or failed
    ended_before: int = 0  # diverged, failed or done
    failed_after: int = 0
    ended_after: int = 0
    excess: float = 0.0  # failures after, minus the number expected from both sides together
    failure_p: float = math.nan  # two-sided, Holm-corrected over the cells (for the mean: one test)
    margin: float = 0.0  # a ratio between 1 - margin and 1 / (1 - margin) is no change
    verdict: ComparisonVerdict | None = None  # None before it is tested
    reason: str = ""  # why the cell was not compared
    features: str = ""  # the features of the metric; empty for Inception's

    @property
    def display_name(self) -> str:
        """The metric with its features: `FID (digits' classifier)`."""
        return name_with_features(self.metric, self.features)

    @property
    def is_decided_by_failures(self) -> bool:
        """Whether more or fewer trainings fail, whatever the values of the others."""
        return self.failure_p < 1 - CONFIDENCE_LEVEL


def comparisons_to_frame(comparisons: Sequence[CellComparison]) -> pd.DataFrame:
    """Returns a frame with one row per comparison.

    The columns are the fields of CellComparison, also if there are no rows.
    """
    columns = [field.name for field in fields(CellComparison)]
    return pd.DataFrame([asdict(c) for c in comparisons], columns=columns)
