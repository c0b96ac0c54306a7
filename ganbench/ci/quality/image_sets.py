"""Gates of anybody's GAN: the images of each training, of whatever source `ganbench eval` takes."""

from collections.abc import Mapping, Sequence
from typing import Any

from ganbench.evaluation.evaluate import evaluate, labels
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.result import Evaluation
from ganbench.registry import SpecError

from .baseline import (
    IMAGES,
    Baseline,
    CellRecord,
    Floor,
    conditions,
    facts,
    made,
    remembered,
    versions_differ,
)
from .hypothesis_tests import FEWEST, Trainings
from .verdict import LEAST_RATIO, Side

CELL = IMAGES
Settings = Mapping[Any, Any]  # of `evaluate`


def margins_of(texts: Sequence[str], metrics: str) -> dict[str, float]:
    """`fid=0.25` as a metric and its margin; raises SpecError for what is none, or is not measured."""
    found, measured = {}, labels(metrics)
    for text in texts:
        metric, _, margin = text.rpartition("=")
        METRICS.make(metric)
        if METRICS.label(metric) not in measured:
            raise SpecError(f"--margin {text}: {metric} is not among --metrics {metrics}")
        found[METRICS.label(metric)] = margin_of(text, margin)
    if not found:
        raise SpecError("say how much worse a metric may become: --margin fid=0.25")
    return found


def margin_of(text: str, margin: str) -> float:
    try:
        found = float(margin)
    except ValueError:
        found = -1.0
    if not 0 < found < float("inf"):
        raise SpecError(f"--margin {text}: write metric=amount, as in fid=0.25, the amount above 0")
    return found


def evaluations(fakes: Sequence[str], real: str, **settings: Any) -> list[Evaluation]:
    """Of each training's images; raises what `evaluate` does, and SpecError for the same ones twice."""
    found: list[Evaluation] = []
    for fake in fakes:
        found.append(evaluate(fake, real, **settings))
        values = [row.value for row in found[-1].rows]
        for other in found[:-1]:
            if values == [row.value for row in other.rows] and any(v is not None for v in values):
                raise SpecError(f"{fake} and {other.fake} are the same images: one training each")
    return found


def side(found: Sequence[Evaluation], lost: int, device: str) -> Side:
    """What these measured, and how many trainings ended without images."""
    metrics = [row.metric for row in found[0].rows]
    values = {m: [value(each, m) for each in found] for m in metrics}
    known = {
        row.metric: Floor(value=row.floor, error=row.floor_standard_error)
        for row in found[0].rows
        if row.floor is not None
    }
    trainings = {CELL: Trainings(len(found) + lost, lost, values)}
    return Side(trainings, {CELL: known}, conditions=conditions(device))


def value(found: Evaluation, metric: str) -> float | None:
    return next(row.value for row in found.rows if row.metric == metric)


def baseline(
    found: Sequence[Evaluation],
    here: Side,
    margins: Mapping[str, float],
    settings: Settings,
    device: str,
    reason: str,
    before: Baseline | None = None,
) -> Baseline:
    """What was measured, as a baseline."""
    terms, trainings = one_protocol(found), here.trainings[CELL]
    record = CellRecord(
        protocol=terms.id,
        ended=trainings.ended,
        failed=trainings.failed,
        values=trainings.values,
    )
    return Baseline(
        kind="images",
        name=found[0].real,
        made=made(reason, device),
        device=device,
        metrics={row.metric: facts(row.metric) for row in found[0].rows},
        margins=dict(margins),
        gate=max(1, trainings.ended // LEAST_RATIO),
        settings=dict(settings),
        protocols={terms.id: str(terms)},
        cells={CELL: record},
        floors={data: dict(floors) for data, floors in here.floors.items()},
        earlier=remembered(before),
    )


def one_protocol(found: Sequence[Evaluation]) -> Any:
    """The terms of all; raises SpecError if they were measured by more than one."""
    terms = {each.terms.id: each for each in found}
    if len(terms) > 1:
        one, other, *_ = terms.values()
        raise SpecError(f"{one.fake} is measured by {one.terms}, and {other.fake} by {other.terms}")
    return found[0].terms


def refusals(found: Sequence[Evaluation], baseline: Baseline, lost: int) -> list[str]:
    """Why this baseline does not speak of these images, in sentences; none if it does."""
    record, count = baseline.cells[CELL], len(found) + lost
    told = list(versions_differ(baseline, baseline.margins))
    if (now := one_protocol(found)).id != record.protocol:
        told.append(f"measured by {baseline.protocols[record.protocol]}, and now by {now}")
    if count < FEWEST:
        told.append(f"a test needs {FEWEST} trainings, and these are {count}")
    if baseline.count() < LEAST_RATIO * count:
        told.append(
            f"it has {baseline.count()} trainings, and {LEAST_RATIO} are needed for each of "
            f"the {count} of the gate"
        )
    return told + [f"{e.fake} are images of the baseline itself" for e in found if known(e, record)]


def known(found: Evaluation, record: CellRecord) -> bool:
    """Has it the baseline's values to the last digit?"""
    values = {row.metric: row.value for row in found.rows if row.value is not None}
    return bool(values) and all(v in record.values.get(m, ()) for m, v in values.items())
