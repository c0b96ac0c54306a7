"""Auxiliary heads: discriminators that predict labels or codes beside their score."""

from collections.abc import Callable

from torch import Tensor, nn

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.networks.base import Network
from ganbench.gan.networks.discriminator import Discriminator, Shape


def with_auxiliary_head(
    network: Network, teller: Callable[[int], nn.Module]
) -> Callable[[Shape], Discriminator]:
    """Returns a builder of discriminators with an auxiliary head.

    The second argument builds the head from the number of features.
    """

    def make_discriminator(shape: Shape) -> Discriminator:
        made = network.build_discriminator(shape)
        made.teller = teller(made.width)
        return made

    return make_discriminator


def auxiliary_logits(pair: AdversarialBatch, features: Tensor) -> Tensor:  # [N, width] => [N, ...]
    assert pair.discriminator.teller is not None
    return pair.discriminator.teller(features)
