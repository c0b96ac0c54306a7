"""Generator averaging (Yazici et al., 2019): samples come from a moving average of the generators.

What layers count by themselves, such as batch norm's statistics, the average counts on the same latents:
the statistics of the generator in training are not those of its average.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace

import torch
from torch import nn

from ..blueprint import Blueprint
from ..duel import Duel
from ..games.base import Game
from .base import Trick


class Ema(Trick):
    version = 2
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
        if any(True for _ in average.buffers()):
            for duel in duels:
                replace(duel, generator=average[duel.generator_name]).generate(duel.source)

    def sampler(self, generators: nn.ModuleDict) -> nn.ModuleDict:
        return self.average
