"""DINOv2 (Oquab et al., 2024): the class token of a self-supervised vision transformer.

FID on these features has the formula of FD-DINOv2 (Stein et al., 2023), which agrees with human judgement better
than FID on Inception features. That paper uses `vit-l-14` and resizes images with Pillow's bicubic filter. Here the
extractor of torch-fidelity resizes them, as TensorFlow 1 did. So values are not comparable with published ones.

This module has its own network, because torch.hub would download and run Meta's code. The weights are
Meta's; their file has no published checksum. They were not available during development. Tests use random
weights and compare with Meta's code if it is installed.
"""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.feature_extractor_dinov2 import FeatureExtractorDinoV2

from .fidelity import FidelityExtractor
from .published import PublishedWeights, Weights, published
from .weight_files import Dinov2Model as Model
from .weight_files import dinov2_file

DEFAULT_DINOV2_MODEL: Model = "vit-l-14"  # the model of FD-DINOv2
CHANNELS_PER_HEAD = 64  # features per attention head, in all models
POSITION_OFFSET = 0.1  # added to the grid side when positions are resampled, as in Meta's code


class DINOv2(FidelityExtractor):
    """The DINOv2 encoder: uint8 [N, 1 or 3, H, W] => features [N, F]; no logits."""

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
    return published(dinov2_file(model))


class DINOv2Embedding(FeatureExtractorDinoV2):
    """The extractor of torch-fidelity, with the network of this module instead of torch.hub's."""

    def __init__(self, weights: Weights):
        FeatureExtractorBase.__init__(self, "dinov2", ["dinov2"])
        self.feature_extractor_internal_dtype = torch.float32
        self.model = build_transformer(weights)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        features: tuple[Tensor, ...] = super().forward(x)
        return features


def build_transformer(weights: Weights) -> "VisionTransformer":
    """Builds the transformer with the depth, width and patch size of the weights."""
    tensors = {name: tensor for name, tensor in weights.items() if name != "mask_token"}
    depth = sum(name.endswith("attn.qkv.weight") for name in tensors)
    _, places, width = tensors["pos_embed"].shape
    network = VisionTransformer(
        width, depth, places - 1, patch=tensors["patch_embed.proj.weight"].shape[-1]
    )
    network.load_state_dict(tensors)
    return network.eval()


class VisionTransformer(nn.Module):
    """A vision transformer (Dosovitskiy et al., 2021): [N, 3, H, W] => [N, width].

    It is pre-normalized and has layer scale.
    """

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
        """Returns position embeddings for side x side patches, resampled from the trained grid."""
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
