"""Spectral normalization (Miyato et al., 2018): the discriminator's linear layers have spectral norm 1.

So do convolutions, as matrices of output channels by all else, with one power iteration a pass, as
published. It takes the place of the discriminator's other normalization, as in the paper, unless
`keep_norm` is set: against a network that has one, its effect is that of the exchange.
"""

from dataclasses import replace

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from ..networks.base import Network
from ..networks.discriminator import Discriminator
from .base import Trick


class SpectralNorm(Trick):
    phase = "weights"

    def __init__(self, iterations: int = 1, keep_norm: bool = False):
        super().__init__()
        if iterations < 1:
            raise ValueError(f"power iterations must be at least 1, not {iterations}")
        self.iterations, self.keep_norm = iterations, keep_norm

    def network(self, network: Network) -> Network:
        return network if self.keep_norm else replace(network, norm="none")

    def discriminator(self, discriminator: Discriminator) -> Discriminator:
        for module in list(discriminator.modules()):
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                spectral_norm(module, n_power_iterations=self.iterations)
        return discriminator
