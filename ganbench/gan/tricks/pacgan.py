"""PacGAN (Lin et al., 2018): the discriminator judges several images at once, as channels.

A batch stays as many images, so that budgets mean the same, and is judged in fewer packs; the authors
draw as many packs as others draw images.
"""

from torch import Tensor

from ganbench.gan.build_config import BuildConfig

from .base import Trick
from .compatibility import has_conditions_per_sample


class PacGAN(Trick):
    phase = "pack"

    def __init__(self, pack: int = 2):
        super().__init__()
        if pack < 2:
            raise ValueError(f"a pack is at least 2, not {pack}")
        self.pack = pack

    def incompatibility(self, config: BuildConfig) -> str | None:
        if config.hyperparameters.batch % self.pack:
            return f"PacGAN cannot pack a batch of {config.hyperparameters.batch} in {self.pack}s"
        if has_conditions_per_sample(config):
            return "PacGAN judges several images at once, and here each is judged by its own label"
        return None

    def transform_discriminator_input(
        self, x: Tensor, role: str
    ) -> Tensor:  # [N, C, ...] => [N / pack, pack * C, ...]
        return x.reshape(len(x) // self.pack, self.pack * x.shape[1], *x.shape[2:])
