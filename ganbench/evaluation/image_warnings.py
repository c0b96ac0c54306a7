"""Notes of an evaluation: properties of the measured images that affect the values."""

from collections.abc import Mapping, Sequence

import torch

from ganbench.counts import count_of, list_first
from ganbench.data.image_decoding import Odd
from ganbench.errors import escape_control_characters
from ganbench.evaluation.inputs.base import Source
from ganbench.evaluation.metrics.fid_infinity import MIN_EXTRAPOLATED_FAKES, smallest_subset
from ganbench.registry import parse_spec

from .feature_extraction import Extraction

ODDITY_SENTENCES = {
    Odd.ALPHA: "have an alpha channel, which is dropped without blending",
    Odd.TURNED: "are rotated as given by their EXIF data",
    Odd.ANIMATED: "are animated: only the first frame is used",
    Odd.CMYK: "are in CMYK: converted to RGB without a colour profile",
}

MAX_NAMED_IMAGES = 3  # of those that were left out

EQUAL_SETS = {  # metrics: their values for equal sets
    "fid": ": FID is zero up to rounding",
    "kid": ": KID is below zero, because it pairs an image with itself only across the sets",
}


def notes_of_source(phase: str, source: Source, extraction: Extraction) -> list[str]:
    sentences = [f"{phase}: {note}" for note in source.notes]
    if extraction.left_out:
        sentences.append(f"{phase}: {describe_left_out(extraction.left_out)}")
    for odd, words in ODDITY_SENTENCES.items():
        if many := int((extraction.odd & int(odd)).bool().sum()):
            sentences.append(f"{phase}: {many:,} of {len(extraction):,} {words}")
    sizes = extraction.extents.unique(dim=0).tolist()
    if len(sizes) > 1:
        least, greatest = (f"{w}x{h}" for w, h in (sizes[0], sizes[-1]))
        sentences.append(
            f"{phase}: {len(sizes)} sizes, from {least} to {greatest}: each image is resized separately"
        )
    if extraction.copies:
        sentences.append(
            f"{phase}: {extraction.copies:,} of {len(extraction):,} are copies of others"
        )
    return [escape_control_characters(sentence) for sentence in sentences]  # with names of files


def describe_left_out(reasons: Sequence[str]) -> str:
    """Returns the number of images that were left out, with the first reasons."""
    return f"{len(reasons):,} left out: {'; '.join(list_first(reasons, MAX_NAMED_IMAGES))}"


def notes_of_both_sources(
    fakes: Extraction, reals: Extraction, shared: int, metrics: Sequence[str]
) -> list[str]:
    """Returns notes on the measured pair; `shared` fakes have the pixels of a real."""
    sentences = []
    names = names_of_metrics(metrics)
    if torch.equal(fakes.hashes, reals.hashes):
        sentences += [
            f"fakes and reals are the same images{words}"
            for words in [EQUAL_SETS[name] for name in EQUAL_SETS if name in names] or [""]
        ]
    elif shared:
        has = "has" if shared == 1 else "have"
        sentences.append(f"{shared:,} of the fakes {has} the same pixels as one of the reals")
    sentences += notes_on_sizes(fakes, reals)
    return sentences + notes_on_counts(len(fakes), len(reals), fakes.features.shape[1], metrics)


def count_shared(images: Extraction, others: Extraction) -> int:
    """Counts the images that have the same pixels as one of the others."""
    hashes = {bytes(row.numpy()) for row in others.hashes}
    return sum(bytes(row.numpy()) in hashes for row in images.hashes)


def notes_on_held_out(held_out: Extraction, sides: Mapping[str, Extraction]) -> list[str]:
    """Returns a note for each side that has some of the held-out images too."""
    shared = {name: count_shared(held_out, side) for name, side in sides.items()}
    return [
        f"held out: {count:,} of {len(held_out):,} are among the {name}: the floor is not that of unseen images"
        for name, count in shared.items()
        if count
    ]


def notes_on_sizes(fakes: Extraction, reals: Extraction) -> list[str]:
    """Returns a note if fakes have one size and reals another; given features have none."""
    sizes = [side.extents.unique(dim=0) for side in (fakes, reals)]
    has_one = all(len(each) == 1 and each.all() for each in sizes)
    if not has_one or torch.equal(*sizes):
        return []
    one, other = (f"{w}x{h}" for w, h in (sizes[0][0].tolist(), sizes[1][0].tolist()))
    return [f"fakes are {one} and reals {other}: the values include the effect of resizing"]


def notes_on_counts(fakes: int, reals: int, width: int, metrics: Sequence[str]) -> list[str]:
    """Returns notes on metrics that need more images for so many features."""
    bias = notes_on_bias(min(fakes, reals), width, metrics)
    return bias + notes_on_extrapolation(fakes, width, metrics)


def notes_on_bias(count: int, width: int, metrics: Sequence[str]) -> list[str]:
    """Returns a note if the smaller side has too few images for the FID of so many features."""
    if count > width or "fid" not in names_of_metrics(metrics):
        return []
    images, features = count_of(count, "image"), count_of(width, "feature")
    return [
        f"{images} for {features}: FID is mostly bias, so compare it only at equal counts; theory has no value"
    ]


def notes_on_extrapolation(fakes: int, width: int, metrics: Sequence[str]) -> list[str]:
    """Returns a note if the smallest subset of `fid_infinity` is too small for the features."""
    smallest = smallest_subset(fakes)
    is_measured = "fid_infinity" in names_of_metrics(metrics) and fakes >= MIN_EXTRAPOLATED_FAKES
    if smallest > width or not is_measured:
        return []
    images, features = count_of(smallest, "image"), count_of(width, "feature")
    return [
        f"{images} for {features} in the smallest subset of fid_infinity: "
        "FID is not linear in 1/N there, so the value can be far off"
    ]


def names_of_metrics(metrics: Sequence[str]) -> set[str]:
    return {parse_spec(metric).name for metric in metrics}
