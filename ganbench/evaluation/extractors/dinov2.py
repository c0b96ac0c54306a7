"""DINOv2 (Oquab et al., 2024): the class token of a vision transformer that learned without labels.

FID on these features is FD-DINOv2 (Stein et al., 2023), which agrees with people better than Inception's;
`vit-l-14` is what is published there. Images are resized and scaled by torch-fidelity's extractor. The
network is written here, since the published one is code that torch.hub would fetch and run; the weights
are Meta's, whose file states no checksum. They were not at hand when this was written: tests run random
weights, and compare with Meta's own code where that is installed.
"""

from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.feature_extractor_dinov2 import FeatureExtractorDinoV2

from .fidelity import FidelityExtractor
from .published import PublishedWeights, Weights

Model = Literal["vit-s-14", "vit-b-14", "vit-l-14"]
DEFAULT_DINOV2_MODEL: Model = "vit-l-14"  # of FD-DINOv2
DINOV2_URL = "https://dl.fbaipublicfiles.com/dinov2"
CHANNELS_PER_HEAD = 64  # features of one attention head, in all sizes
POSITION_OFFSET = 0.1  # by which Meta moves the grid that positions are resampled to


class DINOv2(FidelityExtractor):
    resize = "TensorFlow 1's bilinear to 224x224"

    def __init__(self, model: Model = DEFAULT_DINOV2_MODEL) -> None:
        file = published_dinov2(model)
        content = file.read()
        weights = file.read_tensors(content)
        super().__init__(file, content, file.build_with_weights(lambda: DINOv2Embedding(weights)))

    @staticmethod
    def download(model: Model = DEFAULT_DINOV2_MODEL) -> None:
        published_dinov2(model).download()


def published_dinov2(model: str) -> PublishedWeights:
    spec = "dinov2" if model == DEFAULT_DINOV2_MODEL else f"dinov2(model='{model}')"
    name = f"dinov2_{model.replace('-', '')}"  # vit-l-14 is dinov2_vitl14
    file = f"{name}_pretrain.pth"
    return PublishedWeights(spec, f"{DINOV2_URL}/{name}/{file}", file)


class DINOv2Embedding(FeatureExtractorDinoV2):
    """torch-fidelity's, with a network of ours in the place of the code that it would fetch."""

    def __init__(self, weights: Weights):
        FeatureExtractorBase.__init__(self, "dinov2", ["dinov2"])
        self.feature_extractor_internal_dtype = torch.float32
        self.model = build_transformer(weights)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        features: tuple[Tensor, ...] = super().forward(x)
        return features


def build_transformer(weights: Weights) -> "VisionTransformer":
    """The transformer that has such weights."""
    tensors = {name: tensor for name, tensor in weights.items() if name != "mask_token"}
    depth = sum(name.endswith("attn.qkv.weight") for name in tensors)
    _, places, width = tensors["pos_embed"].shape
    network = VisionTransformer(
        width, depth, places - 1, patch=tensors["patch_embed.proj.weight"].shape[-1]
    )
    network.load_state_dict(tensors)
    return network.eval()


class VisionTransformer(nn.Module):
    """Dosovitskiy et al.'s (2021), pre-normalized, with layer scale: [N, 3, H, W] => [N, width]."""

    def __init__(self, width: int, depth: int, places: int, patch: int):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + places, width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, patch, stride=patch)})
        self.blocks = nn.ModuleList(TransformerBlock(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.patch_embed["proj"](x)
        patches = maps.flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), patches], 1)
        tokens = tokens + self.resample_positions(maps.shape[-1])
        for block in self.blocks:
            tokens = block(tokens)
        class_token: Tensor = self.norm(tokens)[:, 0]
        return class_token

    def resample_positions(self, side: int) -> Tensor:
        """Those of so many patches a side, resampled from the ones that were trained."""
        own, grid = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        trained = round(grid.shape[1] ** 0.5)
        if trained == side:
            return self.pos_embed
        maps = grid.transpose(1, 2).unflatten(2, (trained, trained))
        maps = F.interpolate(maps, scale_factor=(side + POSITION_OFFSET) / trained, mode="bicubic")
        return torch.cat([own, maps.flatten(2).transpose(1, 2)], 1)


class TransformerBlock(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=1e-6) for _ in range(2))
        self.attn = MultiHeadAttention(width)
        self.ls1, self.ls2 = LayerScale(width), LayerScale(width)
        self.mlp = TransformerMLP(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        mixed: Tensor = x + self.ls2(self.mlp(self.norm2(x)))
        return mixed


class MultiHeadAttention(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        heads = self.qkv(x).unflatten(2, (3, -1, CHANNELS_PER_HEAD)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(*heads)  # [N, heads, tokens, HEAD]
        projected: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return projected


class TransformerMLP(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        projected: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return projected


class LayerScale(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma
