"""An extractor maps images to features, and to logits if it classifies, in one pass."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ganbench.deprecation import RenamedHooks
from ganbench.evaluation.metrics.feature_set import FeatureSet
from ganbench.renamed import EXTRACTOR_HOOKS

IMAGES_PER_EXTRACTION = 500


class Extractor(nn.Module, RenamedHooks):
    version: ClassVar[int] = 1
    neutral: ClassVar[dict[str, Any]] = {}
    renamed_hooks: ClassVar[Mapping[str, str]] = EXTRACTOR_HOOKS

    tells_the_datas_classes: ClassVar[bool] = True  # where it gives logits
    shape: tuple[int, ...] | None = None  # [C, H, W] of the only images that it sees, or any
    resize: ClassVar[str] = "none"  # the rule by which images come to the size that it sees
    takes_floats: ClassVar[bool] = (
        False  # does it see images in [-1, 1] too, which nobody has rounded?
    )

    def weights_hash(self) -> str | None:
        """SHA-256 of the file that the weights come from, or None if there are none."""
        return None

    def label_with_weights(self, label: str) -> str:
        """What tables call it, who know it by this label: with other weights it is not the same."""
        return label

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """uint8 [N, C, H, W] or points [N, D] => features [N, F], logits [N, K] or None.

        If it `takes_floats`, images may be float32 in [-1, 1] as well.
        """
        raise NotImplementedError


@torch.no_grad()
def extract_features(extractor: Extractor, images: Tensor) -> FeatureSet:
    """Features and logits of all images, on their device; on the CPU if that knows no float64."""
    parts = [extractor(batch) for batch in images.split(IMAGES_PER_EXTRACTION)]
    place = torch.device("cpu") if images.device.type == "mps" else images.device
    features = torch.cat([features.float().to(place) for features, _ in parts])
    logits = [logits.float().to(place) for _, logits in parts if logits is not None]
    return FeatureSet(features, torch.cat(logits) if logits else None, images)
