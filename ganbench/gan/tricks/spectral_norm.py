"""Spectral normalization (Miyato et al., 2018) of the discriminator's layers.

Linear and recurrent layers, convolutions and embeddings of labels have spectral norm 1. A
convolution counts as a matrix of output channels by all else. A recurrent cell has one matrix for
inputs and one for states. There is one power iteration per pass, as published. The trick removes
the discriminator's other normalization, as in the paper, unless `keep_norm` is set. So its effect
on a network with a norm is that of the exchange. `generator` normalizes the generators too, except
their embeddings (Zhang et al., 2019).
"""

from dataclasses import replace
from typing import Any, ClassVar

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from ganbench.gan.build_config import BuildConfig
from ganbench.gan.networks.base import Network, family_name
from ganbench.gan.networks.discriminator import Discriminator

from .base import Trick

NORMALIZED_LAYERS = (
    *(nn.Conv2d, nn.Conv3d, nn.Linear, nn.GRUCell),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)


class SpectralNorm(Trick):
    works_on_slices = True
    phase = "weights"
    changes_weights_in_forward = True
    neutral: ClassVar[dict[str, Any]] = {"generator": False}

    def __init__(self, iterations: int = 1, keep_norm: bool = False, generator: bool = False):
        super().__init__()
        if iterations < 1:
            raise ValueError(f"power iterations must be at least 1, not {iterations}")
        self.iterations, self.keep_norm, self.in_both = iterations, keep_norm, generator

    def incompatibility(self, config: BuildConfig) -> str | None:
        network = config.network
        if not network.begins_at_zero and not (self.in_both and network.generator_begins_at_zero):
            return None
        family = family_name(config.network)
        return f"spectral norm divides weights by their norm, and some weights of {family} begin at zero"

    def configure_network(self, network: Network) -> Network:
        return network if self.keep_norm else replace(network, norm="none")

    def transform_generator(self, generator: nn.Module) -> nn.Module:
        if self.in_both:
            self.normalize(generator, NORMALIZED_LAYERS)
        return generator

    def transform_discriminator(self, discriminator: Discriminator) -> Discriminator:
        self.normalize(discriminator, (*NORMALIZED_LAYERS, nn.Embedding))
        return discriminator

    def normalize(self, network: nn.Module, kinds: tuple[type[nn.Module], ...]) -> None:
        for module in list(network.modules()):
            for name in weight_names(module) if isinstance(module, kinds) else ():
                # On the meta device, power iterations would take a second per network.
                if not getattr(module, name).is_meta:
                    spectral_norm(module, name, n_power_iterations=self.iterations)


def weight_names(module: nn.Module) -> tuple[str, ...]:
    """Returns the names of a layer's matrices: a recurrent cell has one for inputs and states."""
    return ("weight_ih", "weight_hh") if isinstance(module, nn.GRUCell) else ("weight",)
