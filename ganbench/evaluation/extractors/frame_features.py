"""Frame features: clips in the features of an extractor of images.

The features of a clip are the means over its frames, and the mean sizes of changes from frame to frame.
So order matters, and a still clip has no changes. They are no published features: compare their FVD
only with other values of this extractor.
"""

import torch
from torch import Tensor

from ganbench.data.base import Data
from ganbench.data.modality import CLIPS, frames_of, modality_of

from .base import Extractor

FRAMES_AT_ONCE = 64  # networks of images enlarge them inside


class FrameFeatures(Extractor):
    """Features [N, 2 F] of clips from the features [N * T, F] of their frames; no logits.

    `of` is the extractor of images.
    """

    def __init__(self, of: str = "inception"):
        from . import EXTRACTORS

        super().__init__()
        self.frames: Extractor = EXTRACTORS.make(of)
        self.takes_floats = self.frames.takes_floats  # type: ignore[misc]
        self.resize = self.frames.resize  # type: ignore[misc]

    def predicts_classes_of(self, data: Data | None) -> bool:
        return False

    def weights_hash(self) -> str | None:
        return self.frames.weights_hash()

    def frame_extractor(self) -> Extractor:
        return self.frames

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        if modality_of(x) is not CLIPS or x.shape[2] < 2:
            raise RuntimeError("it reads clips of two frames or more")
        parts = [self.frames(part)[0] for part in frames_of(x).split(FRAMES_AT_ONCE)]
        of_clip = torch.cat(parts).unflatten(0, (len(x), -1))
        changes = of_clip.diff(dim=1).abs().mean(1)
        return torch.cat([of_clip.mean(1), changes], 1), None
