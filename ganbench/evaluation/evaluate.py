"""Evaluation of external images: fakes against reals from any source.

    ganbench.evaluate("fakes/", "reals.zip", extractor="inception", metrics="fid,kid")

Each side takes one pass of the extractor. Every value has its standard error, its floors and a
protocol record.
"""

import inspect
from collections.abc import Sequence
from dataclasses import fields, replace
from numbers import Real
from typing import Any

from ganbench.data.image_decoding import Unreadable
from ganbench.data.image_ops import check_image_size
from ganbench.devices import full_precision, select_device
from ganbench.evaluation.inputs.base import Source, StatisticsSource
from ganbench.evaluation.inputs.pixel_range import AUTO_RANGE, VALUE_RANGES
from ganbench.evaluation.inputs.resolve import refuse_missing_sources, resolve_source
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.protocols import PROTOCOLS, protocol_label
from ganbench.evaluation.protocols.base import MeasurementRules
from ganbench.registry import SpecError, split_specs, suggest

from .block_cache import trim_blocks
from .options import EvaluationOptions
from .pipeline import EvaluationPipeline, Show, choose_images
from .result import Evaluation
from .statistics import StatisticsPipeline, has_statistics

MAX_RESIZED_PIXELS = 1024  # maximal side of resized images


def evaluate(fake: object, real: object, *, show: Show | None = None, **options: Any) -> Evaluation:
    """Returns metrics of fakes against reals, as an Evaluation.

    `fake` and `real` are each one of:

    - a folder, `.zip`, `.npz`, `.npy`, `.pt` or `.safetensors` file
    - a data set's name
    - an array of images
    - a Dataset, a DataLoader, or a list of arrays, PIL images or paths
    - a function (count, seed) that returns images
    - with `latent`, a network or a function of latents
    - with `trust`, an exported network

    A network is measured in evaluation mode. Afterwards its mode and its statistics are as before.

    `show` is called with a phase, the images done and their total. Raises Unreadable, SpecError or
    NotDownloaded. Options, all by keyword:

    """
    refuse_unknown_options(options)
    wanted = resolve_options(EvaluationOptions(**options))
    rules: MeasurementRules = PROTOCOLS.make(wanted.protocol)
    real_count = wanted.reals or rules.reals or None
    fake_count = wanted.count or rules.fakes or None
    refuse_missing_sources(fake, real, wanted.held_out)
    with full_precision():
        real_source = resolve_source(real, wanted, real_count)
        chosen = choose_images(real_source.source, real_count, wanted.seed, "real")
        fake_source = resolve_source(fake, wanted, fake_count or len(chosen) or None).source
        kind = EvaluationPipeline
        if has_statistics(fake_source, real_source.source):
            kind = StatisticsPipeline
        pipeline = kind(
            fake_source,
            real_source,
            resolve_held_out(wanted, len(chosen)) or real_source.held_out,
            wanted,
            fake_count,
            chosen,
            show or show_nothing,
        )
        evaluation = pipeline.run()
    trim_blocks()
    return evaluation


evaluate.__doc__ = f"{inspect.getdoc(evaluate)}\n\n{EvaluationOptions.describe()}"
evaluate.__signature__ = EvaluationOptions.signature()  # type: ignore[attr-defined]


def refuse_unknown_options(options: dict[str, Any]) -> None:
    """Raises TypeError, as Python does for unknown arguments, with the nearest name."""
    known = [field.name for field in fields(EvaluationOptions)]
    for name in options:
        if name not in known:
            raise TypeError(f"evaluate() has no option {name!r}{suggest(name, known)}")


def resolve_options(options: EvaluationOptions) -> EvaluationOptions:
    """Returns options with labels of metrics and the chosen device; checks their values."""
    return replace(
        options,
        metrics=metric_labels_of(options.metrics),
        protocol=protocol_label(options.protocol),
        size=options.size if options.size is None else check_size(options.size),
        device=select_device(str(options.device)),
        value_range=check_value_range(options.value_range),
    )


def resolve_held_out(options: EvaluationOptions, count: int) -> Source | None:
    if options.held_out is None:
        return None
    source = resolve_source(options.held_out, options, count).source
    if isinstance(source, StatisticsSource):
        raise Unreadable(f"{source.name} holds statistics, and a floor needs held-out images")
    return source


def check_value_range(given: object) -> str:
    """Returns the name of a value range, also of a pair; raises Unreadable for an unknown one."""
    name = str(given)
    if isinstance(given, Sequence) and not isinstance(given, str):
        name = ",".join(f"{x:g}" if isinstance(x, Real) else str(x) for x in given)
    if name not in (AUTO_RANGE, *VALUE_RANGES):
        available = ", ".join((AUTO_RANGE, *VALUE_RANGES))
        raise Unreadable(f"--range must be one of {available}, not {name!r}")
    return name


def metric_labels_of(metrics: str | Sequence[str]) -> tuple[str, ...]:
    """Returns the canonical labels of metrics; raises SpecError for an unknown one."""
    given = split_specs(metrics) if isinstance(metrics, str) else list(metrics)
    if not given or not all(isinstance(text, str) for text in given):
        raise SpecError("name a metric: fid, kid, precision, ...")
    for text in given:
        METRICS.make(text)
    return tuple(dict.fromkeys(map(METRICS.label, given)))


def check_size(size: int) -> int:
    try:
        return check_image_size(size, MAX_RESIZED_PIXELS)
    except ValueError as error:
        raise Unreadable(f"--{error}") from error


def show_nothing(phase: str, done: int, total: int) -> None:
    """Ignores the progress."""
