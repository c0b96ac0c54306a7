"""Minibatch standard deviation (Karras et al., 2018): variation in a batch as a feature.

There is one number for each `group` of images: the deviation of every feature in the group,
averaged. The paper appends it as a constant map before the last convolution. Here the head receives
it as one more feature.
"""

from torch import Tensor, nn

from ganbench.gan.batch_slices import gather_rows, slice_rows
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.networks.discriminator import AuxiliaryFeaturesHead, Discriminator

from .base import Trick
from .compatibility import refuse_energy, refuse_single_images


class GroupStandardDeviation(nn.Module):
    """The mean deviation of the features in a group: [N, width] => [N, 1].

    If `group` does not divide the batch, groups are smaller, or one group is the whole batch.
    """

    def __init__(self, group: int):
        super().__init__()
        self.group = group

    def forward(self, features: Tensor) -> Tensor:
        return slice_rows(self.compare(gather_rows(features)))

    def compare(self, features: Tensor) -> Tensor:
        count = len(features)
        group = next((g for g in range(self.group, 1, -1) if count % g == 0), count)
        variance = features.unflatten(0, (-1, group)).var(1, correction=0)
        deviation = variance.add(1e-8).sqrt().mean(1)  # the root has no gradient at 0
        return deviation.repeat_interleave(group)[:, None]


class MinibatchStd(Trick):
    works_on_slices = True
    phase = "structure"

    def __init__(self, group: int = 4):
        super().__init__()
        if group < 2:
            raise ValueError(f"a group must be at least 2, not {group}")
        self.group = group

    def incompatibility(self, config: BuildConfig) -> str | None:
        return refuse_energy("minibatch_std", config) or refuse_single_images(
            "minibatch_std", config
        )

    def transform_discriminator(self, discriminator: Discriminator) -> Discriminator:
        width, head = discriminator.width, discriminator.head.widen(1)
        discriminator.head = AuxiliaryFeaturesHead(GroupStandardDeviation(self.group), width, head)
        return discriminator
