"""Two time-scale update rule (Heusel et al., 2017): the discriminator learns faster.

The discriminator's learning rate becomes `ratio` times the generator's.
"""

from dataclasses import replace

from ganbench.gan.hyperparameters import Hyperparameters

from .base import Trick


class TTUR(Trick):
    works_on_slices = True
    phase = "plan"

    def __init__(self, ratio: float = 4.0):
        super().__init__()
        if ratio <= 0:
            raise ValueError(f"the ratio must be above 0, not {ratio}")
        self.ratio = ratio

    def configure_hyperparameters(self, hyperparameters: Hyperparameters) -> Hyperparameters:
        return replace(hyperparameters, discriminator_lr=self.ratio * hyperparameters.generator_lr)
