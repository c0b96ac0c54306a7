"""The command `floor`."""

from typing import Annotated

import typer

from .base import app, out
from .options import Device, InceptionWeights, Json
from .streams import print_json
from .weights import require_weights_of_command


@app.command()
def floor(
    data: Annotated[str, typer.Argument(help="A data set: digits, fashion_mnist.")],
    metrics: Annotated[str, typer.Option(help="Metrics, separated by commas. Default: all.")] = "",
    protocol: Annotated[str, typer.Option(help="Protocol: ganbench, torch-fidelity.")] = "ganbench",
    device: Device = "auto",
    inception_weights: InceptionWeights = None,
    as_json: Json = False,
) -> None:
    """Score held-out real data as if generated.

    No generator can be expected to score better than this floor.
    """
    require_weights_of_command(None, protocol)
    from ganbench.devices import Numerics, select_device
    from ganbench.evaluation.evaluate import metric_labels_of
    from ganbench.evaluation.evaluator import evaluator_for
    from ganbench.evaluation.metrics import METRICS
    from ganbench.evaluation.protocols import protocol_label
    from ganbench.report.floor_table import measure_floor_rows, render_floor_table

    chosen = metric_labels_of(metrics) if metrics else tuple(METRICS)
    selected = select_device(device)
    Numerics(selected).apply()
    evaluator = evaluator_for(data, selected, protocol_label(protocol))
    floor_values = measure_floor_rows(evaluator, chosen)
    if as_json:
        return print_json({"protocol": evaluator.protocol.record(), "floors": floor_values})
    out.print_line(str(evaluator.protocol))
    return out.print(render_floor_table(floor_values), markup=False)
