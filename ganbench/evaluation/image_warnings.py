"""Notes: what is worth knowing of the images that were measured."""

import torch

from ganbench.data.image_decoding import Odd
from ganbench.evaluation.inputs.base import Source

from .feature_extraction import Extraction

ODD = {
    Odd.ALPHA: "with transparency, which is dropped and not laid over anything",
    Odd.TURNED: "turned as their EXIF says",
    Odd.ANIMATED: "animated, of which the first frame counts",
    Odd.CMYK: "in CMYK, made RGB without a colour profile",
}


def notes_of(phase: str, source: Source, found: Extraction) -> list[str]:
    told = [f"{phase}: {note}" for note in source.notes]
    if found.left_out:
        told.append(f"{phase}: {len(found.left_out):,} left out: {found.left_out[0]}")
    for odd, words in ODD.items():
        if many := int((found.odd & int(odd)).bool().sum()):
            told.append(f"{phase}: {many:,} of {len(found):,} {words}")
    sizes = found.extents.unique(dim=0).tolist()
    if len(sizes) > 1:
        least, greatest = (f"{w}x{h}" for w, h in (sizes[0], sizes[-1]))
        told.append(
            f"{phase}: {len(sizes)} sizes, from {least} to {greatest}: each image is resized by itself"
        )
    if copies := len(found) - len(found.hashes.unique(dim=0)):
        told.append(f"{phase}: {copies:,} of {len(found):,} are copies of others")
    return told


def notes_between(ours: Extraction, theirs: Extraction) -> list[str]:
    told = []
    if torch.equal(ours.hashes, theirs.hashes):
        told.append("fakes and reals are the same images: nothing is measured but rounding")
    else:
        known = {bytes(row.numpy()) for row in theirs.hashes}
        if shared := sum(bytes(row.numpy()) in known for row in ours.hashes):
            told.append(f"{shared:,} of the fakes are images of the reals, pixel by pixel")
    sizes = [found.extents.unique(dim=0) for found in (ours, theirs)]
    if len(sizes[0]) == len(sizes[1]) == 1 and not torch.equal(*sizes):
        one, other = (f"{w}x{h}" for w, h in (sizes[0][0].tolist(), sizes[1][0].tolist()))
        told.append(
            f"fakes are {one} and reals {other}: what resizing does to either is measured too"
        )
    width = ours.features.shape[1]
    if (few := min(len(ours), len(theirs))) <= width:
        told.append(
            f"{few:,} images are no more than the {width:,} features: FID is mostly bias, and "
            "compares at equal counts only"
        )
    return told
