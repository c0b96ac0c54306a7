"""The quality gate of images that were made elsewhere: their verdict against a baseline."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ganbench.errors import NotDownloaded

from .gate_inputs import DEFAULT_FALSE_ALARMS, ImageSets, evaluate_sets
from .weights import require_weights_of_command


def images_verdict(sets: ImageSets, reference: Any, path: Path, extractor: str | None) -> Any:
    """Measures images with the baseline's settings and returns the verdict.

    Images that the baseline cannot judge are refused, before any measuring where that is possible.
    """
    from ganbench.ci.quality.verdict import decide_gate_verdict, refused_verdict

    if reasons := refusals_before_measuring(sets, reference, path, extractor):
        return refused_verdict(reasons)
    side, reasons = measure_side(sets, reference, path)
    if reasons:
        return refused_verdict(reasons)
    return decide_gate_verdict(
        reference, side, reference.margins, DEFAULT_FALSE_ALARMS, len(sets.fakes)
    )


def refusals_before_measuring(
    sets: ImageSets, reference: Any, path: Path, extractor: str | None
) -> list[str]:
    """Returns the reasons against a gate that need no measuring.

    Raises Unreadable for missing images, and NotDownloaded for missing weights.
    """
    from ganbench.ci.quality.image_sets import (
        check_sources,
        count_refusals,
        refuse_other_extractor,
    )

    if reference.kind != "images":
        return [f"{path} is a baseline of the suite {reference.name}, not of images"]
    refuse_other_extractor(extractor, reference, path)
    with naming_baseline(path):
        extractor_needed = baseline_settings(reference)["extractor"]
        require_weights_of_command(extractor_needed, "ganbench", *sets.fakes, sets.real)
    check_sources(sets.fakes, sets.real)
    count = len(sets.fakes) + sets.lost
    return [f"{path}: {reason}" for reason in count_refusals(count, reference)]


def measure_side(sets: ImageSets, reference: Any, path: Path) -> tuple[Any, list[str]]:
    """Measures the images of each training.

    Returns their values, and the reasons why the baseline cannot judge them.
    """
    from ganbench.ci.quality.image_sets import image_refusals, make_image_side, make_lost_side
    from ganbench.devices import select_device

    device = select_device(sets.device)
    if not sets.fakes:
        return make_lost_side(sets.lost, reference.margins, device), []
    with naming_baseline(path), explaining_sizes(path):
        evaluations = evaluate_sets(sets, baseline_settings(reference), collapse_allowed=True)
    reasons = [f"{path}: {reason}" for reason in image_refusals(evaluations, reference)]
    return make_image_side(evaluations, sets.lost, device), reasons


def baseline_settings(reference: Any) -> dict[str, Any]:
    """Returns the settings of a baseline, with its extractor.

    Other real images have another default extractor.
    """
    from ganbench.ci.quality.image_sets import recorded_extractor

    return {**reference.settings, "extractor": recorded_extractor(reference) or None}


@contextmanager
def naming_baseline(path: Path) -> Iterator[None]:
    """Gives the remedy of a gate for missing weights, since its baseline has the extractor."""
    from ganbench.evaluation.extractors.weight_files import (
        WITHOUT_DOWNLOAD,
        replace_extractor_remedy,
    )

    try:
        yield
    except NotDownloaded as error:
        other = f"a baseline made with --extractor {WITHOUT_DOWNLOAD}; {path} needs these weights"
        raise replace_extractor_remedy(error, other) from None


@contextmanager
def explaining_sizes(path: Path) -> Iterator[None]:
    """Gives the remedy of a gate for images of other sizes, since it has no --size."""
    from ganbench.evaluation.pipeline import OtherSize

    try:
        yield
    except OtherSize as error:
        error.remedy = (
            f"{path} was made without --size. Resize the images, or make a baseline with --size"
        )
        raise
