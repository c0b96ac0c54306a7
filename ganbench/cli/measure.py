"""The command `measure`."""

from pathlib import Path
from typing import Annotated

import typer

from .base import app, err, out
from .interruption import explained_ctrl_c
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
    its own. Without both, values are measured that are missing, or of an old version of a metric.
    """
    require_weights_of_command(None, protocol)
    from ganbench.evaluation.evaluate import metric_labels_of
    from ganbench.evaluation.protocols import protocol_label
    from ganbench.experiments.remeasure import MeasureRequest, remeasure
    from ganbench.experiments.signals import acknowledge_stop
    from ganbench.report.writer import write_report

    from .progress import WRITING, RunProgress

    console = err if as_json else out
    folder = suite_folder(suite, results)
    runs_trials = executor_of(executor, workers, device_of_plan(folder))
    kept = "Stopped. Measured values are kept; the same command goes on"
    with RunProgress(console) as progress, explained_ctrl_c(kept):
        request = MeasureRequest(
            protocol_label(protocol) if protocol else "",
            metric_labels_of(metrics) if metrics else (),
        )
        with acknowledge_stop(progress.print_stopping):
            result = remeasure(folder, request, runs_trials, progress.show)
        progress.show_phase(WRITING)
        report, files = write_report(result.plan, result.folder)
    print_run_result(result, report, files, "measured", as_json)


def device_of_plan(folder: Path) -> str:
    """Returns the device on which the trials of a run are measured."""
    from ganbench.experiments.store import read_plan

    plan = read_plan(folder)
    return str(plan["device"]) if plan else "cpu"
