"""Draws numbers of sentences by kind, such as those that training never shows."""

from itertools import product

import numpy as np
import torch
from torch import Tensor


def draw_sentences(kinds: np.ndarray, wanted: np.ndarray, random: np.random.Generator) -> Tensor:
    """Draws a sentence of each wanted kind, with replacement.

    Kinds are rows of booleans: those of all sentences [K, F], and the wanted ones [N, F] => int64 [N].
    """
    numbers = np.empty(len(wanted), np.int64)
    for kind in product((False, True), repeat=kinds.shape[1]):
        known, places = ((rows == kind).all(1).nonzero()[0] for rows in (kinds, wanted))
        numbers[places] = known[random.integers(len(known), size=len(places))]
    return torch.from_numpy(numbers)
