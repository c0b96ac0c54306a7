"""Examples with several labels each, such as the captions of an image."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .base import Batch, Examples


@dataclass(frozen=True, eq=False)
class PairExamples(Examples):
    """Pairs of an example and one of its labels, over which an epoch goes once.

    Images are stored once. `rows` are the examples of the pairs [M], `pair_labels` their labels [M].
    `labels` has the first label of each example.
    """

    rows: Tensor = None  # type: ignore[assignment]
    pair_labels: Tensor = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self.rows)

    def to(self, device: torch.device, non_blocking: bool = False) -> Examples:
        if device == self.images.device:
            return self
        moved = (
            part.to(device, non_blocking=non_blocking)
            for part in (self.images, self.first_labels, self.rows, self.pair_labels)
        )
        images, labels, rows, pair_labels = moved
        return replace(self, images=images, labels=labels, rows=rows, pair_labels=pair_labels)

    @property
    def first_labels(self) -> Tensor:
        assert self.labels is not None
        return self.labels

    def make_batch(self, index: Tensor) -> Batch:
        """Returns the pairs at these indices, with images in [-1, 1]."""
        images = super().make_batch(self.rows[index]).images
        return Batch(images, self.pair_labels[index], index)

    def gather_on_host(self, index: Tensor, pinned: bool = False) -> Examples:
        """Returns the pairs at host indices of any shape, as plain examples."""
        gathered = super().gather_on_host(self.rows[index], pinned)
        labels = self.pair_labels[index]
        return Examples(gathered.images, labels.pin_memory() if pinned else labels)
