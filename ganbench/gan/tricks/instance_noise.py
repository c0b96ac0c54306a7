"""Instance noise (Sønderby et al., 2017): fading noise on the discriminator's input.

`D(x + ε)` and `D(G(z) + ε)`, each `ε` normal with deviation `std`.

The deviation falls linearly from `std` to 0 at the fraction `until` of the budget.
"""

import torch
from torch import Tensor

from ganbench.gan.batch_slices import draw_rows
from ganbench.rng import StepContext

from .base import Trick


class InstanceNoise(Trick):
    works_on_slices = True
    phase = "augment"
    deviation: Tensor  # of this step

    def __init__(self, std: float = 0.1, until: float = 1.0):
        super().__init__()
        if std <= 0 or not 0 < until <= 1:
            raise ValueError("std must be above 0 and until in (0, 1]")
        self.std, self.until = std, until
        self.register_buffer("deviation", torch.zeros(()), persistent=False)

    def begin_step(self, context: StepContext) -> None:
        super().begin_step(context)
        self.deviation.fill_(self.std * max(0.0, 1 - context.progress / self.until))

    def transform_discriminator_input(self, x: Tensor, role: str) -> Tensor:
        if self.context is None:
            return x
        random = self.context.of(role).random
        noise = draw_rows(torch.randn, x.shape, generator=random, device=x.device)
        return x + self.deviation * noise
