"""The base class of torch-fidelity's networks (Obukhov et al., 2020) as extractors.

They take uint8 images and resize them inside.
"""

import hashlib

import torch
from torch import Tensor, nn

from ganbench.data.base import Data

from .base import Extractor
from .published import PublishedWeights

FIDELITY_BATCH = 25  # images of 224x224 or more inside: 1.5 gigabytes in all


class FidelityExtractor(Extractor):
    """The base class of extractors that run a network of torch-fidelity.

    `network` maps uint8 [N, 3, H, W] to a tuple of features [N, F] and, for a classifier, logits [N, K].
    """

    def __init__(self, published: PublishedWeights, content: bytes, network: nn.Module):
        super().__init__()
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.published = published
        self.is_published = published.matches(content)
        self.network = network.requires_grad_(False).eval()

    def predicts_classes_of(self, data: Data | None) -> bool:
        return False

    def weights_hash(self) -> str:
        return self.sha256

    def label_with_weights(self, label: str) -> str:
        if not self.published.sha256:  # no published checksum to compare with
            return f"{label} with weights {self.sha256[:8]}"
        return label if self.is_published else f"{label} with other weights ({self.sha256[:8]})"

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Maps uint8 [N, 1 or 3, H, W] to features [N, F] and logits [N, K] or None.

        Grey images are repeated in all three channels.
        """
        outputs = [self.network(part) for part in x.expand(-1, 3, -1, -1).split(FIDELITY_BATCH)]
        features, *logits = (torch.cat(parts) for parts in zip(*outputs, strict=True))
        return features, logits[0] if logits else None
