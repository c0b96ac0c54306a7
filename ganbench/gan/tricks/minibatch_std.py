"""Minibatch standard deviation (Karras et al., 2018): the discriminator's head sees how varied a batch is.

One number for each `group` images: the deviation of every feature among them, averaged. The paper appends
it as a constant map before the last convolution; these heads are linear on features, so it is one more.
"""

from torch import Tensor, nn

from ganbench.gan.build_config import BuildConfig
from ganbench.gan.networks.discriminator import AuxiliaryFeaturesHead, Discriminator

from .base import Trick
from .compatibility import refuse_energy


class GroupStandardDeviation(nn.Module):
    """[N, width] => [N, 1]; groups are smaller, or the whole batch, where they would not divide it."""

    def __init__(self, group: int):
        super().__init__()
        self.group = group

    def forward(self, features: Tensor) -> Tensor:
        count = len(features)
        group = next((g for g in range(self.group, 1, -1) if count % g == 0), count)
        variance = features.unflatten(0, (-1, group)).var(1, correction=0)
        deviation = variance.add(1e-8).sqrt().mean(1)  # the root has no gradient at 0
        return deviation.repeat_interleave(group)[:, None]


class MinibatchStd(Trick):
    phase = "structure"

    def __init__(self, group: int = 4):
        super().__init__()
        if group < 2:
            raise ValueError(f"a group must be at least 2, not {group}")
        self.group = group

    def incompatibility(self, config: BuildConfig) -> str | None:
        return refuse_energy("minibatch_std", config)

    def transform_discriminator(self, discriminator: Discriminator) -> Discriminator:
        width, head = discriminator.width, discriminator.head.widen(1)
        discriminator.head = AuxiliaryFeaturesHead(GroupStandardDeviation(self.group), width, head)
        return discriminator
