"""CLIP (Radford et al., 2021): image embeddings learned from captions.

Network and resizing are those of torch-fidelity. The published files are TorchScript programs, which can
run code. ganbench opens such a program only if its full SHA-256 is OpenAI's. Any other file must be a
plain dict of tensors. The published files were not available during development: tests use random weights.
"""

import io
import warnings
from typing import Literal

import torch
from torch import Tensor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.feature_extractor_clip import (
    FeatureExtractorCLIP,
    build_model,
)

from .base import TextEncoder
from .clip_text import build_text_tower, vocabulary_file
from .fidelity import FidelityExtractor
from .published import PublishedWeights, Weights, published
from .weight_files import clip_file

Model = Literal["rn50", "vit-b-32", "vit-b-16", "vit-l-14", "vit-l-14-336px"]

DEFAULT_CLIP_MODEL: Model = "vit-b-32"


class CLIP(FidelityExtractor):
    """The CLIP image encoder: uint8 [N, 1 or 3, H, W] => features [N, F]; no logits."""

    resize = "TensorFlow 1's bilinear to the network's own size"

    def __init__(self, model: Model = DEFAULT_CLIP_MODEL) -> None:
        file = published_clip(model)
        content = file.read()
        weights = (
            read_clip_program(content) if file.matches(content) else file.read_tensors(content)
        )
        text = file.build_with_weights(lambda: build_text_tower(weights))  # before `weights` change
        super().__init__(file, content, file.build_with_weights(lambda: CLIPEmbedding(weights)))
        self.text = text

    def text_encoder(self) -> TextEncoder | None:
        return None if self.text is None else self.text.encode_sentences

    @staticmethod
    def download(model: Model = DEFAULT_CLIP_MODEL) -> None:
        vocabulary_file().download()
        published_clip(model).download()


def published_clip(model: str) -> PublishedWeights:
    return published(clip_file(model))


def read_clip_program(content: bytes) -> Weights:
    """Returns the weights in a TorchScript program. The caller verifies its SHA-256 first."""
    with warnings.catch_warnings():  # PyTorch deprecates TorchScript; the published files stay
        warnings.simplefilter("ignore")
        return dict(torch.jit.load(io.BytesIO(content), "cpu").state_dict())


class CLIPEmbedding(FeatureExtractorCLIP):
    """The extractor of torch-fidelity, with weights from memory instead of a TorchScript file."""

    def __init__(self, weights: Weights):
        FeatureExtractorBase.__init__(self, "clip", ["clip"])
        self.feature_extractor_internal_dtype = torch.float32
        self.model = build_model(weights, torch.float32)
        self.resolution = self.model.visual.input_resolution

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        features: tuple[Tensor, ...] = super().forward(x)
        return features
