"""The command `measure`."""

from pathlib import Path
from typing import Annotated

import typer

from .base import INTERRUPTED, app, err, fail, out
from .options import (
    DEFAULT_RESULTS,
    ExecutorName,
    InceptionWeights,
    Json,
    Results,
    SuiteArgument,
    Trust,
    Workers,
)
from .stored_results import suite_folder
from .trainings import executor_of, print_run_result
from .weights import require_weights_of_command


@app.command()
def measure(
    suite: SuiteArgument,
    protocol: Annotated[str, typer.Option(help="torch-fidelity, 'ganbench(fakes=5000)', ...")] = "",
    metrics: Annotated[str, typer.Option(help="More metrics, separated by commas.")] = "",
    results: Results = DEFAULT_RESULTS,
    workers: Workers = None,
    executor: ExecutorName = "auto",
    inception_weights: InceptionWeights = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Measure finished trials by more metrics.

    Nothing is trained again. More metrics join the table of the suite; another protocol has a table of
    its own.
    """
    require_weights_of_command(None, protocol)
    from ganbench.evaluation.protocols import protocol_label
    from ganbench.experiments.remeasure import MeasureRequest, remeasure
    from ganbench.experiments.signals import acknowledge_stop
    from ganbench.report.writer import write_report

    from .progress import WRITING, RunProgress

    console = err if as_json else out
    folder = suite_folder(suite, results)
    runs_trials = executor_of(executor, workers, device_of_plan(folder))
    with RunProgress(console) as progress:
        try:
            request = MeasureRequest(
                protocol_label(protocol) if protocol else "", parse_metric_labels(metrics)
            )
            with acknowledge_stop(progress.print_stopping):
                result = remeasure(folder, request, runs_trials, progress.show)
            progress.show_phase(WRITING)
            report, files = write_report(result.plan, result.folder)
        except KeyboardInterrupt:
            fail("Stopped. Measured values are kept.", INTERRUPTED)
    print_run_result(result, report, files, "measured", as_json)


def device_of_plan(folder: Path) -> str:
    """Returns the device on which the trials of a run are measured."""
    from ganbench.experiments.store import read_plan

    plan = read_plan(folder)
    return str(plan["device"]) if plan else "cpu"


def parse_metric_labels(text: str) -> tuple[str, ...]:
    """Parses metrics separated by commas; commas within parentheses separate settings."""
    from ganbench.evaluation.metrics import METRICS
    from ganbench.registry import split_specs

    given = split_specs(text)
    for part in given:
        METRICS.make(part)
    return tuple(map(METRICS.label, given))
