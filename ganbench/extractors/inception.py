"""Inception (Szegedy et al., 2016), as FID and IS were published with it: torch-fidelity's `inception-v3-compat`.

The weights are those of 2015, converted from TensorFlow; images of any size are resized inside as
TensorFlow 1 did. That its numbers are torch-fidelity's is tested only on machines that have the weights.
"""

import hashlib
import io
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor

from ..data.base import Missing
from ..data.place import root
from .base import Extractor

FILE = "weights-inception-2015-12-05-6726825d.pth"
SHA256 = "6726825d"  # how it begins, which the file's name states
LAYERS = ["2048", "logits_unbiased"]
AT_ONCE = 50  # images: inside they are 299x299, and half a gigabyte


class Inception(Extractor):
    tells_the_datas_classes = False
    resize = "TensorFlow 1's bilinear to 299x299"

    def __init__(self) -> None:
        super().__init__()
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        content = weights()
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.network = FeatureExtractorInceptionV3(
            "inception-v3-compat", LAYERS, feature_extractor_weights_path=tensors_alone(content)
        )

    def weights(self) -> str:
        return self.sha256

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 [N, 1 or 3, H, W] => features [N, 2048], logits [N, 1008]; grey is all three colours."""
        batches = x.expand(-1, 3, -1, -1).split(AT_ONCE)
        features, logits = zip(*map(self.network, batches), strict=True)
        return torch.cat(features), torch.cat(logits)

    @staticmethod
    def download() -> None:
        from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

        places()[0].parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(URL_INCEPTION_V3, str(places()[0]), hash_prefix=SHA256)


def places() -> list[Path]:
    """Where the weights may lie: where data do, or where torch-fidelity leaves them."""
    return [root() / "weights" / FILE, Path(torch.hub.get_dir()) / "checkpoints" / FILE]


def weights() -> bytes:
    """The weights' file; raises Missing if there is none, or another one in its place."""
    path = next((path for path in places() if path.is_file()), None)
    if path is None:
        told = f"Inception's weights are not on this machine: run `ganbench download inception`, or put {FILE}"
        raise Missing(f"{told} into {places()[0].parent}")
    content = path.read_bytes()
    if not hashlib.sha256(content).hexdigest().startswith(SHA256):
        raise Missing(f"{path} is damaged: delete it and run `ganbench download inception`")
    return content


def tensors_alone(content: bytes) -> io.BytesIO:
    """The weights once more, in memory: torch-fidelity would open a file as a pickle that may run code."""
    copy = io.BytesIO()
    try:
        torch.save(torch.load(io.BytesIO(content), "cpu", weights_only=True), copy)
    except UnpicklingError as error:
        raise Missing(f"{FILE} holds more than weights, and is not opened") from error
    copy.seek(0)
    return copy
