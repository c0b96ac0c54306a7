"""What games share that have the discriminator tell more of an image than whether it is real."""

from collections.abc import Callable

from torch import Tensor, nn

from ganbench.gan.adversarial_batch import Duel
from ganbench.gan.networks.base import Network
from ganbench.gan.networks.discriminator import Discriminator, Shape


def with_teller(
    network: Network, teller: Callable[[int], nn.Module]
) -> Callable[[Shape], Discriminator]:
    """A family's discriminators, with what reads so many features beside their heads."""

    def make(shape: Shape) -> Discriminator:
        made = network.discriminator(shape)
        made.teller = teller(made.width)
        return made

    return make


def told(duel: Duel, features: Tensor) -> Tensor:  # [N, width] => [N, ...]
    assert duel.discriminator.teller is not None
    return duel.discriminator.teller(features)
