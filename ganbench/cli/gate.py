"""The command `gate`: tests the quality of a suite or of images against a baseline."""

import time
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any

import typer

from .base import app, fail, out
from .gate_inputs import (
    WHAT_ARGUMENT,
    BaselineFile,
    ImageSets,
    Kept,
    Lost,
    Real,
    TrainingPlace,
    Trust,
    baseline_path,
    explained_gate_stop,
    read_baseline,
    refuse_image_options,
    refuse_suite_options,
    single_argument,
    train_in_store,
)
from .image_gate import images_verdict
from .options import (
    Device,
    ExecutorName,
    InceptionWeights,
    Json,
    ProfileName,
    VerdictFile,
    Workers,
    refuse_folder,
)
from .streams import print_json
from .trainings import read_suite
from .verdict_output import append_text, end_with_files, save_verdict

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
        typer.Option(
            envvar=SUMMARY_VARIABLE,
            callback=refuse_folder,
            help="Append a Markdown table to this file.",
        ),
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(callback=refuse_folder, help="Append the measured values to this file."),
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
    names = what or []
    require_trainings(names, real, lost)
    path, began = baseline_path(baseline, names, real), time.monotonic()
    reference = read_baseline(path)
    place = TrainingPlace(results, workers, executor, device, profile)
    with explained_gate_stop(real):
        if real is None:
            refuse_image_options(lost=lost, extractor=extractor)
            verdict = suite_verdict(single_argument(names), reference, exact, block, place)
        else:
            refuse_suite_options(place, exact=exact, block=block)
            sets = ImageSets(names, real, lost, trust, device)
            verdict = images_verdict(sets, reference, path, extractor)
    answer = GateAnswer(verdict, reference, time.monotonic() - began)
    answer.show(as_json)
    end_with_files(
        verdict.exit_code,
        partial(save_verdict, verdict_file, answer.record),
        partial(answer.append_summary, summary),
        partial(answer.append_history, history),
    )


def require_trainings(names: list[str], real: str | None, lost: int) -> None:
    """Ends the program if a gate has nothing to measure."""
    if not names and not (real and lost):
        fail(
            "name a suite; or with --real the images of each training, and --lost for those without"
        )


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

    read, name, chosen = read_suite(suite, place.device, place.profile)
    terms = declared_gate(read)
    gate_run = GateRun.of(read, name, chosen, seeds_of_block(read, name, block))
    if reasons := training_refusals(gate_run, reference):
        return refused_verdict(reasons)
    methods = check_methods(cells_of_plan(gate_run.plan), read.metrics, read.protocol)
    with train_in_store(gate_run, place, fresh=True) as (side, _):
        verdict = decide_gate_verdict(
            reference, side, terms.margins, terms.false_alarms, len(gate_run.seeds), exact
        )
    return replace(verdict, methods=methods, refusals=[*verdict.refusals, *methods.errors])


@dataclass(frozen=True)
class GateAnswer:
    """A verdict, its baseline and the seconds of the gate; shown and saved."""

    verdict: Any
    reference: Any
    seconds: float

    @cached_property
    def record(self) -> Any:
        from ganbench.ci.quality.summary import gate_record

        return gate_record(self.verdict, self.reference, self.seconds)

    def show(self, as_json: bool) -> None:
        """Prints the verdict."""
        if as_json:
            print_json(self.record.to_json())
        else:
            print_gate_verdict(self.verdict, self.reference, self.seconds)

    def append_summary(self, path: Path | None) -> None:
        """Appends the Markdown table to a file, if one is given."""
        from ganbench.ci.quality.summary import gate_markdown

        if path:
            append_text(path, gate_markdown(self.verdict, self.reference))

    def append_history(self, path: Path | None) -> None:
        """Appends the measured values to a file, if one is given."""
        if path and self.verdict.tests:
            append_gate_history(path, self.verdict, self.reference)


def append_gate_history(path: Path, verdict: Any, reference: Any) -> None:
    from ganbench.ci.history.records import MeasuredAt, append_records
    from ganbench.ci.quality.baseline import make_provenance
    from ganbench.ci.quality.summary import gate_history_entries

    here = make_provenance("measured", reference.device)
    at = MeasuredAt.here(here.machine, here.revision)
    append_records(path, gate_history_entries(verdict, reference, at))


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
        out.print_line(format_gate_table(gate_table(verdict), reference.features()))
    for line in gate_sentences(verdict, reference):
        out.print_line(line)
    if verdict.verdict is CommandVerdict.CANNOT_DECIDE:
        out.print_line(UNDECIDED_EXPLANATION)
    out.print(
        f"Gate {reference.name}: {verdict.verdict}, in {format_clock(seconds)}.", style="bold"
    )
