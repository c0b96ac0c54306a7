"""The base class of feature extractors: images to features, and to logits of a classifier."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ganbench.counts import count_of
from ganbench.data.base import Data
from ganbench.deprecation import RenamedHooks, warn_renamed
from ganbench.evaluation.freed_memory import keep_freed_memory
from ganbench.evaluation.heartbeat import send_heartbeat
from ganbench.evaluation.metrics.feature_set import FeatureSet
from ganbench.renamed import EXTRACTOR_HOOKS

IMAGES_PER_EXTRACTION = 500
FORMER_FLAG = "tells_the_datas_classes"
TextEncoder = Callable[[Sequence[str]], Tensor]  # sentences => features [N, F]


class Extractor(nn.Module, RenamedHooks):
    """The base class of feature extractors.

    `forward` maps images or points to features [N, F] and, for a classifier, logits [N, K].
    """

    version: ClassVar[int] = 1
    neutral: ClassVar[dict[str, Any]] = {}
    renamed_hooks: ClassVar[Mapping[str, str]] = EXTRACTOR_HOOKS

    shape: tuple[int, ...] | None = None  # required [C, H, W]; None: any
    resize: ClassVar[str] = "none"  # how it resizes images inside
    takes_floats: ClassVar[bool] = False  # accepts unrounded images in [-1, 1] too

    def __init_subclass__(cls, **options: Any) -> None:
        """Accepts the flag of the last release that `predicts_classes_of` replaces."""
        super().__init_subclass__(**options)
        if (flag := vars(cls).get(FORMER_FLAG)) is not None:
            warn_renamed(f"{cls.__name__}.{FORMER_FLAG}", "predicts_classes_of(data)")
            cls.predicts_classes_of = lambda self, data: flag  # type: ignore[method-assign]

    def weights_hash(self) -> str | None:
        """Returns the SHA-256 of the weights file, or None for an extractor without weights."""
        return None

    def label_with_weights(self, label: str) -> str:
        """Returns the label for tables; names the weights if they are not the published ones."""
        return label

    def text_encoder(self) -> TextEncoder | None:
        """Returns the encoder of sentences into the space of the features, if there is one."""
        return None

    def predicts_classes_of(self, data: Data | None) -> bool:
        """Returns whether logits, if any, are of the classes of these data.

        Images that belong to no data set are None.
        """
        return True

    def frame_extractor(self) -> "Extractor | None":
        """Returns the extractor of a clip's single frames, or None if there is none."""
        return None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Maps uint8 [N, C, H, W] or points [N, D] to features [N, F] and logits [N, K] or None.

        With `takes_floats`, images may be float32 in [-1, 1] as well.
        """
        raise NotImplementedError


def describe_wrong_shape(extractor: Extractor, images: Tensor) -> str:
    """Returns how images differ from the shape that an extractor needs, or an empty text."""
    needed, given = extractor.shape, tuple(images.shape[1:])
    if needed is None or needed == given:
        return ""
    if needed[1:] == given[1:]:
        return f"it needs {count_of(needed[0], 'channel')}; the data have {given[0]}"
    return f"it needs examples of shape {list(needed)}; the data have {list(given)}"


@torch.no_grad()
@keep_freed_memory()
def extract_features(extractor: Extractor, images: Tensor) -> FeatureSet:
    """Computes features and logits of all images in batches.

    The result is on the device of the images, or on the CPU for MPS, which has no float64.
    """
    parts = [extract_batch(extractor, batch) for batch in images.split(IMAGES_PER_EXTRACTION)]
    place = torch.device("cpu") if images.device.type == "mps" else images.device
    features = torch.cat([features.float().to(place) for features, _ in parts])
    logits = [logits.float().to(place) for _, logits in parts if logits is not None]
    return FeatureSet(features, torch.cat(logits) if logits else None, images)


def extract_batch(extractor: Extractor, images: Tensor) -> tuple[Tensor, Tensor | None]:
    """Returns features and logits of one batch."""
    send_heartbeat()
    extracted: tuple[Tensor, Tensor | None] = extractor(images)
    return extracted
