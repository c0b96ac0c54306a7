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

FAILURES = "failures"  # the question that is of no metric
TOGETHER = ""  # the name of all cells together
FEWEST = 3  # values a side that a question needs
LEVEL = 0.95  # of the bound by which a metric is shown to hold


@dataclass(frozen=True)
class Scale:
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

    def worse(self, before: float, after: float) -> float:
        """How much worse, on the transformed scale; below 0 if it is better."""
        one, other = self.to([before, after])
        return float(other - one) if self.direction == "lower" else float(one - other)

    def worsening(self, margin: float) -> float:
        """A margin as an amount on the transformed scale."""
        return math.log1p(margin) if self.transform == "log" else margin

    def worsened(self, value: float, amount: float) -> float:
        """A value of the metric after it became so much worse on the transformed scale."""
        signed = amount if self.direction == "lower" else -amount
        scale = SCALES[self.transform]
        return scale.back(scale.to(value) + signed)

    def said(self, amount: float) -> str:
        """An amount of worsening on the transformed scale, in words."""
        if self.transform == "log":
            return f"× {math.exp(amount if self.direction == 'lower' else -amount):.3g}"
        signed = amount if self.direction == "lower" else -amount
        return f"{signed:+.3g}{' in log odds' if self.transform == 'logit' else ''}"


@dataclass(frozen=True)
class Trainings:
    """How one cell's trainings ended, and what was measured of those that did well."""

    ended: int  # well, or by diverging; what crashed, or was cut off, did not end
    failed: int = 0  # diverged
    values: Mapping[str, Sequence[float | None]] = field(default_factory=dict)  # by metric and seed

    def known(self, metric: str) -> list[float]:
        """The values that there are."""
        return [value for value in self.values.get(metric, ()) if value is not None]


@dataclass(frozen=True)
class Question:
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
    scale: Scale  # how the metric is read
    verdict: str = "undecided"  # worse, held (shown to be within the margin), undecided


def questions(
    before: Mapping[str, Trainings],
    after: Mapping[str, Trainings],
    scales: Mapping[str, Scale],
    margins: Mapping[str, float],
    false_alarms: float,
) -> list[Question]:
    """Every metric with a margin, of every cell that both sides have and of all together; and failures.

    What has fewer than FEWEST values on a side is not asked: the verdict says where that must not be.
    """
    cells = [cell for cell in before if cell in after]
    found = [
        inferiority(cell, metric, *values, scales[metric], margin)
        for metric, margin in margins.items()
        for cell, values in compared(before, after, cells, metric, scales[metric]).items()
    ]
    if cells:
        found.append(failures([before[cell] for cell in cells], [after[cell] for cell in cells]))
    corrected = holm_correct([question.p for question in found])
    return [judged(q, p, false_alarms) for q, p in zip(found, corrected, strict=True)]


def compared(
    before: Mapping[str, Trainings],
    after: Mapping[str, Trainings],
    cells: Sequence[str],
    metric: str,
    scale: Scale,
) -> dict[str, tuple[list[float], list[float]]]:
    """The values before and after of each cell that has enough of them, and of all cells together."""
    sides = {cell: (before[cell].known(metric), after[cell].known(metric)) for cell in cells}
    asked = {cell: found for cell, found in sides.items() if min(map(len, found)) >= FEWEST}
    if len(asked) > 1:
        means = tuple(together(side, asked, metric, scale) for side in (before, after))
        if min(map(len, means)) >= FEWEST:
            asked[TOGETHER] = means[0], means[1]
    return asked


def together(
    side: Mapping[str, Trainings], cells: Iterable[str], metric: str, scale: Scale
) -> list[float]:
    """Each seed's mean over the cells, of the seeds that have a value in all.

    Cells of one seed share weights, latents and data: their means vary as seeds do, whatever that does.
    """
    columns = zip(*(side[cell].values[metric] for cell in cells), strict=True)
    return [scale.mean(values) for values in columns if None not in values]


def inferiority(
    cell: str,
    metric: str,
    before: Sequence[float],
    after: Sequence[float],
    scale: Scale,
    margin: float,
) -> Question:
    """Welch's one-sided test that the metric became worse by more than the margin."""
    sides = (before, after)
    one, other = map(scale.to, sides)
    gain, allowed = float(other.mean() - one.mean()), scale.worsening(margin)
    worse = gain if scale.direction == "lower" else -gain
    error, freedom = welch(one, other)
    p, bound = float(worse <= allowed), worse
    if error > 0:
        p = float(special.stdtr(freedom, (allowed - worse) / error))
        bound += float(special.stdtrit(freedom, LEVEL)) * error
    mean, counts = [scale.mean(side) for side in sides], (len(one), len(other))
    said = scale.said(worse)
    return Question(cell, metric, mean[0], mean[1], worse, bound, allowed, said, p, counts, scale)


def welch(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """The standard error of a difference of means, and its freedom."""
    parts = [float(side.var(ddof=1)) / len(side) for side in (one, other)]
    if not sum(parts) > 0:
        return 0.0, math.inf
    known = sum(v**2 / (len(s) - 1) for v, s in zip(parts, (one, other), strict=True))
    return math.sqrt(sum(parts)), sum(parts) ** 2 / known


def failures(before: Sequence[Trainings], after: Sequence[Trainings]) -> Question:
    """Fisher's one-sided test that more trainings fail than did."""
    failed, ended = (
        [sum(getattr(side, what) for side in sides) for sides in (before, after)]
        for what in ("failed", "ended")
    )
    p = float(stats.hypergeom.sf(failed[1] - 1, sum(ended), sum(failed), ended[1]))
    one, other = (f / max(1, e) for f, e in zip(failed, ended, strict=True))
    said = f"{failed[0]} of {ended[0]} before, {failed[1]} of {ended[1]} after"
    counts, scale = (ended[0], ended[1]), Scale("lower", "none")
    return Question(
        TOGETHER, FAILURES, one, other, other - one, other - one, 0.0, said, p, counts, scale
    )


def judged(question: Question, p: float, false_alarms: float) -> Question:
    held = question.bound <= question.margin
    verdict = "worse" if p < false_alarms else "held" if held else "undecided"
    return replace(question, p=p, verdict=verdict)
