"""Stacked (Metz et al., 2017): a one-channel classifier on each of three channels.

The features of the three channels are concatenated. The 10 digits per channel give 1,000 modes. The
classifier sees each channel alone, so the probability of a mode is the product of three digit
probabilities. The logit of a mode is the sum of their log-probabilities.
"""

from torch import Tensor

from ganbench.data import DATA
from ganbench.data.base import IMAGE, Data
from ganbench.registry import Spec

from .base import Extractor
from .classifier import Classifier, is_extractor_of


class Stacked(Extractor):
    """The classifier of the data set `of`, on each channel of an image with three channels."""

    takes_floats = True

    def __init__(self, of: str):
        super().__init__()
        self.each = Classifier(of)
        self.spec = Spec("stacked", (("of", of),))
        if (channels := DATA.make(of).shapes[IMAGE][0]) != 1:
            raise ValueError(f"stacked needs a data set of one channel, and {of} has {channels}")

        self.shape = (3, *DATA.make(of).shapes[IMAGE][1:])

    def predicts_classes_of(self, data: Data | None) -> bool:
        return is_extractor_of(data, self.spec)

    def weights_hash(self) -> str:
        return self.each.weights_hash()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Maps uint8 [N, 3, H, W] to features [N, 3 F] and logits [N, K * K * K].

        The class of the first channel is the leading digit of the mode.
        """
        features, logits = self.each(x.flatten(0, 1)[:, None])
        first, second, third = logits.log_softmax(1).unflatten(0, (len(x), 3)).unbind(1)
        joint = first[:, :, None, None] + second[:, None, :, None] + third[:, None, None, :]
        return features.unflatten(0, (len(x), 3)).flatten(1), joint.flatten(1)
