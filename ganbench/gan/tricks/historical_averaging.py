"""Historical averaging (Salimans et al., 2016): each side stays near the mean of its own past.

It adds `weight · ‖θ − mean of θ so far‖²` to each side.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ganbench.gan.adversarial_batch import Duel
from ganbench.gan.build_config import Blueprint
from ganbench.gan.tasks.base import Game, Terms

from .base import Trick


class History(nn.Module):
    """The mean of a module's parameters over the turns so far, the initial ones counted."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.means = nn.ParameterList(
            nn.Parameter(p.detach().clone(), requires_grad=False) for p in module.parameters()
        )
        self.count: Tensor
        self.register_buffer("count", torch.ones(()))

    @torch.no_grad()
    def follow(self, module: nn.Module) -> None:
        self.count += 1
        for mean, now in zip(self.means, module.parameters(), strict=True):
            mean += (now - mean) / self.count

    def distance(self, module: nn.Module) -> Tensor:  # squared, summed over all parameters
        pairs = zip(self.means, module.parameters(), strict=True)
        return torch.stack([(now - mean).square().sum() for mean, now in pairs]).sum()


class HistoricalAveraging(Trick):
    def __init__(self, weight: float = 1.0):
        super().__init__()
        if weight <= 0:
            raise ValueError(f"weight must be above 0, not {weight}")
        self.weight = weight

    def attach(self, game: Game, blueprint: Blueprint) -> None:
        self.discriminators = histories(game.discriminators)
        self.generators = histories(game.generators)

    def discriminator_terms(self, duel: Duel) -> Terms:
        past = past_of(self.discriminators, duel.name)
        yield "discriminator_history", self.weight * past.distance(duel.discriminator)

    def generator_terms(self, duel: Duel) -> Terms:
        past = past_of(self.generators, duel.generator_name)
        yield "generator_history", self.weight * past.distance(duel.generator)

    def after_discriminators(self, game: Game, duels: Sequence[Duel]) -> None:
        for name, network in game.discriminators.items():
            past_of(self.discriminators, name).follow(network)

    def after_generators(self, game: Game, duels: Sequence[Duel]) -> None:
        for name, network in game.generators.items():
            past_of(self.generators, name).follow(network)


def histories(networks: nn.ModuleDict) -> nn.ModuleDict:
    return nn.ModuleDict({name: History(network) for name, network in networks.items()})


def past_of(pasts: nn.ModuleDict, name: str) -> History:
    past = pasts[name]
    assert isinstance(past, History)
    return past
