"""Width-scaled rates (Hyun et al., 2025): wider networks learn more slowly.

Both learning rates are multiplied by `reference / width`, with the setting `width` of the networks.

A rate that suits one width is else too high for wider networks, so that a comparison of widths is
one of rates, too. At the width `reference` the trick changes nothing.
"""

from dataclasses import replace

from ganbench.gan.build_config import BuildConfig
from ganbench.gan.hyperparameters import Hyperparameters
from ganbench.gan.networks.base import Network, family_name

from .base import Trick


class WidthScaledRates(Trick):
    works_on_slices = True
    phase = "plan"

    def __init__(self, reference: int = 64):
        super().__init__()
        if reference < 1:
            raise ValueError(f"the reference must be at least 1, not {reference}")
        self.reference, self.factor = reference, 1.0

    def configure_network(self, network: Network) -> Network:
        width = getattr(network, "width", None)
        self.factor = self.reference / width if width else 1.0
        return network

    def incompatibility(self, config: BuildConfig) -> str | None:
        if getattr(config.network, "width", None):
            return None
        family = family_name(config.network)
        return f"width-scaled rates need a network with a width, and {family} has none"

    def configure_hyperparameters(self, hyperparameters: Hyperparameters) -> Hyperparameters:
        return replace(
            hyperparameters,
            generator_lr=self.factor * hyperparameters.generator_lr,
            discriminator_lr=self.factor * hyperparameters.discriminator_lr,
        )
