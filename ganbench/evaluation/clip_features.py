"""Further feature sets of clips: of single frames, and of shuffled frames."""

from functools import cache

import torch
from torch import Tensor

from ganbench.data.modality import CLIPS, frames_of, modality_of
from ganbench.evaluation.extractors.base import Extractor, extract_features
from ganbench.evaluation.metrics.feature_set import FeatureSet

SHUFFLE_SEED = 2018


def add_clip_features(sample: FeatureSet, extractor: Extractor, device: torch.device) -> None:
    """Gives clips the functions `frames` and `shuffled`; other samples stay as they are.

    The functions extract once, when a metric first needs them.
    """
    if sample.images is None or modality_of(sample.images) is not CLIPS:
        return
    clips, single = sample.images, extractor.frame_extractor()

    def extract_frames() -> FeatureSet:
        assert single
        return extract_features(single, frames_of(clips).to(device))

    def extract_shuffled() -> FeatureSet:
        return extract_features(extractor, shuffle_frames(clips).to(device))

    sample.frames = cache(extract_frames) if single else None
    sample.shuffled = cache(extract_shuffled)


def shuffle_frames(clips: Tensor) -> Tensor:
    """Shuffles the frames of each clip, by fixed draws: [N, C, T, H, W] => the same."""
    random = torch.Generator().manual_seed(SHUFFLE_SEED)
    order = torch.rand(len(clips), clips.shape[2], generator=random).argsort(1).to(clips.device)
    index = order[:, None, :, None, None].expand(clips.shape)
    return clips.gather(2, index)
