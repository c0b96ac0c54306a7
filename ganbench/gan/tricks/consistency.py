"""Consistency (CR, Zhang et al., 2020; bCR, Zhao et al., 2021): augmentation keeps scores.

It adds `weight · E(D(x) − D(Tx))² + fakes · E(D(G(z)) − D(T G(z)))²` to the discriminator's loss.

`weight` counts for reals and `fakes` for fakes, 0 in CR and 10 in bCR. T mirrors an image half of
the time (`flip`), and shifts it by whole pixels, up to the share `shift` of its side. The mirror
image fills the border.
"""

import torch
from torch import Tensor

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.tasks.base import Terms

from .augmentation_base import choose_examples, flip_chosen, refuse_without_pixels, shift_images
from .base import Trick


class Consistency(Trick):
    works_on_slices = True

    def __init__(
        self, weight: float = 10.0, fakes: float = 0.0, flip: bool = True, shift: float = 0.125
    ):
        super().__init__()
        if weight < 0 or fakes < 0 or weight == fakes == 0:
            raise ValueError("weight and fakes must not be below 0, nor both be 0")
        if not 0 <= shift <= 0.5 or not (flip or shift):
            raise ValueError("shift must lie in [0, 0.5], and be above 0 without flip")
        self.weight, self.fakes, self.flip, self.shift = weight, fakes, flip, shift

    def incompatibility(self, config: BuildConfig) -> str | None:
        return refuse_without_pixels("consistency", config)

    def discriminator_terms(self, pair: AdversarialBatch) -> Terms:
        assert self.context
        random = self.context.of(pair.name).random
        sides = (
            ("real", self.weight, pair.real, pair.real_label, pair.real_score),
            ("fake", self.fakes, pair.fake, pair.fake_label, pair.fake_score),
        )
        for role, weight, x, label, score in sides:
            if weight:
                # the role of the unchanged images, so that both get the same noise from other tricks
                changed = pair.score(self.augment(x, random), role, label)
                yield f"{role}_consistency", weight * (score - changed).square().mean()

    def augment(self, x: Tensor, random: torch.Generator) -> Tensor:
        if self.flip:
            x = flip_chosen(x, choose_examples(x, 0.5, random))
        return shift_images(x, self.shift, "reflect", random)
