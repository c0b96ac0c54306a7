"""VGG-16 (Simonyan and Zisserman, 2015): its second hidden layer, as improved precision and recall look through it.

torch-fidelity's extractor and layer (`fc2_relu`) with torchvision's weights; it gives no logits. The
published file was not at hand when this was written: tests run it with random weights.
"""

from torch_fidelity.feature_extractor_vgg16 import FeatureExtractorVGG16

from .fidelity import Fidelity
from .published import Published, once_more

FILE = Published(
    "vgg16",
    "https://download.pytorch.org/models/vgg16-397923af.pth",
    "vgg16-397923af.pth",
    "397923af",
)


class Vgg16(Fidelity):
    resize = "TensorFlow 1's bilinear to 224x224"

    def __init__(self) -> None:
        content = FILE.read()
        weights = FILE.tensors(content)
        network = FILE.fitted(
            lambda: FeatureExtractorVGG16(
                "vgg16", ["fc2_relu"], feature_extractor_weights_path=once_more(weights)
            )
        )
        super().__init__(FILE, content, network)

    @staticmethod
    def download() -> None:
        FILE.download()
