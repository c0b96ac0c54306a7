"""Label interpolation, GAN-INT (Reed et al., 2016): fakes of codes between two labels.

The generator's loss adds `weight` times its loss for fakes of the mean of two labels' codes, such as
those of two captions. The discriminator scores them with the mean of its own codes. It is never
trained on such codes, and so interpolates too.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.losses.base import Loss, WrappedLoss
from ganbench.gan.networks.base import family_name

from .base import Trick
from .compatibility import refuse_single_images, refuse_unscored_labels
from .mismatch import choose_other_labels


@dataclass(frozen=True, kw_only=True)
class InterpolatedLoss(WrappedLoss):
    """A loss with fakes between two labels on the generator's side."""

    pair: AdversarialBatch
    weight: float

    def generator_loss(self, fake: Tensor, real: Tensor | None) -> Tensor:
        between = self.inner.generator_loss(self.score_between(), real)
        return self.inner.generator_loss(fake, real) + self.weight * between

    def score_between(self) -> Tensor:
        """Returns scores of fakes of the mean code of each label and another one."""
        assert self.pair.fake_label is not None
        generator: Any = self.pair.generator
        labels = (self.pair.fake_label, choose_other_labels(self.pair.fake_label))
        codes = [
            torch.stack([network.encode_label(label) for label in labels]).mean(0)
            for network in (generator, self.pair.discriminator.head)
        ]
        fake = generator(self.pair.source, codes[0])
        return self.pair.score(fake, "label_interpolation", codes[1])


class LabelInterpolation(Trick):
    works_on_slices = True
    phase = "votes"

    def __init__(self, weight: float = 1.0):
        super().__init__()
        if weight <= 0:
            raise ValueError(f"the weight must be above 0, not {weight}")
        self.weight = weight

    def incompatibility(self, config: BuildConfig) -> str | None:
        if refusal := refuse_unscored_labels("label interpolation", config):
            return refusal
        if not config.network.encodes_labels:
            family = family_name(config.network)
            return f"label interpolation needs one code for each label, and {family} has several"
        return refuse_single_images("label interpolation", config)

    def transform_loss(self, loss: Loss, pair: AdversarialBatch) -> Loss:
        return InterpolatedLoss(
            inner=loss, generator_weight=loss.generator_weight, pair=pair, weight=self.weight
        )
