"""A game: which networks play, and whose fakes meet which reals."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..blueprint import Blueprint
from ..data.base import Batch
from ..duel import Duel
from ..networks.discriminator import Discriminator, Shape

Terms = Iterable[tuple[str, Tensor]]  # named scalars that add to an objective

# How a game gets its networks: a trick may have had its say over each.
MakeGenerator = Callable[[str, nn.Module], nn.Module]  # name, plain generator => generator
MakeDiscriminator = Callable[[str, Shape], Discriminator]  # name, shape of what it judges


class Game(nn.Module):
    """Generators and discriminators by name. `__init__` takes a game's settings, `build` its networks."""

    version: ClassVar[int] = 1
    neutral: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.generators = nn.ModuleDict()  # trained on the generators' turn
        self.discriminators = nn.ModuleDict()  # trained on the discriminators' turn

    def build(
        self,
        blueprint: Blueprint,
        generator: MakeGenerator,
        discriminator: MakeDiscriminator,
    ) -> None:
        """Fills both sides with networks for the blueprint's shapes."""
        raise NotImplementedError

    def play(self, batches: Mapping[str, Batch], random: torch.Generator) -> list[Duel]:
        raise NotImplementedError

    def discriminator_terms(self, duels: list[Duel]) -> Terms:
        """What the discriminators owe the game besides telling real from fake."""
        return ()

    def generator_terms(self, duels: list[Duel]) -> Terms:
        """What the generators owe the game besides fooling the discriminators."""
        return ()

    def sample(
        self,
        generators: nn.ModuleDict,
        count: int,
        random: torch.Generator,
        labels: Tensor | None = None,
    ) -> Tensor:
        """Fakes of the given generators, which a trick may have averaged: [count, ...] in [-1, 1]."""
        raise NotImplementedError
