"""Inception v3 (Szegedy et al., 2016), the published extractor of FID and IS.

The network is `inception-v3-compat` of torch-fidelity, with the TensorFlow weights of 2015. It resizes
images of any size inside, as TensorFlow 1 did. The published file was not available during development.
Tests compare numbers with torch-fidelity under random weights, and on machines that have the file also
under its weights.
"""

from torch_fidelity import feature_extractor_inceptionv3 as theirs

from .fidelity import FidelityExtractor
from .published import PublishedWeights, published, weights_as_file
from .weight_files import inception_file

INCEPTION_LAYERS = ["2048", "logits_unbiased"]


class Inception(FidelityExtractor):
    """Inception v3: uint8 [N, 1 or 3, H, W] => features [N, 2048], logits [N, 1008].

    The logits have no bias.
    """

    resize = "TensorFlow 1's bilinear to 299x299"

    def __init__(self) -> None:
        file = published_inception()
        content = file.read()
        weights = file.read_tensors(content)
        network = file.build_with_weights(
            lambda: theirs.FeatureExtractorInceptionV3(
                "inception-v3-compat",
                INCEPTION_LAYERS,
                feature_extractor_weights_path=weights_as_file(weights),
            )
        )
        super().__init__(file, content, network)

    @staticmethod
    def download() -> None:
        published_inception().download()


def published_inception() -> PublishedWeights:
    return published(inception_file())
