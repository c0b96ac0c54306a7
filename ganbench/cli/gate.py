"""Commands that guard quality: `gate` tests against a baseline, `baseline make|update|show` keeps one."""

import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from .base import (
    INTERRUPTED,
    Device,
    ExecutorName,
    InceptionWeights,
    Json,
    ProfileName,
    Workers,
    answer,
    app,
    err,
    fail,
    out,
    telling,
)
from .run import executor_of, read_suite, suite_path, told_failures

FALSE_ALARMS = 0.01  # of a gate with all its questions, where no suite declares it
SUMMARY = "GITHUB_STEP_SUMMARY"  # where GitHub Actions shows Markdown from

What = Annotated[
    list[str],
    typer.Argument(
        metavar="SUITE | IMAGES...",
        help="A suite; or with --real the images of one training each, of any source that eval takes.",
    ),
]
Real = Annotated[str | None, typer.Option(help="The reals, if images are measured.")]
BaselineFile = Annotated[
    Path | None,
    typer.Option("--baseline", help="Its file; beside a suite x.toml it is x.baseline.json."),
]
Reason = Annotated[str, typer.Option(help="Why; it is kept in the file.")]
Kept = Annotated[
    Path | None,
    typer.Option("--results", help="Keep the trainings here; otherwise they are thrown away."),
]
Lost = Annotated[int, typer.Option(min=0, help="How many trainings ended without images.")]
Trust = Annotated[bool, typer.Option("--trust", help="Open exported networks, which can run code.")]

app.add_typer(
    baselines := typer.Typer(no_args_is_help=True, help="Make, update or show a gate's baseline."),
    name="baseline",
)


@app.command()
def gate(
    what: What,
    baseline: BaselineFile = None,
    real: Real = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Fail too if any digit of the canaries differs.")
    ] = False,
    block: Annotated[
        int, typer.Option(min=0, help="Which block of seeds: 0 are the suite's own.")
    ] = 0,
    results: Kept = None,
    workers: Workers = None,
    executor: ExecutorName = "auto",
    device: Device = "auto",
    profile: ProfileName = None,
    lost: Lost = 0,
    trust: Trust = False,
    summary: Annotated[
        Path | None,
        typer.Option(envvar=SUMMARY, help="Append a table in Markdown to this file."),
    ] = None,
    history: Annotated[
        Path | None, typer.Option(help="Append what was measured to this file.")
    ] = None,
    inception_weights: InceptionWeights = None,
    as_json: Json = False,
) -> None:
    """Test trainings against a baseline: 0 passed, 1 proven to be worse, 3 cannot decide."""
    from ganbench.ci.quality.summary import markdown, record

    path, began = placed(baseline, what, real), time.monotonic()
    known = baseline_of(path)
    if real is None:
        refuse_options(lost=lost, trust=trust)
    else:
        refuse_options(exact=exact, block=block, results=results, workers=workers, profile=profile)
    with refusing():
        if real is None:
            place = Place(results, workers, executor, device, profile)
            found = of_suite(single(what), known, exact, block, place)
        else:
            found = of_images(what, real, known, lost, trust, device)
    seconds = time.monotonic() - began
    answer(record(found, known) | {"seconds": round(seconds, 1)}) if as_json else show(
        found, known, seconds
    )
    with telling():
        if summary:
            with open(summary, "a", encoding="utf-8") as file:
                file.write(markdown(found, known))
        if history and found.questions:
            remember(history, found, known)
    raise typer.Exit(found.code)


@baselines.command()
def make(
    what: What,
    reason: Reason,
    baseline: BaselineFile = None,
    real: Real = None,
    metrics: Annotated[str, typer.Option(help="Of images: what is measured.")] = "fid,kid",
    margin: Annotated[
        list[str] | None, typer.Option(help="Of images: how much worse a metric may become.")
    ] = None,
    extractor: Annotated[str | None, typer.Option(help="Of images: what looks at them.")] = None,
    size: Annotated[int | None, typer.Option(help="Of images: pixels a side.")] = None,
    results: Kept = None,
    workers: Workers = None,
    executor: ExecutorName = "auto",
    device: Device = "auto",
    profile: ProfileName = None,
    lost: Lost = 0,
    trust: Trust = False,
    inception_weights: InceptionWeights = None,
) -> None:
    """Train a suite, or measure images, as what later gates are tested against."""
    path = placed(baseline, what, real)
    if path.exists():
        fail(f"{path} is there already: `ganbench baseline update` makes it anew")
    settings = {"metrics": metrics, "extractor": extractor, "size": size}
    with refusing():
        if real is None:
            keep_suite(
                single(what), path, reason, None, Place(results, workers, executor, device, profile)
            )
        else:
            keep_images(what, real, path, reason, None, margin or [], settings, lost, trust, device)


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
    """Make a baseline anew; what its predecessors said is kept in it."""
    path = placed(baseline, what, real)
    before = baseline_of(path)
    with refusing():
        if real is None:
            keep_suite(
                single(what),
                path,
                reason,
                before,
                Place(results, workers, executor, device, profile),
            )
        else:
            margins = [f"{metric}={amount}" for metric, amount in before.margins.items()]
            keep_images(
                what, real, path, reason, before, margins, before.settings, lost, trust, device
            )


@baselines.command(name="show")
def show_baseline(
    baseline: Annotated[Path, typer.Argument(help="The file of a baseline.")],
    suite: Annotated[
        str | None, typer.Option(help="The suite, for what its gate would catch.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say how a baseline was made, what it holds, and what a gate against it would catch."""
    from ganbench.ci.quality.summary import about, holdings, power_table

    known = baseline_of(baseline)
    with refusing():
        told = holdings(known, *terms_of(known, suite))
    if as_json:
        return answer(told)
    for line in about(known):
        out.print(line, markup=False, soft_wrap=True)
    return out.print(power_table(told["power"]), markup=False, soft_wrap=True)


@dataclass(frozen=True)
class Place:
    """Where and how trainings are done."""

    results: Path | None
    workers: int | None
    executor: str
    device: str
    profile: str | None


def refuse_options(**given: Any) -> None:
    """Ends the program if something was given that belongs to the other kind of gate."""
    for name, value in given.items():
        if value:
            kind = "images, which --real is for" if name in ("lost", "trust") else "a suite"
            fail(f"--{name} is of {kind}")


@contextmanager
def refusing() -> Iterator[None]:
    """Ctrl-C ends the program with the command that begins again."""
    try:
        yield
    except KeyboardInterrupt:
        again = shlex.join(["ganbench", *sys.argv[1:]])
        fail(f"Stopped. To begin again: {again}", INTERRUPTED)


def baseline_of(path: Path) -> Any:
    from ganbench.ci.quality.baseline import read

    return read(path)


def placed(baseline: Path | None, what: Sequence[str], real: str | None) -> Path:
    """The file that was named, or the one beside the suite."""
    if baseline is not None:
        return baseline
    if real is not None:
        fail("images have no place for a baseline: name its file by --baseline")
    suite = suite_path(single(what))
    return suite.with_name(f"{suite.stem}.baseline.json")


def single(what: Sequence[str]) -> str:
    if len(what) > 1:
        fail(f"one suite is trained, not {len(what)}; images need --real, the reals")
    return what[0]


def of_suite(suite: str, known: Any, exact: bool, block: int, place: Place) -> Any:
    """The verdict of a suite's trainings; nothing is trained that the baseline does not speak of."""
    from ganbench.ci.quality.training_runs import Course, declared, refusals, seeds_of_block
    from ganbench.ci.quality.verdict import refused, verdict

    read, name, chosen = read_suite(suite, None, None, place.profile, place.device)
    terms = declared(read)
    course = Course.of(read, name, chosen, seeds_of_block(read, name, block))
    if reasons := refusals(course, known):
        return refused(reasons)
    side, _ = carried_out(course, place, fresh=True)
    return verdict(known, side, terms.margins, terms.false_alarms, len(course.seeds), exact)


def keep_suite(suite: str, path: Path, reason: str, before: Any, place: Place) -> None:
    from ganbench.ci.quality.baseline import write
    from ganbench.ci.quality.training_runs import Course, baseline, seeds_of_baseline

    read, name, chosen = read_suite(suite, None, None, place.profile, place.device)
    course = Course.of(read, name, chosen, seeds_of_baseline(read, name))
    if before and (before.kind, before.name) != ("suite", read.name):
        fail(f"{path} is a baseline of {before.name}, and not of the suite {read.name}")
    side, code = carried_out(course, place, fresh=False)
    if code:
        fail(f"Trainings crashed: {path} is not written", code)
    found = baseline(course, side, len(read.seeds_of(name)), reason, before)
    write(path, found)
    kept(path, found)


def carried_out(course: Any, place: Place, fresh: bool) -> tuple[Any, int]:
    """Trains a course in its own store; names what crashed, and where its log is: the code of that."""
    from ganbench.ci.quality.training_runs import trained

    from .progress import Progress

    executor = executor_of(place.executor, place.workers, course.device)
    store, code = store_at(place.results, fresh), 0
    try:
        with Progress(err) as progress:
            side, statuses = trained(course, store, executor, progress.show)
        code = told_failures(statuses)
    finally:
        if place.results is None and not code:  # logs of what crashed stay
            shutil.rmtree(store, ignore_errors=True)
    return side, code


def store_at(folder: Path | None, fresh: bool) -> Path:
    """The folder that was asked for, or a new one. A gate's must be fresh."""
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="ganbench-"))
    if fresh and folder.exists() and any(folder.iterdir()):
        fail(f"a gate trains in a fresh store, and {folder} is not empty")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def of_images(
    fakes: Sequence[str], real: str, known: Any, lost: int, trust: bool, device: str
) -> Any:
    """The verdict of images, which are measured as the baseline's were."""
    from ganbench.ci.quality.image_sets import evaluations, refusals, side
    from ganbench.ci.quality.verdict import refused, verdict
    from ganbench.devices import select_device

    if known.kind != "images":
        return refused([f"it is a baseline of the suite {known.name}, and not of images"])
    chosen, settings = select_device(device), known.settings
    found = evaluations(fakes, real, device=device, trust=trust, **settings)
    if reasons := refusals(found, known, lost):
        return refused(reasons)
    here = side(found, lost, chosen)
    return verdict(known, here, known.margins, FALSE_ALARMS, len(found))


def keep_images(
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
    from ganbench.ci.quality.baseline import write
    from ganbench.ci.quality.image_sets import baseline, evaluations, margins_of, side
    from ganbench.devices import select_device

    if before and before.kind != "images":
        fail(f"{path} is a baseline of the suite {before.name}, and not of images")
    allowed, chosen = margins_of(margins, settings["metrics"]), select_device(device)
    found = evaluations(fakes, real, device=device, trust=trust, **settings)
    here = side(found, lost, chosen)
    made = baseline(found, here, allowed, settings, chosen, reason, before)
    write(path, made)
    kept(path, made)


def kept(path: Path, made: Any) -> None:
    """Says what was written, and what gates against it will catch."""
    from ganbench.ci.quality.summary import about, holdings, power_table

    for line in about(made):
        out.print(line, markup=False, soft_wrap=True)
    told = holdings(made, *terms_of(made, None))
    out.print(power_table(told["power"]), markup=False, soft_wrap=True)
    out.print(f"  {path}", markup=False, soft_wrap=True)


def terms_of(known: Any, suite: str | None) -> tuple[Any, float, int]:
    """Margins, false alarms and seeds of a gate: as a suite declares them, or else the baseline."""
    from ganbench.ci.quality.training_runs import declared

    if suite is None:
        return known.margins, FALSE_ALARMS, known.gate
    read, name, _ = read_suite(suite, None, None, None, known.device)
    terms = declared(read)
    margins = {m: margin for m, margin in terms.margins.items() if m in known.metrics}
    return margins, terms.false_alarms, len(read.seeds_of(name))


def remember(path: Path, found: Any, known: Any) -> None:
    from ganbench.ci.history.records import append
    from ganbench.ci.quality.baseline import made
    from ganbench.ci.quality.summary import entries

    append(path, entries(found, known, made("measured", known.device)))


def show(found: Any, known: Any, seconds: float) -> None:
    """The sentences, the table, the word."""
    from ganbench.ci.quality.summary import sentences, table, text_table

    from .progress import clock

    if found.questions:
        out.print(text_table(table(found)), markup=False, soft_wrap=True)
    for line in sentences(found, known):
        out.print(line, markup=False, soft_wrap=True)
    out.print(f"Gate {known.name}: {found.word}, in {clock(seconds)}.", style="bold")
