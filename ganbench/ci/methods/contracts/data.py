"""The contract of data sets: equal loads, declared shapes and separate splits."""

from collections.abc import Iterator

import torch

from ganbench.data import DATA
from ganbench.data.base import Data
from ganbench.evaluation.data_faults import find_data_faults


def check_data(text: str) -> Iterator[str]:
    """Yields the violations of the contract by a data set."""
    data: Data = DATA.make(text)
    split, again = data.load(), DATA.make(text).load()
    if faults := list(find_data_faults(data, split)):
        yield from faults
        return
    if split.compute_fingerprint() != again.compute_fingerprint():
        yield "two loads give different examples: draw from a torch.Generator with a seed"
    if not data.classes and any(own.labels is not None for own in split.train.values()):
        yield "train examples have labels, and classes are not declared: set classes to their number"
    for domain in split.train:
        pair = (side[domain].images.flatten(1) for side in (split.train, split.held_out))
        if shared := count_shared(*pair):
            yield f"{shared:,} held-out examples are training examples too"


def count_shared(train: torch.Tensor, held_out: torch.Tensor) -> int:
    """Counts the held-out examples that are training examples too, [N, F] and [M, F]."""
    known = {row.numpy().tobytes() for row in train}
    return sum(row.numpy().tobytes() in known for row in held_out)
