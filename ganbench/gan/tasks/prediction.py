"""Prediction (Mathieu et al., 2016): first frames are given, and the others predicted.

The generator's loss has three terms. `content` weights the absolute differences between
predicted and true frames, to the power of `exponent`. `gradient` weights the gradient difference loss: it
compares the absolute differences of neighbouring pixels. `adversarial` weights the adversarial term.
The weights are published. Differences are means over values, as in other tasks; the paper writes sums.

The discriminator scores whole clips: the given frames with the true or the predicted ones.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from ganbench.data.base import IMAGE
from ganbench.data.modality import refuse_other_than_clips
from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.networks.discriminator import Shape

from .base import Batches, Conditioning, Terms
from .restoration import Restoration
from .target_batch import TargetBatch, check_weights, with_target


class Prediction(Restoration):
    """`given` is the number of frames that the generator receives."""

    works_on_slices = True

    def __init__(
        self,
        given: int = 4,
        exponent: Literal[1, 2] = 1,
        content: float = 1.0,
        gradient: float = 1.0,
        adversarial: float = 0.05,
    ):
        super().__init__(content)
        check_weights(content=content, gradient=gradient, adversarial=adversarial)
        if given < 1:
            raise ValueError(f"given must be at least 1, not {given}")
        self.given, self.exponent = given, exponent
        self.gradient, self.adversarial = gradient, adversarial

    def incompatibility(self, config: BuildConfig) -> str | None:
        if list(config.shapes) != [IMAGE]:
            return f"prediction has one domain, not {' and '.join(config.shapes)}"
        shape = config.shapes[IMAGE]
        if refusal := refuse_other_than_clips("frames of clips are predicted", shape):
            return refusal
        if self.given >= shape[1]:
            return (
                f"{self.given} given frames leave none of {shape[1]} to predict: set given to less"
            )
        return config.network.translation_incompatibility(self.damaged_shape(shape), shape)

    def damage(self, images: Tensor) -> Tensor:
        return images[:, :, : self.given]

    def damaged_shape(self, shape: Shape) -> Shape:
        channels, _, *sides = shape
        return (channels, self.given, *sides)

    def make_pairs(self, batches: Batches, random: torch.Generator) -> list[AdversarialBatch]:
        (pair,) = super().make_pairs(batches, random)
        return [with_target(pair, pair.real, self.adversarial)]

    def generator_terms(self, pairs: list[AdversarialBatch]) -> Terms:
        for pair in pairs:
            assert isinstance(pair, TargetBatch)
            predicted, true = (x[:, :, self.given :] for x in (pair.output, pair.real))
            if self.content:
                yield "content", self.content * mean_power(predicted, true, self.exponent)
            if self.gradient:
                yield "gradient", self.gradient * gradient_difference(predicted, true)

    def conditioning(self, sources: Batches) -> Mapping[str, Conditioning]:
        clips = sources[IMAGE]
        given = self.damage(clips.images)
        return {IMAGE: Conditioning(labels=clips.labels, source=given, truth=clips.images)}


def mean_power(x: Tensor, y: Tensor, exponent: int) -> Tensor:
    """Computes the mean of |x − y|^exponent."""
    return (x - y).abs().pow(exponent).mean()


def gradient_difference(x: Tensor, y: Tensor) -> Tensor:
    """Computes the gradient difference loss of images [..., H, W], with the exponent 1.

    It is the mean over neighbours of | |difference in y| − |difference in x| |, summed over both axes.
    """
    rows, columns = (
        (y.diff(dim=axis).abs() - x.diff(dim=axis).abs()).abs().mean() for axis in (-2, -1)
    )
    return rows + columns
