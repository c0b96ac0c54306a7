"""Faults of examples that a data set loads: their type, shape, values and labels."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from ganbench.data.base import Data, Examples, Shape, Split
from ganbench.data.modality import modality_of_shape


def find_data_faults(data: Data, split: Split) -> Iterator[str]:
    """Yields a sentence for each difference from the declarations of a data set."""
    for side, examples in (("train", split.train), ("held-out", split.held_out)):
        if examples.keys() != data.shapes.keys():
            declared = ", ".join(data.shapes) or "none"
            yield f"{side} examples have the domains {', '.join(examples)}, and declared are {declared}"
            continue
        for domain, shape in data.shapes.items():
            yield from image_faults(f"{side} examples", examples[domain].images, shape)
            yield from label_faults(f"{side} labels", examples[domain], data.classes)
        yield from missing_label_faults(side, examples.values(), data.classes)
        if data.has_targets:
            first, last = next(iter(data.shapes)), list(data.shapes.values())[-1]
            yield from target_faults(side, examples[first], last)


def image_faults(what: str, images: Tensor, declared: Shape) -> Iterator[str]:
    if not isinstance(images, Tensor):
        yield f"{what} are of {type(images).__name__}, expected a torch.Tensor"
        return
    if not len(images):
        yield f"there are no {what}"
    if (shape := tuple(images.shape[1:])) != tuple(declared):
        yield f"{what} have the shape {shape}, and declared is {tuple(declared)}"
        return
    modality = modality_of_shape(shape)
    wanted = torch.uint8 if modality.has_pixels else torch.float32
    if images.dtype != wanted:
        yield f"{what} are {images.dtype}, and {modality.name} are {wanted}"
    elif count := int((~images.isfinite()).flatten(1).any(1).sum()):
        yield f"{count:,} of {len(images):,} {what} are not finite"


def target_faults(side: str, sources: Examples, declared: Shape) -> Iterator[str]:
    if sources.truth is None:
        yield f"has_targets is declared, and {side} examples have no truth"
    elif len(sources.truth) != len(sources):
        yield f"{side} examples have {len(sources.truth):,} targets, and they are {len(sources):,}"
    else:
        yield from image_faults(f"{side} targets", sources.truth, declared)


def missing_label_faults(side: str, domains: Iterable[Examples], classes: int) -> Iterator[str]:
    """Yields a sentence if classes are declared and no domain of a side has labels."""
    if classes and all(examples.labels is None for examples in domains):
        yield (
            f"classes = {classes} is declared, and {side} examples have no labels: pass them as "
            "Examples(images, labels), or leave out classes"
        )


def label_faults(what: str, examples: Examples, classes: int) -> Iterator[str]:
    labels = examples.labels
    if labels is None:
        return
    if not isinstance(labels, Tensor):
        yield f"{what} are of {type(labels).__name__}, expected a torch.Tensor"
    elif labels.dtype != torch.int64 or labels.shape != (len(examples),):
        yield f"{what} are {labels.dtype} {list(labels.shape)}, expected torch.int64 [{len(examples)}]"
    elif classes and len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        yield f"{what} lie in {int(labels.min())} to {int(labels.max())}, of {classes} classes"
