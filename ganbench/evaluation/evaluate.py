"""Evaluation of anybody's images: fakes of any source against reals of any, in one pass of an extractor a side.

    ganbench.evaluate("fakes/", "reals.zip", extractor="inception", metrics="fid,kid")

Every value has its error and its floors beside it, and terms that say what it means.
"""

from collections.abc import Sequence

from ganbench.data.image_decoding import Unreadable
from ganbench.data.image_ops import check_image_size
from ganbench.devices import full_precision, select_device, usable_cpus
from ganbench.evaluation.inputs.pixel_range import AUTO_RANGE
from ganbench.evaluation.inputs.resolve import ReadOptions, resolve_source
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.protocols import protocol_label
from ganbench.registry import SpecError, split_specs

from .feature_extraction import trim_blocks
from .pipeline import EvaluationOptions, EvaluationPipeline, Show, choose_images
from .result import Evaluation

DEFAULT_METRICS = ("fid", "kid", "precision", "recall")
MAX_RESIZED_PIXELS = 1024  # pixels a side that images may be brought to


def evaluate(
    fake: object,
    real: object,
    *,
    extractor: str | None = None,
    metrics: str | Sequence[str] = DEFAULT_METRICS,
    held_out: object | None = None,
    count: int | None = None,
    reals: int | None = None,
    seed: int = 0,
    size: int | None = None,
    protocol: str = "ganbench",
    batch: int = 50,
    workers: int | None = None,
    device: str = "auto",
    value_range: str = AUTO_RANGE,
    latent: Sequence[int] | None = None,
    trust: bool = False,
    skip_unreadable: bool = False,
    floor: bool = True,
    show: Show | None = None,
) -> Evaluation:
    """Measures fakes against reals.

    Either is a folder, a `.zip`, an `.npz`, `.npy`, `.pt` or `.safetensors`, a data set's name, an array
    of images, a function (count, seed) of one's own, or with `trust` an exported network. `count` and
    `reals` say how many are measured, drawn by `seed` from those that have more. Raises Unreadable,
    SpecError or NotDownloaded in a sentence.
    """
    place, latents = select_device(device), tuple(latent) if latent else None
    wanted = EvaluationOptions(
        metrics=metric_labels_of(metrics),
        extractor=extractor,
        protocol=protocol_label(protocol),
        seed=seed,
        size=size if size is None else check_size(size),
        batch=require_at_least_one(batch, "batch"),
        workers=min(8, usable_cpus()) if workers is None else workers,
        device=place,
        floor=floor,
        reading=ReadOptions(value_range, skip_unreadable, trust, latents, seed, place),
    )
    rules = wanted.rules()
    with full_precision():
        real_source = resolve_source(real, wanted.reading, reals or rules.reals or None)
        chosen = choose_images(real_source.source, reals or rules.reals or None, seed, "real")
        many = count or rules.fakes or None
        fake_source = resolve_source(fake, wanted.reading, many or len(chosen)).source
        aside = (
            None
            if held_out is None
            else resolve_source(held_out, wanted.reading, len(chosen)).source
        )
        sides = EvaluationPipeline(
            fake_source,
            real_source,
            aside or real_source.held_out,
            wanted,
            many,
            chosen,
            show or show_nothing,
        )
        evaluation = sides.run()
    trim_blocks()
    return evaluation


def metric_labels_of(metrics: str | Sequence[str]) -> tuple[str, ...]:
    """Metrics as they are called; raises SpecError for one that there is not."""
    given = split_specs(metrics) if isinstance(metrics, str) else list(metrics)
    if not given:
        raise SpecError("name a metric: fid, kid, precision, ...")
    for text in given:
        METRICS.make(text)
    return tuple(dict.fromkeys(map(METRICS.label, given)))


def check_size(size: int) -> int:
    try:
        return check_image_size(size, MAX_RESIZED_PIXELS)
    except ValueError as error:
        raise Unreadable(f"--{error}") from error


def require_at_least_one(value: int, name: str) -> int:
    if value < 1:
        raise Unreadable(f"--{name} must be at least 1, not {value}")
    return value


def show_nothing(phase: str, done: int, total: int) -> None:
    """Shows nothing."""
