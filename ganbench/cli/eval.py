"""The command for anybody's images: `eval`."""

import shlex
import sys
from typing import Annotated, Any

import typer

from .base import INTERRUPTED, Device, InceptionWeights, Json, app, err, fail, out, print_json

Images = "A folder of images, a .zip, an array (.npz .npy .pt .safetensors), a data set (digits, \
fashion_mnist:train), module:function, or with --trust an exported network."
WITHOUT_DOWNLOAD = ". Or measure without a download: --extractor efficientnet_lite0"


@app.command("eval")
def evaluate(
    fake: Annotated[str, typer.Argument(help=Images)],
    real: Annotated[str, typer.Argument(help="The same, of the reals.")],
    extractor: Annotated[
        str | None,
        typer.Option(help="What looks at images; the data set's own, or inception."),
    ] = None,
    metrics: Annotated[
        str, typer.Option(help="Metrics, with commas between them.")
    ] = "fid,kid,precision,recall",
    held_out: Annotated[
        str | None, typer.Option(help="Reals that nobody trained on, for the floors.")
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="How many fakes; as many as there are, or as reals.")
    ] = None,
    reals: Annotated[int | None, typer.Option(min=1, help="How many reals; all.")] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Of what generators make, and of which images are drawn.")
    ] = 0,
    size: Annotated[
        int | None, typer.Option(help="Bring all images to so many pixels a side first.")
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="Whose estimators: ganbench, torch-fidelity.")
    ] = "ganbench",
    batch: Annotated[int, typer.Option(min=1, help="Images that are looked at at once.")] = 50,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Threads that decode; 0 decodes in this one.")
    ] = None,
    device: Device = "auto",
    value_range: Annotated[
        str, typer.Option("--range", help="What floats lie in: auto, 0,1 or -1,1 or 0,255.")
    ] = "auto",
    latent: Annotated[
        str | None, typer.Option(help="The shape of a generator's latents: 128, or 512x1x1.")
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Open exported networks, which can run any code.")
    ] = False,
    skip: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave out images that cannot be read.")
    ] = False,
    floor: Annotated[bool, typer.Option(help="Measure what reals score as well.")] = True,
    inception_weights: InceptionWeights = None,
    as_json: Json = False,
) -> None:
    """Measure fakes of any source against reals of any: FID and its kin, with errors and floors."""
    from ganbench.data.base import NotDownloaded
    from ganbench.evaluation.evaluate import evaluate as evaluated
    from ganbench.evaluation.table import print_evaluation_table

    from .extraction_progress import ExtractionProgress

    with ExtractionProgress(err) as progress:
        try:
            evaluation = evaluated(
                fake,
                real,
                extractor=extractor,
                metrics=metrics,
                held_out=held_out,
                count=count,
                reals=reals,
                seed=seed,
                size=size,
                protocol=protocol,
                batch=batch,
                workers=workers,
                device=device,
                value_range=value_range,
                latent=parse_latent_shape(latent),
                trust=trust,
                skip_unreadable=skip,
                floor=floor,
                show=progress.show,
            )
        except NotDownloaded as error:
            fail(str(error) + (WITHOUT_DOWNLOAD if extractor is None else ""))
        except KeyboardInterrupt:
            again = shlex.join(["ganbench", *sys.argv[1:]])
            fail(f"Stopped; what was extracted is kept. To go on: {again}", INTERRUPTED)
    print_evaluation(evaluation.as_dict(), as_json, print_evaluation_table)


def parse_latent_shape(text: str | None) -> list[int] | None:
    """`512x1x1` as numbers."""
    if text is None:
        return None
    parts = text.split("x")
    if not all(part.isdecimal() and int(part) for part in parts):
        fail(f"--latent is a shape as 128 or 512x1x1, not {text!r}")
    return list(map(int, parts))


def print_evaluation(content: dict[str, Any], as_json: bool, show: Any) -> None:
    if as_json:
        print_json(content)
    else:
        show(content, out)
    if all(row["value"] is None for row in content["metrics"]):
        reasons = "; ".join(f"{row['metric']} {row['reason']}" for row in content["metrics"])
        fail(f"No metric has a value for these images: {reasons}")
