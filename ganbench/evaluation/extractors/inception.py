"""Inception (Szegedy et al., 2016), as FID and IS were published with it: torch-fidelity's `inception-v3-compat`.

The weights are those of 2015, converted from TensorFlow; images of any size are resized inside as
TensorFlow 1 did. That its numbers are torch-fidelity's is tested only on machines that have the weights.
"""

from torch_fidelity import feature_extractor_inceptionv3 as theirs

from .fidelity import Fidelity
from .published import Published, once_more

LAYERS = ["2048", "logits_unbiased"]


class Inception(Fidelity):
    resize = "TensorFlow 1's bilinear to 299x299"

    def __init__(self) -> None:
        file = published()
        content = file.read()
        weights = file.tensors(content)
        network = file.fitted(
            lambda: theirs.FeatureExtractorInceptionV3(
                "inception-v3-compat",
                LAYERS,
                feature_extractor_weights_path=once_more(weights),
            )
        )
        super().__init__(file, content, network)

    @staticmethod
    def download() -> None:
        published().download()


def published() -> Published:
    return Published(
        "inception",
        theirs.URL_INCEPTION_V3,
        "weights-inception-2015-12-05-6726825d.pth",
        "6726825d",
        flag="--inception-weights",
    )
