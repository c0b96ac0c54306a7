"""Gates for any GAN, from the generated images of each training (see `ganbench eval`)."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

from ganbench.counts import count_of
from ganbench.data.image_decoding import Unreadable
from ganbench.data.image_files import SKIP_FLAG
from ganbench.evaluation.evaluate import evaluate, metric_labels_of
from ganbench.evaluation.extractors import EXTRACTORS
from ganbench.evaluation.inputs.image_folder import FolderSource
from ganbench.evaluation.inputs.resolve import refuse_missing_sources
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.pipeline import Show, check_count
from ganbench.evaluation.result import Evaluation, EvaluationProtocol
from ganbench.registry import SpecError

from .baseline import (
    IMAGES_CELL,
    Baseline,
    CellRecord,
    FloorRecord,
    digit_conditions,
    list_version_differences,
    make_provenance,
    metric_facts_record,
    previous_baselines,
    protocol_fields_of,
)
from .hypothesis_tests import MIN_TRAININGS_PER_TEST, CellTrainings
from .verdict import MIN_BASELINE_RATIO, MIN_BASELINE_TRAININGS, MeasuredSide

FAKES_REMEDY = "Name the images of each training; of one that ended without images, leave them out and add --lost 1"
LARGEST_MARGIN = 1_000_000
Settings = Mapping[Any, Any]  # arguments of `evaluate`


def parse_margins(texts: Sequence[str], metrics: str) -> dict[str, float]:
    """Parses margins like `fid=0.25`; raises SpecError for invalid or unmeasured metrics."""
    margins, measured = {}, metric_labels_of(metrics)
    for text in texts:
        metric, margin = split_margin(text)
        METRICS.make(metric)
        if METRICS.label(metric) not in measured:
            raise SpecError(f"--margin {text}: {metric} is not among --metrics {metrics}")
        margins[METRICS.label(metric)] = parse_margin(text, margin)
    if not margins:
        raise SpecError("give the margin by which a metric may become worse: --margin fid=0.25")
    return margins


def split_margin(text: str) -> tuple[str, str]:
    """Returns metric and amount of `fid=0.25`; raises SpecError for a text without an amount."""
    metric, equals, margin = text.rpartition("=")
    if not equals or ")" in margin:
        raise margin_error(text, text.rstrip("= "))
    if not metric.strip():
        raise margin_error(text, "fid")
    return metric, margin


def parse_margin(text: str, margin: str) -> float:
    """Returns the amount of a margin; raises SpecError for one that is no possible number."""
    try:
        amount = float(margin)
    except ValueError:
        amount = -1.0
    if not 0 < amount < float("inf"):
        raise margin_error(text, text.rpartition("=")[0])
    if amount > LARGEST_MARGIN:
        raise SpecError(f"--margin {text}: write an amount of at most {LARGEST_MARGIN:,}")
    return amount


def margin_error(text: str, metric: str) -> SpecError:
    return SpecError(
        f"--margin {text}: write metric=amount with an amount above 0, such as {metric}=0.25; "
        "for metrics like FID, 0.25 allows 25% more"
    )


def evaluate_image_sets(
    fakes: Sequence[str],
    real: str,
    collapse_allowed: bool = False,
    show: Show | None = None,
    **settings: Any,
) -> list[Evaluation]:
    """Evaluates the images of each training against the real images.

    Missing and small folders are found first. Raises the errors of `evaluate`, and SpecError if two
    trainings are the same images. With
    `collapse_allowed`, two collapsed trainings may have the same images. Phases of the progress have
    the number of their training: `2/6 fakes`.
    """
    refuse_repeated_sources(fakes)
    check_sources(fakes, real)
    evaluations: list[Evaluation] = []
    for number, fake in enumerate(fakes, 1):
        numbered = show and partial(show_numbered, show, f"{number}/{len(fakes)}")
        with explaining_broken_images():
            evaluations.append(evaluate(fake, real, show=numbered, **settings))
        for other in evaluations[:-1]:
            if has_same_values(evaluations[-1], other) and not (
                collapse_allowed and is_collapsed(other) and is_collapsed(evaluations[-1])
            ):
                raise SpecError(f"{fake} and {other.fake} are the same images: one training each")
    return evaluations


@contextmanager
def explaining_broken_images() -> Iterator[None]:
    """Gives the remedy of gates and baselines for images that cannot be read."""
    try:
        yield
    except Unreadable as error:
        if SKIP_FLAG not in str(error):
            raise
        raise Unreadable(without_skip_flag(str(error))) from error


def without_skip_flag(text: str) -> str:
    """Replaces the remedy of `eval`: gates compare equal counts, so they skip no image."""
    text = re.sub(
        rf"\. {SKIP_FLAG} leaves (it|them) out", r". No gate skips images: replace \1", text
    )
    return text.replace(f", or skip such files with {SKIP_FLAG}", "")


def show_numbered(show: Show, prefix: str, phase: str, done: int, total: int) -> None:
    show(f"{prefix} {phase}", done, total)


def check_sources(fakes: Sequence[str], real: str) -> None:
    """Raises Unreadable, before any measuring, for missing sources and folders of few images."""
    faults = [source_fault(fake, "images of a training", FAKES_REMEDY) for fake in fakes]
    faults.append(source_fault(real, "--real", "--real names the real images"))
    if any(faults):
        raise Unreadable("\n".join(filter(None, faults)))


def source_fault(text: str, key: str, remedy: str) -> str:
    """Returns key, fault and remedy of a missing source or of few images, or an empty text."""
    if Path(text).suffix == ".toml":
        return f"{key}: {text} is a suite. Leave out --real for the gate of a suite"
    try:
        refuse_missing_sources(text)
        if Path(text).is_dir():
            source = FolderSource(text)
            check_count(source, len(source))
    except Unreadable as error:
        fault = without_skip_flag(str(error))
        return f"{key}: {fault}{'' if fault.endswith('?') else '.'} {remedy}"
    return ""


def refuse_repeated_sources(fakes: Sequence[str]) -> None:
    """Raises SpecError if two sources are the same file, folder or function."""
    for one, other in combinations(fakes, 2):
        if one == other or (Path(one).exists() and Path(one).resolve() == Path(other).resolve()):
            raise SpecError(f"{one} and {other} are the same images: one training each")


def has_same_values(one: Evaluation, other: Evaluation) -> bool:
    """Returns whether two evaluations have values, and all of them are equal."""
    values = [[row.value for row in evaluation.rows] for evaluation in (one, other)]
    return values[0] == values[1] and any(value is not None for value in values[0])


def is_collapsed(evaluation: Evaluation) -> bool:
    """Returns whether at least half of the images are copies of others.

    Different trainings may collapse to the same images, such as all black ones.
    """
    return evaluation.copies > 0 and 2 * evaluation.copies >= evaluation.terms.fakes


def make_image_side(evaluations: Sequence[Evaluation], lost: int, device: str) -> MeasuredSide:
    """Returns a side from evaluations. `lost` trainings without images count as failed."""
    metrics = [row.metric for row in evaluations[0].rows]
    values = {m: [value_or_none(each, m) for each in evaluations] for m in metrics}
    readings = {
        row.metric: FloorRecord(value=row.floor, error=row.floor_standard_error)
        for row in evaluations[0].rows
        if row.floor is not None
    }
    trainings = {IMAGES_CELL: CellTrainings(len(evaluations) + lost, lost, values)}
    return MeasuredSide(
        trainings,
        {IMAGES_CELL: readings},
        conditions=digit_conditions(device),
        refusals=[copies_refusal(each) for each in evaluations if is_mostly_copied(each)],
        notes=[copies_note(each) for each in evaluations if is_partly_copied(each)],
    )


def is_mostly_copied(evaluation: Evaluation) -> bool:
    """Returns whether more than half of the images are copies of the real images."""
    return 2 * evaluation.shared > evaluation.terms.fakes


def is_partly_copied(evaluation: Evaluation) -> bool:
    return evaluation.shared > 0 and not is_mostly_copied(evaluation)


def copies_note(evaluation: Evaluation) -> str:
    shared, fakes = f"{evaluation.shared:,}", count_of(evaluation.terms.fakes, "image")
    return f"{evaluation.fake}: {shared} of {fakes} have the same pixels as one of the reals"


def copies_refusal(evaluation: Evaluation) -> str:
    return f"{copies_note(evaluation)}. Pass images that a training generated"


def make_lost_side(lost: int, metrics: Iterable[str], device: str) -> MeasuredSide:
    """Returns a side in which every training ended without images."""
    trainings = {IMAGES_CELL: CellTrainings(lost, lost, {metric: [] for metric in metrics})}
    return MeasuredSide(trainings, conditions=digit_conditions(device))


def value_or_none(evaluation: Evaluation, metric: str) -> float | None:
    return next(row.value for row in evaluation.rows if row.metric == metric)


def make_image_baseline(
    evaluations: Sequence[Evaluation],
    image_side: MeasuredSide,
    margins: Mapping[str, float],
    settings: Settings,
    device: str,
    reason: str,
    before: Baseline | None = None,
) -> Baseline:
    """Returns a baseline of these evaluations."""
    terms, trainings = require_one_protocol(evaluations), image_side.trainings[IMAGES_CELL]
    record = CellRecord(
        protocol=terms.id,
        ended=trainings.ended,
        failed=trainings.failed,
        values=trainings.values,
    )
    return Baseline(
        kind="images",
        name=evaluations[0].real,
        made=make_provenance(reason, device),
        device=device,
        metrics={row.metric: metric_facts_record(row.metric) for row in evaluations[0].rows},
        margins=dict(margins),
        gate=max(1, trainings.ended // MIN_BASELINE_RATIO),
        settings=dict(settings),
        protocols={terms.id: str(terms)},
        protocol_fields={terms.id: protocol_fields_of(record_of(terms))},
        cells={IMAGES_CELL: record},
        floors={data: dict(floors) for data, floors in image_side.floors.items()},
        earlier=previous_baselines(before),
    )


def require_one_protocol(evaluations: Sequence[Evaluation]) -> Any:
    """Returns the common protocol; raises SpecError if the evaluations have several protocols."""
    terms = {each.terms.id: each for each in evaluations}
    if len(terms) > 1:
        one, other, *_ = terms.values()
        raise SpecError(
            f"{one.fake} was measured by {one.terms}, but {other.fake} by {other.terms}"
        )
    return evaluations[0].terms


def require_baseline_count(count: int) -> None:
    """Raises SpecError, before any measuring, if no gate could use so few trainings."""
    if count < MIN_BASELINE_TRAININGS:
        raise SpecError(
            f"a baseline needs the images of at least {count_of(MIN_BASELINE_TRAININGS, 'training')}, but "
            f"there are {count}: a gate needs {MIN_TRAININGS_PER_TEST}, and a baseline "
            f"{MIN_BASELINE_RATIO} for each of them"
        )


def count_refusals(count: int, baseline: Baseline) -> list[str]:
    """Returns the reasons against a gate of so many trainings, which need no measuring."""
    reasons = list(list_version_differences(baseline, baseline.margins))
    if count < MIN_TRAININGS_PER_TEST:
        reasons.append(f"a test needs {MIN_TRAININGS_PER_TEST} trainings, but there are {count}")
    if baseline.smallest_count() < MIN_BASELINE_RATIO * count:
        reasons.append(
            f"it has {count_of(baseline.smallest_count(), 'training')}, but {MIN_BASELINE_RATIO} are needed for each "
            f"of the {count} of the gate"
        )
    return reasons


def image_refusals(evaluations: Sequence[Evaluation], baseline: Baseline) -> list[str]:
    """Returns the reasons why images and baseline are not comparable; empty if they are."""
    record, now = baseline.cells[IMAGES_CELL], require_one_protocol(evaluations)
    reasons = []
    if now.id != record.protocol:
        change = baseline.describe_protocol_change(record.protocol, record_of(now))
        reasons.append(
            f"{change} (--real is {evaluations[0].real}, and the baseline's real images are "
            f"{baseline.name})"
        )
    return reasons + [
        f"{e.fake} are images of the baseline itself"
        for e in evaluations
        if has_baseline_values(e, record)
    ]


def recorded_extractor(baseline: Baseline) -> str:
    """Returns the extractor that made a baseline of images, or an empty text of an old one."""
    fields = baseline.protocol_fields.get(baseline.cells[IMAGES_CELL].protocol, {})
    return str(fields.get("extractor") or baseline.settings.get("extractor") or "")


def refuse_other_extractor(given: str | None, baseline: Baseline, file: Path) -> None:
    """Raises SpecError for an extractor that is not the baseline's."""
    made = recorded_extractor(baseline)
    if given and EXTRACTORS.label(given) != made:
        raise SpecError(
            f"--extractor {given}: {file} was made with {made or 'the default extractor'}, which its gates use. "
            f"Leave --extractor out, or make another baseline with --extractor {given}"
        )


def record_of(terms: EvaluationProtocol) -> dict[str, Any]:
    return {"id": terms.id, "text": str(terms), **asdict(terms)}


def has_baseline_values(evaluation: Evaluation, record: CellRecord) -> bool:
    """Returns whether all values equal values of the baseline to the last digit.

    Collapsed trainings do not count: one of the baseline may have the same images.
    """
    values = {row.metric: row.value for row in evaluation.rows if row.value is not None}
    return (
        bool(values)
        and not is_collapsed(evaluation)
        and all(v in record.values.get(m, ()) for m, v in values.items())
    )
