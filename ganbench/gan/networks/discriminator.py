"""A discriminator: a body that computes features and a head that scores them."""

from collections.abc import Mapping
from math import prod
from typing import ClassVar

import torch
from torch import Tensor, nn

from ganbench.deprecation import RenamedHooks
from ganbench.renamed import HEAD_HOOKS

from .condition_encoder import encode_condition

Shape = tuple[int, ...]


class Head(nn.Module, RenamedHooks):
    """A linear score of features: [N, width] => [N].

    Subclasses may read labels, and may return maps of scores [N, ...].
    """

    renamed_hooks: ClassVar[Mapping[str, str]] = HEAD_HOOKS

    def __init__(self, width: int, bias: bool = True):
        super().__init__()
        self.linear = nn.Linear(width, 1, bias)

    def forward(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        return self.linear(features).squeeze(1)

    def encode_label(self, label: Tensor) -> Tensor:
        """Returns the code of each label, [N] => [N, code], which `forward` accepts as a label.

        Raises NotImplementedError for a head that reads no labels.
        """
        raise NotImplementedError

    def widen(self, more: int) -> "Head":
        """Returns a new head of the same kind with inputs for `more` additional features."""
        return type(self)(self.linear.in_features + more, self.linear.bias is not None)


class ProjectionHead(Head):
    """Projection head (Miyato and Koyama, 2018): psi(phi) + <embedding(y), phi>.

    It scores features [N, width] by themselves and by their fit to labels [N]; scores are [N].
    """

    def __init__(self, width: int, classes: int, bias: bool = True):
        super().__init__(width, bias)
        self.embedding = nn.Embedding(classes, width)

    def encode_label(self, label: Tensor) -> Tensor:
        return encode_condition(self.embedding, label)

    def forward(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        assert label is not None
        return super().forward(features) + (self.encode_label(label) * features).sum(1)

    def widen(self, more: int) -> Head:
        width, classes = self.linear.in_features + more, self.embedding.num_embeddings
        return ProjectionHead(width, classes, self.linear.bias is not None)


class AuxiliaryFeaturesHead(Head):
    """A head with additional features.

    `aside` computes them from the first `width` features.
    """

    def __init__(self, aside: nn.Module, width: int, head: Head):
        nn.Module.__init__(self)
        self.aside, self.width, self.head = aside, width, head

    def encode_label(self, label: Tensor) -> Tensor:
        return self.head.encode_label(label)

    def widen(self, more: int) -> Head:
        return AuxiliaryFeaturesHead(self.aside, self.width, self.head.widen(more))

    def forward(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        return self.head(torch.cat([features, self.aside(features[:, : self.width])], 1), label)


class Discriminator(nn.Module):
    """A body from images [N, ...] to maps [N, *shape], and a head on the flattened maps.

    Tricks can act on the maps before they are flattened. A task may add an auxiliary head on the
    features.
    """

    teller: nn.Module | None  # the auxiliary head, [N, width] => [N, ...]

    def __init__(self, body: nn.Module, shape: Shape, head: Head):
        super().__init__()
        self.body, self.shape, self.head, self.teller = body, shape, head, None

    @property
    def width(self) -> int:
        """The number of features."""
        return prod(self.shape)

    def features(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Returns flat features, [N, ...] => [N, width]. Conditional subclasses read the labels."""
        return self.body(x).flatten(1)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:  # [N, ...] => [N]
        return self.head(self.features(x, label), label)
