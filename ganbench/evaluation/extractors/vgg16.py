"""VGG-16 (Simonyan and Zisserman, 2015), the extractor of improved precision and recall.

The features are those of the second hidden layer: torch-fidelity's extractor and layer (`fc2_relu`) with
torchvision's weights. There are no logits. The published file was not available during development: tests
use random weights.
"""

from torch_fidelity.feature_extractor_vgg16 import FeatureExtractorVGG16

from .fidelity import FidelityExtractor
from .published import published, weights_as_file
from .weight_files import vgg16_file

VGG16_FILE = published(vgg16_file())


class VGG16(FidelityExtractor):
    """VGG-16: uint8 [N, 1 or 3, H, W] => features [N, 4096]; no logits."""

    resize = "TensorFlow 1's bilinear to 224x224"

    def __init__(self) -> None:
        content = VGG16_FILE.read()
        weights = VGG16_FILE.read_tensors(content)
        network = VGG16_FILE.build_with_weights(
            lambda: FeatureExtractorVGG16(
                "vgg16", ["fc2_relu"], feature_extractor_weights_path=weights_as_file(weights)
            )
        )
        super().__init__(VGG16_FILE, content, network)

    @staticmethod
    def download() -> None:
        VGG16_FILE.download()
