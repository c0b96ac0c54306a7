"""The command `gate`: tests the quality of a suite or of images against a baseline."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from ganbench.errors import NotDownloaded

from .base import (
    Device,
    ExecutorName,
    InceptionWeights,
    Json,
    ProfileName,
    VerdictFile,
    Workers,
    app,
    err,
    fail,
    out,
    print_json,
    report_write_errors,
    save_verdict,
)
from .gate_inputs import (
    DEFAULT_FALSE_ALARMS,
    WHAT_ARGUMENT,
    BaselineFile,
    ImageSets,
    Kept,
    Lost,
    Real,
    TrainingPlace,
    Trust,
    baseline_path,
    ctrl_c_explained,
    read_baseline,
    single_argument,
    train_in_store,
)
from .run import read_suite
from .weights import require_weights_of_command

SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"  # names the Markdown file that GitHub Actions shows


@app.command()
def gate(
    what: Annotated[list[str] | None, WHAT_ARGUMENT] = None,
    baseline: BaselineFile = None,
    real: Real = None,
    extractor: Annotated[
        str | None, typer.Option(help="Extractor of images. Default, and required: the baseline's.")
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Fail if any digit of a canary differs.")
    ] = False,
    block: Annotated[int, typer.Option(min=0, help="Block of seeds; 0: the suite's own.")] = 0,
    results: Kept = None,
    workers: Workers = None,
    executor: ExecutorName = "auto",
    device: Device = "auto",
    profile: ProfileName = None,
    lost: Lost = 0,
    trust: Trust = False,
    summary: Annotated[
        Path | None,
        typer.Option(envvar=SUMMARY_VARIABLE, help="Append a Markdown table to this file."),
    ] = None,
    history: Annotated[
        Path | None, typer.Option(help="Append the measured values to this file.")
    ] = None,
    inception_weights: InceptionWeights = None,
    as_json: Json = False,
    verdict_file: VerdictFile = None,
) -> None:
    """Test quality against a baseline.

    The methods of a suite are compared with their closed forms too, as by `ganbench check`. A gate needs
    at least 3 trainings (or seeds), and a baseline twice as many as the gate. Exit code 0: passed. 1: proven
    to be worse, or another method. 3: the gate cannot decide, and the reason is printed.
    """
    from ganbench.ci.quality.summary import gate_markdown, gate_record

    names = what or []
    if not names and not (real and lost):
        fail(
            "name a suite; or with --real the images of each training, and --lost for those without"
        )
    path, began = baseline_path(baseline, names, real), time.monotonic()
    reference = read_baseline(path)
    if real is None:
        refuse_options(lost=lost, extractor=extractor)
    else:
        refuse_options(exact=exact, block=block, results=results, workers=workers, profile=profile)
    with ctrl_c_explained(real):
        if real is None:
            place = TrainingPlace(results, workers, executor, device, profile)
            verdict = suite_verdict(single_argument(names), reference, exact, block, place)
        else:
            with naming_baseline(path):
                sets = ImageSets(names, real, lost, trust, device)
                verdict = images_verdict(sets, reference, path, extractor)
    seconds = time.monotonic() - began
    record = gate_record(verdict, reference, seconds)
    if as_json:
        print_json(record.to_json())
    else:
        print_gate_verdict(verdict, reference, seconds)
    save_verdict(verdict_file, record)
    with report_write_errors():
        if summary:
            with open(summary, "a", encoding="utf-8") as file:
                file.write(gate_markdown(verdict, reference))
        if history and verdict.tests:
            append_gate_history(history, verdict, reference)
    raise typer.Exit(verdict.exit_code)


def refuse_options(**given: Any) -> None:
    """Ends the program at an option of the other kind of gate."""
    for name, value in given.items():
        if value:
            kind = "images (--real)" if name in ("lost", "extractor") else "a suite"
            fail(f"--{name} is an option for {kind}")


def suite_verdict(suite: str, reference: Any, exact: bool, block: int, place: TrainingPlace) -> Any:
    """Trains a suite and returns its verdict; trains nothing if the baseline does not fit."""
    from ganbench.ci.methods.run_checks import cells_of_plan, check_methods
    from ganbench.ci.quality.training_runs import (
        GateRun,
        declared_gate,
        seeds_of_block,
        training_refusals,
    )
    from ganbench.ci.quality.verdict import decide_gate_verdict, refused_verdict

    read, name, chosen = read_suite(suite, None, None, place.profile, place.device)
    terms = declared_gate(read)
    gate_run = GateRun.of(read, name, chosen, seeds_of_block(read, name, block))
    if reasons := training_refusals(gate_run, reference):
        return refused_verdict(reasons)
    methods = check_methods(cells_of_plan(gate_run.plan), read.metrics)
    side, _ = train_in_store(gate_run, place, fresh=True)
    verdict = decide_gate_verdict(
        reference, side, terms.margins, terms.false_alarms, len(gate_run.seeds), exact
    )
    return replace(verdict, methods=methods, refusals=[*verdict.refusals, *methods.errors])


def images_verdict(sets: ImageSets, reference: Any, path: Path, extractor: str | None) -> Any:
    """Measures images with the baseline's settings and returns the verdict."""
    from ganbench.ci.quality.image_sets import (
        check_sources,
        count_refusals,
        evaluate_image_sets,
        image_refusals,
        make_image_side,
        make_lost_side,
        recorded_extractor,
    )
    from ganbench.ci.quality.verdict import decide_gate_verdict, refused_verdict
    from ganbench.devices import select_device

    from .extraction_progress import ExtractionProgress

    if reference.kind != "images":
        return refused_verdict(
            [f"{path} is a baseline of the suite {reference.name}, not of images"]
        )
    refuse_extractor(extractor, reference, path)
    # Other reals have another default extractor, and the baseline needs its own.
    settings = {**reference.settings, "extractor": recorded_extractor(reference) or None}
    require_weights_of_command(settings["extractor"], "ganbench", *sets.fakes, sets.real)
    chosen = select_device(sets.device)
    check_sources(sets.fakes, sets.real)
    if reasons := count_refusals(len(sets.fakes) + sets.lost, reference):
        return refused_verdict([f"{path}: {reason}" for reason in reasons])
    if not sets.fakes:
        lost_side = make_lost_side(sets.lost, reference.margins, chosen)
        return decide_gate_verdict(reference, lost_side, reference.margins, DEFAULT_FALSE_ALARMS, 0)
    with ExtractionProgress(err) as progress, explaining_sizes(path):
        image_evaluations = evaluate_image_sets(
            sets.fakes,
            sets.real,
            True,
            progress.show,
            device=sets.device,
            trust=sets.trust,
            **settings,
        )
    if reasons := image_refusals(image_evaluations, reference):
        return refused_verdict([f"{path}: {reason}" for reason in reasons])
    image_side = make_image_side(image_evaluations, sets.lost, chosen)
    return decide_gate_verdict(
        reference, image_side, reference.margins, DEFAULT_FALSE_ALARMS, len(image_evaluations)
    )


def refuse_extractor(extractor: str | None, reference: Any, path: Path) -> None:
    """Raises SpecError for an extractor that is not the baseline's."""
    if extractor is not None:
        from ganbench.ci.quality.image_sets import refuse_other_extractor

        refuse_other_extractor(extractor, reference, path)


@contextmanager
def naming_baseline(path: Path) -> Iterator[None]:
    """Gives the remedy of a gate for missing weights, since its baseline has the extractor."""
    from ganbench.evaluation.extractors.weight_files import OTHER_EXTRACTOR

    try:
        yield
    except NotDownloaded as error:
        other = f"a baseline made with {OTHER_EXTRACTOR}; {path} needs these weights"
        text = error.args[0].replace(OTHER_EXTRACTOR, other).replace(", no download", "")
        raise NotDownloaded(text, error.download) from error


@contextmanager
def explaining_sizes(path: Path) -> Iterator[None]:
    """Gives the remedy of a gate for images of other sizes, since it has no --size."""
    from ganbench.evaluation.pipeline import OtherSize

    try:
        yield
    except OtherSize as error:
        error.remedy = (
            f"{path} was made without --size. Resize the images, or make a baseline with --size"
        )
        raise


def append_gate_history(path: Path, verdict: Any, reference: Any) -> None:
    from ganbench.ci.history.records import append_records
    from ganbench.ci.quality.baseline import make_provenance
    from ganbench.ci.quality.summary import gate_history_entries

    append_records(
        path,
        gate_history_entries(verdict, reference, make_provenance("measured", reference.device)),
    )


def print_gate_verdict(verdict: Any, reference: Any, seconds: float) -> None:
    """Prints the table, its sentences and the verdict."""
    from ganbench.analysis.verdicts import CommandVerdict
    from ganbench.ci.quality.summary import (
        UNDECIDED_EXPLANATION,
        format_gate_table,
        gate_sentences,
        gate_table,
    )

    from .progress import format_clock

    if verdict.tests:
        out.print(
            format_gate_table(gate_table(verdict), reference.features()),
            markup=False,
            soft_wrap=True,
        )
    for line in gate_sentences(verdict, reference):
        out.print(line, markup=False, soft_wrap=True)
    if verdict.verdict is CommandVerdict.CANNOT_DECIDE:
        out.print(UNDECIDED_EXPLANATION, markup=False, soft_wrap=True)
    out.print(
        f"Gate {reference.name}: {verdict.verdict}, in {format_clock(seconds)}.", style="bold"
    )
