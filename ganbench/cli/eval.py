"""The commands `eval` and `fid`. Their options are those of `ganbench.evaluate`."""

import inspect
from dataclasses import Field, fields
from typing import Annotated, Any, get_type_hints

import typer

from ganbench.evaluation.options import EvaluationOptions

from .base import app, err, fail, out
from .interruption import explained_ctrl_c
from .options import InceptionWeights, Json
from .streams import print_json

SOURCE_HELP = "Folder, .zip, array file, data set or module:function."
FLAG_TYPES = (bool, int, int | None, str)  # other options are texts


def evaluate(
    fake: Annotated[str, typer.Argument(help=SOURCE_HELP)],
    real: Annotated[str, typer.Argument(help="Real images, likewise.")],
    inception_weights: InceptionWeights = None,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Score generated images against real ones.

    Each value has a standard error, and two floors. One is the score of real images. The other is the
    expected score of a perfect generator, if the real images are independent. Array files are .npz, .npy,
    .pt and .safetensors. With --trust, exported networks are read too. The exit code is 2 if no metric has a value.
    """
    from .weights import require_weights_of_command

    EvaluationOptions(**options)  # raises SpecError before it asks for weights
    require_weights_of_command(options["extractor"], options["protocol"], fake, real)
    from ganbench.evaluation.evaluate import evaluate as evaluate_images
    from ganbench.evaluation.table import print_evaluation_table

    from .extraction_progress import ExtractionProgress

    kept = "Stopped. Extracted features are kept. To resume"
    with ExtractionProgress(err) as progress, explained_ctrl_c(kept):
        evaluation = evaluate_images(fake, real, show=progress.show, **options)
    print_evaluation(evaluation.as_dict(), as_json, print_evaluation_table)


def score_fid(
    fake: Annotated[str, typer.Argument(help=SOURCE_HELP)],
    real: Annotated[str, typer.Argument(help="Real images, likewise.")],
    inception_weights: InceptionWeights = None,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Score generated images by FID alone.

    The value is that of `ganbench eval --metrics fid`, with its standard error and its floors.
    """
    evaluate(fake, real, inception_weights, as_json, metrics="fid", **options)


def option_parameter(option: Field[Any], annotation: Any) -> inspect.Parameter:
    """Returns the command's parameter for one option of an evaluation."""
    flag = [option.metadata["flag"]] if "flag" in option.metadata else []
    # EvaluationOptions itself refuses a number with the reason for its minimum.
    least = None if "why" in option.metadata else option.metadata.get("min")
    declared = typer.Option(*flag, help=option.metadata["help"], min=least)
    return inspect.Parameter(
        option.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=option.default,
        annotation=Annotated[annotation if annotation in FLAG_TYPES else str | None, declared],
    )


def add_evaluation_options(command: Any, fixed: str = "") -> Any:
    """Replaces `**options` in the signature of a command by the options of an evaluation.

    The command sets the option `fixed` itself.
    """
    hints, signature = get_type_hints(EvaluationOptions), inspect.signature(command)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    options = [each for each in fields(EvaluationOptions) if each.name != fixed]
    added = [option_parameter(each, hints[each.name]) for each in options]
    command.__signature__ = signature.replace(parameters=[*own[:2], *added, *as_keywords(own[2:])])
    command.__annotations__ |= {parameter.name: parameter.annotation for parameter in added}
    return command


def as_keywords(parameters: list[inspect.Parameter]) -> list[inspect.Parameter]:
    return [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]


app.command("eval")(add_evaluation_options(evaluate))
app.command("fid")(add_evaluation_options(score_fid, fixed="metrics"))


def print_evaluation(content: dict[str, Any], as_json: bool, print_table: Any) -> None:
    if as_json:
        print_json(content)
    else:
        print_table(content, out)
    if all(row["value"] is None for row in content["metrics"]):
        reasons = "; ".join(f"{row['metric']} {row['reason']}" for row in content["metrics"])
        fail(f"No metric has a value for these images: {reasons}")
