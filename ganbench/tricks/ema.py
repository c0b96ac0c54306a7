"""Generator averaging (Yazici et al., 2019): samples come from a moving average of the generators."""

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import nn

from ..blueprint import Blueprint
from ..duel import Duel
from ..games.base import Game
from .base import Trick


class Ema(Trick):
    phase = "averaging"

    def __init__(self, decay: float = 0.999):
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(f"decay must lie in [0, 1), not {decay}")
        self.decay = decay

    def attach(self, game: Game, blueprint: Blueprint) -> None:
        self.average = deepcopy(game.generators).requires_grad_(False)

    @torch.no_grad()
    def after_generators(self, game: Game, duels: Sequence[Duel]) -> None:
        average, now = self.average, game.generators
        for mean, parameter in zip(average.parameters(), now.parameters(), strict=True):
            mean.lerp_(parameter, 1 - self.decay)
        for kept, buffer in zip(average.buffers(), now.buffers(), strict=True):
            kept.copy_(buffer)

    def sampler(self, generators: nn.ModuleDict) -> nn.ModuleDict:
        return self.average
