"""The contract of data sets: equal loads, declared shapes and separate splits."""

from collections.abc import Iterator

import torch

from ganbench.data import DATA
from ganbench.data.base import Data


def check_data(text: str) -> Iterator[str]:
    """Yields the violations of the contract by a data set."""
    data: Data = DATA.make(text)
    split, again = data.load(), DATA.make(text).load()
    if split.compute_fingerprint() != again.compute_fingerprint():
        yield "two loads give different examples: draw from a torch.Generator with a seed"
    for side, examples in (("train", split.train), ("held-out", split.held_out)):
        for domain, domain_examples in examples.items():
            images = domain_examples.images
            shape, declared = tuple(images.shape[1:]), tuple(data.shapes[domain])
            if shape != declared:
                yield f"{side} examples have the shape {shape}, and declared is {declared}"
            if images.dtype not in (torch.uint8, torch.float32):
                yield f"{side} examples are {images.dtype}: images are uint8, points float32"
            yield from label_faults(data, domain_examples.labels)
    for domain in split.train:
        pair = (side[domain].images.flatten(1) for side in (split.train, split.held_out))
        if shared := count_shared(*pair):
            yield f"{shared:,} held-out examples are training examples too"


def label_faults(data: Data, labels: torch.Tensor | None) -> Iterator[str]:
    if (
        labels is not None
        and data.classes
        and not 0 <= int(labels.min()) <= int(labels.max()) < data.classes
    ):
        yield f"labels lie in {int(labels.min())} to {int(labels.max())}, of {data.classes} classes"


def count_shared(train: torch.Tensor, held_out: torch.Tensor) -> int:
    """Counts the held-out examples that are training examples too, [N, F] and [M, F]."""
    known = {row.numpy().tobytes() for row in train}
    return sum(row.numpy().tobytes() in known for row in held_out)
