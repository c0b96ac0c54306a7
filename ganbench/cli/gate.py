"""Commands of the quality gate: `gate` and `baseline make|update|show`."""

import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from ganbench.errors import NotDownloaded
from ganbench.experiments.suite_files import find_suite_file

from .base import (
    INTERRUPTED,
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
    trust_option,
)
from .run import executor_of, print_failures, read_suite
from .weights import require_weights_of_command

DEFAULT_FALSE_ALARMS = 0.01  # probability of a false alarm in all tests of a gate
SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"  # names the Markdown file that GitHub Actions shows

WHAT_ARGUMENT = typer.Argument(
    metavar="SUITE | IMAGES...",
    help="A suite. With --real: images, one argument per training.",
)
What = Annotated[list[str], WHAT_ARGUMENT]
Real = Annotated[str | None, typer.Option(help="Real images to measure the images against.")]
BaselineFile = Annotated[
    Path | None,
    typer.Option("--baseline", help="Baseline file. Default: x.baseline.json beside x.toml."),
]
Reason = Annotated[str, typer.Option(help="Reason, kept in the file.")]
Kept = Annotated[
    Path | None,
    typer.Option("--results", help="Keep the trainings here. Default: delete them."),
]
Lost = Annotated[int, typer.Option(min=0, help="Number of trainings that ended without images.")]
Trust = Annotated[
    bool,
    trust_option("Open exported networks, and local files of a suite, which can run code."),
]

app.add_typer(
    baselines := typer.Typer(no_args_is_help=True, help="Make, update or show a gate's baseline."),
    name="baseline",
)


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
    if not names and not lost:
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
                verdict = images_verdict(
                    names, real, reference, lost, trust, device, path, extractor
                )
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


@baselines.command()
def make(
    what: What,
    reason: Reason,
    baseline: BaselineFile = None,
    real: Real = None,
    metrics: Annotated[str, typer.Option(help="Metrics of images.")] = "fid,kid",
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
    settings = {"metrics": metrics, "extractor": extractor, "size": size}
    with ctrl_c_explained(real):
        if real is None:
            write_suite_baseline(
                single_argument(what),
                path,
                reason,
                None,
                TrainingPlace(results, workers, executor, device, profile),
            )
        else:
            write_image_baseline(
                what, real, path, reason, None, margin or [], settings, lost, trust, device
            )


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
    with ctrl_c_explained(real):
        if real is None:
            write_suite_baseline(
                single_argument(what),
                path,
                reason,
                before,
                TrainingPlace(results, workers, executor, device, profile),
            )
        else:
            margins = [f"{metric}={amount}" for metric, amount in before.margins.items()]
            write_image_baseline(
                what, real, path, reason, before, margins, before.settings, lost, trust, device
            )


@baselines.command(name="show")
def show_baseline(
    baseline: Annotated[Path, typer.Argument(help="Baseline file.")],
    suite: Annotated[str | None, typer.Option(help="Suite of the examined gate.")] = None,
    as_json: Json = False,
) -> None:
    """Show a baseline and the power of its gate."""
    from ganbench.ci.quality.summary import baseline_contents, describe_baseline, format_power_table

    reference = read_baseline(baseline)
    with ctrl_c_explained():
        content = baseline_contents(reference, *gate_settings(reference, suite))
    if as_json:
        return print_json(content)
    for line in describe_baseline(reference):
        out.print(line, markup=False, soft_wrap=True)
    return out.print(
        format_power_table(content["power"], reference.features()), markup=False, soft_wrap=True
    )


@dataclass(frozen=True)
class TrainingPlace:
    """Folder, workers, executor, device and profile of trainings."""

    results: Path | None
    workers: int | None
    executor: str
    device: str
    profile: str | None


def refuse_options(**given: Any) -> None:
    """Ends the program at an option of the other kind of gate."""
    for name, value in given.items():
        if value:
            kind = "images (--real)" if name in ("lost", "extractor") else "a suite"
            fail(f"--{name} is an option for {kind}")


@contextmanager
def ctrl_c_explained(real: str | None = None) -> Iterator[None]:
    """Prints the command again after Ctrl-C. Features of images are kept, trainings are not."""
    try:
        yield
    except KeyboardInterrupt:
        again = shlex.join(["ganbench", *sys.argv[1:]])
        end = "Extracted features are kept. To resume" if real else "To start again"
        fail(f"Stopped. {end}: {again}", INTERRUPTED)


def read_baseline(path: Path) -> Any:
    from ganbench.ci.quality.baseline import read_baseline_file

    return read_baseline_file(path)


def baseline_path(baseline: Path | None, what: Sequence[str], real: str | None) -> Path:
    """Returns the named file, or the one beside the suite."""
    if baseline is not None:
        return baseline
    if real is not None:
        fail("images need --baseline FILE")
    from ganbench.experiments.suite_loader import read_suite_text

    suite = find_suite_file(single_argument(what))
    read_suite_text(suite)  # raises SuiteError for a folder
    return suite.with_name(f"{suite.stem}.baseline.json")


def single_argument(what: Sequence[str]) -> str:
    if len(what) > 1:
        fail(f"give one suite, not {len(what)}; for images add --real")
    return what[0]


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


def write_suite_baseline(
    suite: str, path: Path, reason: str, before: Any, place: TrainingPlace
) -> None:
    from ganbench.ci.quality.baseline import write_baseline_file
    from ganbench.ci.quality.training_runs import GateRun, make_suite_baseline, seeds_of_baseline

    read, name, chosen = read_suite(suite, None, None, place.profile, place.device)
    gate_run = GateRun.of(read, name, chosen, seeds_of_baseline(read, name))
    if before and (before.kind, before.name) != ("suite", read.name):
        fail(f"{path} is a baseline of {before.name}, not of the suite {read.name}")
    side, code = train_in_store(gate_run, place, fresh=False)
    if code:
        fail(f"Trainings crashed: {path} was not written", code)
    made_baseline = make_suite_baseline(gate_run, side, len(read.seeds_of(name)), reason, before)
    write_baseline_file(path, made_baseline)
    print_baseline(path, made_baseline)


def train_in_store(gate_run: Any, place: TrainingPlace, fresh: bool) -> tuple[Any, int]:
    """Trains a gate run in a store of its own; returns its side and the exit code of crashes."""
    from ganbench.ci.quality.training_runs import train_gate_run
    from ganbench.experiments.signals import acknowledge_stop

    from .progress import RunProgress

    executor = executor_of(place.executor, place.workers, gate_run.device)
    store, code = prepare_store(place.results, fresh), 0
    try:
        with RunProgress(err) as progress, acknowledge_stop(progress.print_stopping):
            side, statuses = train_gate_run(gate_run, store, executor, progress.show)
        code = print_failures(statuses)
    finally:
        if place.results is None and not code:  # keep the logs of crashes
            shutil.rmtree(store, ignore_errors=True)
    return side, code


def prepare_store(folder: Path | None, fresh: bool) -> Path:
    """Returns the requested folder or a new one; raises if a gate's folder is not empty."""
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="ganbench-"))
    if fresh and folder.exists() and any(folder.iterdir()):
        fail(f"a gate trains in an empty store, but {folder} is not empty")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def images_verdict(
    fakes: Sequence[str],
    real: str,
    reference: Any,
    lost: int,
    trust: bool,
    device: str,
    path: Path,
    extractor: str | None,
) -> Any:
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
    require_weights_of_command(settings["extractor"], "ganbench", *fakes, real)
    chosen = select_device(device)
    check_sources(fakes, real)
    if reasons := count_refusals(len(fakes) + lost, reference):
        return refused_verdict([f"{path}: {reason}" for reason in reasons])
    if not fakes:
        lost_side = make_lost_side(lost, reference.margins, chosen)
        return decide_gate_verdict(reference, lost_side, reference.margins, DEFAULT_FALSE_ALARMS, 0)
    with ExtractionProgress(err) as progress, explaining_sizes(path):
        image_evaluations = evaluate_image_sets(
            fakes, real, True, progress.show, device=device, trust=trust, **settings
        )
    if reasons := image_refusals(image_evaluations, reference):
        return refused_verdict([f"{path}: {reason}" for reason in reasons])
    image_side = make_image_side(image_evaluations, lost, chosen)
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


def write_image_baseline(
    fakes: Sequence[str],
    real: str,
    path: Path,
    reason: str,
    before: Any,
    margins: Sequence[str],
    settings: dict[str, Any],
    lost: int,
    trust: bool,
    device: str,
) -> None:
    require_weights_of_command(settings["extractor"], "ganbench", *fakes, real)
    from ganbench.ci.quality.baseline import write_baseline_file
    from ganbench.ci.quality.image_sets import (
        evaluate_image_sets,
        make_image_baseline,
        make_image_side,
        parse_margins,
        require_baseline_count,
    )
    from ganbench.devices import select_device

    from .extraction_progress import ExtractionProgress

    if before and before.kind != "images":
        fail(f"{path} is a baseline of the suite {before.name}, not of images")
    allowed, chosen = parse_margins(margins, settings["metrics"]), select_device(device)
    require_baseline_count(len(fakes))
    with ExtractionProgress(err) as progress:
        image_evaluations = evaluate_image_sets(
            fakes, real, show=progress.show, device=device, trust=trust, **settings
        )
    image_side = make_image_side(image_evaluations, lost, chosen)
    made_baseline = make_image_baseline(
        image_evaluations, image_side, allowed, settings, chosen, reason, before
    )
    write_baseline_file(path, made_baseline)
    print_baseline(path, made_baseline)


def print_baseline(path: Path, made_baseline: Any) -> None:
    """Prints a baseline, the power of its gate, and its path."""
    from ganbench.ci.quality.summary import baseline_contents, describe_baseline, format_power_table

    for line in describe_baseline(made_baseline):
        out.print(line, markup=False, soft_wrap=True)
    content = baseline_contents(made_baseline, *gate_settings(made_baseline, None))
    out.print(
        format_power_table(content["power"], made_baseline.features()), markup=False, soft_wrap=True
    )
    out.print(f"  {path}", markup=False, soft_wrap=True)


def gate_settings(reference: Any, suite: str | None) -> tuple[Any, float, int]:
    """Returns margins, false alarm rate and seeds of a gate, from its suite or its baseline."""
    from ganbench.ci.quality.training_runs import declared_gate

    if suite is None:
        return reference.margins, DEFAULT_FALSE_ALARMS, reference.gate
    read, name, _ = read_suite(suite, None, None, None, reference.device)
    terms = declared_gate(read)
    margins = {m: margin for m, margin in terms.margins.items() if m in reference.metrics}
    return margins, terms.false_alarms, len(read.seeds_of(name))


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
