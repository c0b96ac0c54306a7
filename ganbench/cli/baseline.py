"""The commands `baseline make|update|show`: the scores that later gates are compared with."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from .base import app, err, fail, out
from .gate_inputs import (
    DEFAULT_FALSE_ALARMS,
    BaselineFile,
    ImageSets,
    Kept,
    Lost,
    Real,
    TrainingPlace,
    Trust,
    What,
    baseline_path,
    evaluate_sets,
    explained_gate_stop,
    read_baseline,
    refuse_image_options,
    refuse_suite_options,
    single_argument,
    train_in_store,
)
from .options import Device, ExecutorName, InceptionWeights, Json, ProfileName, Workers
from .streams import print_json
from .trainings import read_suite
from .weights import require_weights_of_command

IMAGE_METRICS = "fid,kid"
Reason = Annotated[str, typer.Option(help="Reason, kept in the file.")]

app.add_typer(
    baselines := typer.Typer(no_args_is_help=True, help="Make, update or show a gate's baseline."),
    name="baseline",
)


@baselines.command()
def make(
    what: What,
    reason: Reason,
    baseline: BaselineFile = None,
    real: Real = None,
    metrics: Annotated[
        str | None, typer.Option(help="Metrics of images. Default: fid,kid.")
    ] = None,
    margin: Annotated[
        list[str] | None,
        typer.Option(help="Images need at least one: the margin of a tested metric, fid=0.1."),
    ] = None,
    extractor: Annotated[str | None, typer.Option(help="Extractor of images.")] = None,
    size: Annotated[int | None, typer.Option(help="Resize images to this side in pixels.")] = None,
    results: Kept = None,
    workers: Workers = None,
    executor: ExecutorName = "auto",
    device: Device = "auto",
    profile: ProfileName = None,
    lost: Lost = 0,
    trust: Trust = False,
    inception_weights: InceptionWeights = None,
) -> None:
    """Make the baseline of later gates.

    It holds the scores of a suite's trainings, or of images of at least 6 trainings. A baseline needs twice
    as many trainings as each gate, and a gate at least 3.
    """
    path = baseline_path(baseline, what, real)
    if path.exists():
        fail(f"{path} exists already: `ganbench baseline update` replaces it")
    place = TrainingPlace(results, workers, executor, device, profile)
    settings = {"metrics": metrics, "extractor": extractor, "size": size}
    if real is None:
        refuse_image_options(**settings, margin=margin, lost=lost)
    else:
        refuse_suite_options(place)
    terms = ImageTerms(margin or [], settings | {"metrics": metrics or IMAGE_METRICS})
    sets = None if real is None else ImageSets(what, real, lost, trust, device)
    write_baseline(NewBaseline(path, reason), what, place, sets, terms)


@baselines.command()
def update(
    what: What,
    reason: Reason,
    baseline: BaselineFile = None,
    real: Real = None,
    results: Kept = None,
    workers: Workers = None,
    executor: ExecutorName = "auto",
    device: Device = "auto",
    profile: ProfileName = None,
    lost: Lost = 0,
    trust: Trust = False,
    inception_weights: InceptionWeights = None,
) -> None:
    """Make a baseline again.

    The means of its predecessors are kept in it.
    """
    path = baseline_path(baseline, what, real)
    before = read_baseline(path)
    place = TrainingPlace(results, workers, executor, device, profile)
    if real is None:
        refuse_image_options(lost=lost)
    else:
        refuse_suite_options(place)
    margins = [f"{metric}={amount}" for metric, amount in before.margins.items()]
    sets = None if real is None else ImageSets(what, real, lost, trust, device)
    terms = ImageTerms(margins, before.settings)
    write_baseline(NewBaseline(path, reason, before), what, place, sets, terms)


@baselines.command(name="show")
def show_baseline(
    baseline: Annotated[Path, typer.Argument(help="Baseline file.")],
    suite: Annotated[str | None, typer.Option(help="Suite of the examined gate.")] = None,
    as_json: Json = False,
) -> None:
    """Show a baseline and the power of its gate."""
    from ganbench.ci.quality.summary import baseline_contents

    reference = read_baseline(baseline)
    with explained_gate_stop():
        content = baseline_contents(reference, *gate_settings(reference, suite))
    if as_json:
        return print_json(content)
    return print_baseline(reference, content)


@dataclass(frozen=True)
class NewBaseline:
    """The file and the reason of a new baseline, and the baseline that it replaces."""

    path: Path
    reason: str
    before: Any = None


@dataclass(frozen=True)
class ImageTerms:
    """The margins of the tested metrics, and the settings of the measurement of images."""

    margins: Sequence[str]  # fid=0.1
    settings: dict[str, Any]


def write_baseline(
    new: NewBaseline,
    what: list[str],
    place: TrainingPlace,
    sets: ImageSets | None,
    terms: ImageTerms,
) -> None:
    """Writes the baseline of a suite or, if there are real images, of image sets."""
    require_savable(new)
    with explained_gate_stop(sets.real if sets else None):
        if sets is None:
            write_suite_baseline(single_argument(what), new, place)
        else:
            write_image_baseline(sets, new, terms)


def require_savable(new: NewBaseline) -> None:
    """Ends the program before any training if the baseline could not be saved after it."""
    if not new.reason.strip():
        fail("--reason is empty: say why the baseline is made")
    path, folder = new.path, new.path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"{folder}: {error.strerror}")
    if not os.access(path if path.exists() else folder, os.W_OK):
        fail(f"{path} cannot be written: choose another --baseline")


def write_suite_baseline(suite: str, new: NewBaseline, place: TrainingPlace) -> None:
    from ganbench.ci.quality.training_runs import GateRun, make_suite_baseline, seeds_of_baseline

    read, name, chosen = read_suite(suite, place.device, place.profile)
    gate_run, before = GateRun.of(read, name, chosen, seeds_of_baseline(read, name)), new.before
    if before and (before.kind, before.name) != ("suite", read.name):
        fail(f"{new.path} is a baseline of {before.name}, not of the suite {read.name}")
    seeds = len(read.seeds_of(name))
    with train_in_store(gate_run, place, fresh=False) as (side, code):
        if code:
            fail(f"Trainings crashed: {new.path} was not written", code)
        save_baseline(new.path, make_suite_baseline(gate_run, side, seeds, new.reason, before))


def write_image_baseline(sets: ImageSets, new: NewBaseline, terms: ImageTerms) -> None:
    settings, before = terms.settings, new.before
    if before and before.kind != "images":
        fail(f"{new.path} is a baseline of the suite {before.name}, not of images")
    require_weights_of_command(settings["extractor"], "ganbench", *sets.fakes, sets.real)
    from ganbench.ci.quality.image_sets import (
        make_image_baseline,
        make_image_side,
        parse_margins,
        require_baseline_count,
    )
    from ganbench.devices import select_device

    margins, device = parse_margins(terms.margins, settings["metrics"]), select_device(sets.device)
    require_baseline_count(len(sets.fakes))
    evaluations = evaluate_sets(sets, settings)
    side = make_image_side(evaluations, sets.lost, device)
    if side.refusals:
        fail("\n".join(side.refusals))
    for note in side.notes:
        err.print_line(f"note: {note}")
    save_baseline(
        new.path,
        make_image_baseline(evaluations, side, margins, settings, device, new.reason, before),
    )


def save_baseline(path: Path, made_baseline: Any) -> None:
    """Writes a baseline, and prints it with the power of its gate and its path."""
    from ganbench.ci.quality.baseline import write_baseline_file
    from ganbench.ci.quality.summary import baseline_contents

    write_baseline_file(path, made_baseline)
    settings = gate_settings(made_baseline, None)
    print_baseline(made_baseline, baseline_contents(made_baseline, *settings))
    out.print_line(f"  {path}")


def print_baseline(reference: Any, content: dict[str, Any]) -> None:
    """Prints a baseline and the power of its gate."""
    from ganbench.ci.quality.summary import describe_baseline, format_power_table

    for line in describe_baseline(reference):
        out.print_line(line)
    table = format_power_table(content["power"], reference.features())
    out.print_line(table)


def gate_settings(reference: Any, suite: str | None) -> tuple[Any, float, int]:
    """Returns margins, false alarm rate and seeds of a gate, from its suite or its baseline."""
    from ganbench.ci.quality.training_runs import declared_gate

    if suite is None:
        return reference.margins, DEFAULT_FALSE_ALARMS, reference.gate
    read, name, _ = read_suite(suite, reference.device)
    if (reference.kind, reference.name) != ("suite", read.name):
        fail(f"the baseline is of {reference.name}, not of the suite {read.name}")
    terms = declared_gate(read)
    margins = {m: margin for m, margin in terms.margins.items() if m in reference.metrics}
    return margins, terms.false_alarms, len(read.seeds_of(name))
