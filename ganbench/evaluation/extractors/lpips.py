"""LPIPS (Zhang et al., 2018), the published image distance of perceptual path length.

It is a weighted sum of squared differences of VGG-16 feature maps. Human similarity judgements determined
the weights. The implementation is torch-fidelity's, at 64x64 pixels, with two weights files. Neither file
was available during development: tests use random weights.
"""

from typing import Any

from torch import Tensor, nn
from torch_fidelity.sample_similarity_base import SampleSimilarityBase
from torch_fidelity.sample_similarity_lpips import (
    NetLinLayer,
    SampleSimilarityLPIPS,
)
from torchvision.models import vgg16

from . import vgg16 as backbone
from .published import published
from .weight_files import lpips_file

LPIPS_FILE = published(lpips_file())
LPIPS_SIDE_PIXELS = 64  # pixels: images are resized to squares of this side
LPIPS_CHANNELS = (64, 128, 256, 512, 512)
LPIPS_BLOCK_ENDS = (4, 9, 16, 23, 30)  # layer index after each of VGG's five blocks


class LPIPS(SampleSimilarityLPIPS):
    """The LPIPS distance: two batches [N, 1 or 3, H, W] in [-1, 1] => distances [N].

    Grey images are repeated in all three channels.
    """

    def __init__(self) -> None:
        SampleSimilarityBase.__init__(self, "lpips")
        self.sample_similarity_resize, self.sample_similarity_dtype = LPIPS_SIDE_PIXELS, None
        self.L = len(LPIPS_CHANNELS)
        self.lins = [NetLinLayer(channels, use_dropout=True) for channels in LPIPS_CHANNELS]
        for number, layer in enumerate(self.lins):
            self.add_module(f"lin{number}", layer)
        weights = LPIPS_FILE.read_tensors(LPIPS_FILE.read())
        LPIPS_FILE.build_with_weights(lambda: self.load_state_dict(weights))
        self.net = VGG16Maps()
        self.requires_grad_(False).eval()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        sides = (side.add(1).mul(127.5).expand(-1, 3, -1, -1) for side in (x, y))
        distances: Tensor = super().forward(*sides)
        return distances

    @staticmethod
    def download() -> None:
        backbone.VGG16_FILE.download()
        LPIPS_FILE.download()


class VGG16Maps(nn.Module):
    """The feature maps of VGG-16 after each of its five blocks."""

    def __init__(self) -> None:
        super().__init__()
        file, network = backbone.VGG16_FILE, vgg16()
        weights = file.read_tensors(file.read())
        file.build_with_weights(lambda: network.load_state_dict(weights))
        starts = (0, *LPIPS_BLOCK_ENDS[:-1])
        self.blocks = nn.ModuleList(
            network.features[start:end] for start, end in zip(starts, LPIPS_BLOCK_ENDS, strict=True)
        )

    def forward(self, x: Tensor) -> list[Any]:
        block_maps = []
        for block in self.blocks:
            x = block(x)
            block_maps.append(x)
        return block_maps
