"""PacGAN (Lin et al., 2018): the discriminator scores several images at once, as channels.

A batch keeps its number of images, so that budgets are comparable, and has fewer packs. The authors
draw as many packs as other GANs draw images.
"""

from torch import Tensor

from ganbench.gan.build_config import BuildConfig

from .base import Trick
from .compatibility import BATCH_COMPARING_TRICKS, has_conditions_per_sample, refuse_single_images


class PacGAN(Trick):
    works_on_slices = True
    phase = "pack"

    def __init__(self, pack: int = 2):
        super().__init__()
        if pack < 2:
            raise ValueError(f"pack must be at least 2, not {pack}")
        self.pack = pack

    def incompatibility(self, config: BuildConfig) -> str | None:
        if config.hyperparameters.batch % self.pack:
            return f"PacGAN cannot pack a batch of {config.hyperparameters.batch} in {self.pack}s"
        for trick in BATCH_COMPARING_TRICKS:
            if trick in config.tricks and (
                reason := refuse_single_images(trick, config, self.pack)
            ):
                return reason
        if has_conditions_per_sample(config):
            return "PacGAN scores several images at once, and here each image has its own label or code"
        return None

    def slicing_incompatibility(self, rows: int) -> str | None:
        if rows % self.pack == 0:
            return None
        return f"PacGAN packs {self.pack} images, and each process has {rows}"

    def transform_discriminator_input(
        self, x: Tensor, role: str
    ) -> Tensor:  # [N, C, ...] => [N / pack, pack * C, ...]
        return x.reshape(len(x) // self.pack, self.pack * x.shape[1], *x.shape[2:])
