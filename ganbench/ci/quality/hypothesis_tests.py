"""Questions of a gate: is a metric of a cell proven to be worse than the margin allows, do more trainings fail?

Inferiority is one-sided and must be proven: Welch's t (1947) on the metric's scale, against the margin
and not against no change. Failures are counted over all cells together by Fisher's exact test (1935).
Holm's correction (1979) over all questions bounds the rate of false alarms of the gate as a whole.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import special, stats

from ganbench.analysis.contrasts import holm_correct
from ganbench.analysis.intervals import SCALES

FAILURES_METRIC = "failures"  # the question that is of no metric
ALL_CELLS = ""  # the name of all cells together
MIN_TRAININGS_PER_TEST = 3  # values a side that a question needs
GATE_CONFIDENCE_LEVEL = 0.95  # of the bound by which a metric is shown to hold


@dataclass(frozen=True)
class MetricScale:
    """How a metric is read, as it declares."""

    direction: str  # which is better: lower, higher
    transform: str  # log, logit, none

    def to(self, values: Sequence[float]) -> np.ndarray:
        """Values on the transformed scale."""
        return np.array([SCALES[self.transform].to(value) for value in values])

    def mean(self, values: Sequence[float]) -> float:
        """Their mean on that scale, given back on the metric's own."""
        if min(values) == max(values):  # a share of 0 too
            return values[0]
        return SCALES[self.transform].back(float(self.to(values).mean()))

    def worsening_between(self, before: float, after: float) -> float:
        """How much worse, on the transformed scale; below 0 if it is better."""
        one, other = self.to([before, after])
        return float(other - one) if self.direction == "lower" else float(one - other)

    def margin_on_scale(self, margin: float) -> float:
        """A margin as an amount on the transformed scale."""
        return math.log1p(margin) if self.transform == "log" else margin

    def worsen_value(self, value: float, amount: float) -> float:
        """A value of the metric after it became so much worse on the transformed scale."""
        signed = amount if self.direction == "lower" else -amount
        scale = SCALES[self.transform]
        return scale.back(scale.to(value) + signed)

    def format_worsening(self, amount: float) -> str:
        """An amount of worsening on the transformed scale, in words."""
        if self.transform == "log":
            return f"× {math.exp(amount if self.direction == 'lower' else -amount):.3g}"
        signed = amount if self.direction == "lower" else -amount
        return f"{signed:+.3g}{' in log odds' if self.transform == 'logit' else ''}"


@dataclass(frozen=True)
class CellTrainings:
    """How one cell's trainings ended, and what was measured of those that did well."""

    ended: int  # well, or by diverging; what crashed, or was cut off, did not end
    failed: int = 0  # diverged
    values: Mapping[str, Sequence[float | None]] = field(default_factory=dict)  # by metric and seed

    def measured_values(self, metric: str) -> list[float]:
        """The values that there are."""
        return [value for value in self.values.get(metric, ()) if value is not None]


@dataclass(frozen=True)
class GateTest:
    """One question, and its answer."""

    cell: str  # or TOGETHER
    metric: str
    before: float  # the mean on the metric's own scale; of failures the share
    after: float
    worse: float  # on the transformed scale, above 0 if it became worse
    bound: float  # worse is at most this, one-sided at LEVEL
    margin: float  # on the transformed scale
    said: str  # how much worse, in words
    p: float  # one-sided, of no more than the margin; Holm-corrected once all are asked
    counts: tuple[int, int]  # values before and after; of failures trainings
    scale: MetricScale  # how the metric is read
    verdict: str = "undecided"  # worse, held (shown to be within the margin), undecided


def run_tests(
    before: Mapping[str, CellTrainings],
    after: Mapping[str, CellTrainings],
    scales: Mapping[str, MetricScale],
    margins: Mapping[str, float],
    false_alarms: float,
) -> list[GateTest]:
    """Every metric with a margin, of every cell that both sides have and of all together; and failures.

    What has fewer than FEWEST values on a side is not asked: the verdict says where that must not be.
    """
    cells = [cell for cell in before if cell in after]
    tests = [
        non_inferiority_test(cell, metric, *values, scales[metric], margin)
        for metric, margin in margins.items()
        for cell, values in comparable_values(before, after, cells, metric, scales[metric]).items()
    ]
    if cells:
        tests.append(
            fisher_failure_test([before[cell] for cell in cells], [after[cell] for cell in cells])
        )
    corrected = holm_correct([question.p for question in tests])
    return [with_test_verdict(q, p, false_alarms) for q, p in zip(tests, corrected, strict=True)]


def comparable_values(
    before: Mapping[str, CellTrainings],
    after: Mapping[str, CellTrainings],
    cells: Sequence[str],
    metric: str,
    scale: MetricScale,
) -> dict[str, tuple[list[float], list[float]]]:
    """The values before and after of each cell that has enough of them, and of all cells together."""
    sides = {
        cell: (before[cell].measured_values(metric), after[cell].measured_values(metric))
        for cell in cells
    }
    tested = {
        cell: found
        for cell, found in sides.items()
        if min(map(len, found)) >= MIN_TRAININGS_PER_TEST
    }
    if len(tested) > 1:
        means = tuple(means_over_cells(side, tested, metric, scale) for side in (before, after))
        if min(map(len, means)) >= MIN_TRAININGS_PER_TEST:
            tested[ALL_CELLS] = means[0], means[1]
    return tested


def means_over_cells(
    side: Mapping[str, CellTrainings], cells: Iterable[str], metric: str, scale: MetricScale
) -> list[float]:
    """Each seed's mean over the cells, of the seeds that have a value in all.

    Cells of one seed share weights, latents and data: their means vary as seeds do, whatever that does.
    """
    columns = zip(*(side[cell].values[metric] for cell in cells), strict=True)
    return [scale.mean(values) for values in columns if None not in values]


def non_inferiority_test(
    cell: str,
    metric: str,
    before: Sequence[float],
    after: Sequence[float],
    scale: MetricScale,
    margin: float,
) -> GateTest:
    """Welch's one-sided test that the metric became worse by more than the margin."""
    sides = (before, after)
    one, other = map(scale.to, sides)
    gain, allowed = float(other.mean() - one.mean()), scale.margin_on_scale(margin)
    worse = gain if scale.direction == "lower" else -gain
    error, freedom = welch_error_and_freedom(one, other)
    p, bound = float(worse <= allowed), worse
    if error > 0:
        p = float(special.stdtr(freedom, (allowed - worse) / error))
        bound += float(special.stdtrit(freedom, GATE_CONFIDENCE_LEVEL)) * error
    mean, counts = [scale.mean(side) for side in sides], (len(one), len(other))
    said = scale.format_worsening(worse)
    return GateTest(cell, metric, mean[0], mean[1], worse, bound, allowed, said, p, counts, scale)


def welch_error_and_freedom(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """The standard error of a difference of means, and its freedom."""
    parts = [float(side.var(ddof=1)) / len(side) for side in (one, other)]
    if not sum(parts) > 0:
        return 0.0, math.inf
    denominator = sum(v**2 / (len(s) - 1) for v, s in zip(parts, (one, other), strict=True))
    return math.sqrt(sum(parts)), sum(parts) ** 2 / denominator


def fisher_failure_test(
    before: Sequence[CellTrainings], after: Sequence[CellTrainings]
) -> GateTest:
    """Fisher's one-sided test that more trainings fail than did."""
    failed, ended = (
        [sum(getattr(side, what) for side in sides) for sides in (before, after)]
        for what in ("failed", "ended")
    )
    p = float(stats.hypergeom.sf(failed[1] - 1, sum(ended), sum(failed), ended[1]))
    one, other = (f / max(1, e) for f, e in zip(failed, ended, strict=True))
    said = f"{failed[0]} of {ended[0]} before, {failed[1]} of {ended[1]} after"
    counts, scale = (ended[0], ended[1]), MetricScale("lower", "none")
    return GateTest(
        ALL_CELLS,
        FAILURES_METRIC,
        one,
        other,
        other - one,
        other - one,
        0.0,
        said,
        p,
        counts,
        scale,
    )


def with_test_verdict(question: GateTest, p: float, false_alarms: float) -> GateTest:
    held = question.bound <= question.margin
    verdict = "worse" if p < false_alarms else "held" if held else "undecided"
    return replace(question, p=p, verdict=verdict)
