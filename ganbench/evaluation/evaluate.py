"""Evaluation of anybody's images: fakes of any source against reals of any, in one pass of an extractor a side.

    ganbench.evaluate("fakes/", "reals.zip", extractor="inception", metrics="fid,kid")

Every value has its error and its floors beside it, and terms that say what it means.
"""

from collections.abc import Sequence

from ganbench.data.image_decoding import Unreadable
from ganbench.data.image_ops import checked
from ganbench.devices import full_precision, select_device, usable_cpus
from ganbench.evaluation.inputs.pixel_range import AUTO
from ganbench.evaluation.inputs.resolve import Reading, resolved
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.protocols import protocol_label
from ganbench.registry import SpecError, split_specs

from .feature_extraction import trim
from .pipeline import Show, Sides, Wanted, drawn
from .result import Evaluation

USUAL = ("fid", "kid", "precision", "recall")
LARGEST = 1024  # pixels a side that images may be brought to


def evaluate(
    fake: object,
    real: object,
    *,
    extractor: str | None = None,
    metrics: str | Sequence[str] = USUAL,
    held_out: object | None = None,
    count: int | None = None,
    reals: int | None = None,
    seed: int = 0,
    size: int | None = None,
    protocol: str = "ganbench",
    batch: int = 50,
    workers: int | None = None,
    device: str = "auto",
    value_range: str = AUTO,
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
    SpecError or Missing in a sentence.
    """
    place, latents = select_device(device), tuple(latent) if latent else None
    wanted = Wanted(
        metrics=labels(metrics),
        extractor=extractor,
        protocol=protocol_label(protocol),
        seed=seed,
        size=size if size is None else side(size),
        batch=at_least_one(batch, "batch"),
        workers=min(8, usable_cpus()) if workers is None else workers,
        device=place,
        floor=floor,
        reading=Reading(value_range, skip_unreadable, trust, latents, seed, place),
    )
    rules = wanted.rules()
    with full_precision():
        theirs = resolved(real, wanted.reading, reals or rules.reals or None)
        chosen = drawn(theirs.source, reals or rules.reals or None, seed, "real")
        many = count or rules.fakes or None
        ours = resolved(fake, wanted.reading, many or len(chosen)).source
        aside = None if held_out is None else resolved(held_out, wanted.reading, len(chosen)).source
        sides = Sides(ours, theirs, aside or theirs.held_out, wanted, many, chosen, show or silent)
        found = sides.evaluation()
    trim()
    return found


def labels(metrics: str | Sequence[str]) -> tuple[str, ...]:
    """Metrics as they are called; raises SpecError for one that there is not."""
    given = split_specs(metrics) if isinstance(metrics, str) else list(metrics)
    if not given:
        raise SpecError("name a metric: fid, kid, precision, ...")
    for text in given:
        METRICS.make(text)
    return tuple(dict.fromkeys(map(METRICS.label, given)))


def side(size: int) -> int:
    try:
        return checked(size, LARGEST)
    except ValueError as error:
        raise Unreadable(f"--{error}") from error


def at_least_one(value: int, name: str) -> int:
    if value < 1:
        raise Unreadable(f"--{name} must be at least 1, not {value}")
    return value


def silent(phase: str, done: int, total: int) -> None:
    """Shows nothing."""
