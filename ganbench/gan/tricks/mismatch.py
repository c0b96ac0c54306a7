"""Mismatch (Reed et al., 2016): reals with another example's label count as fakes.

With a share `weight`, reals with a wrong label replace fakes in the discriminator's loss. So it
learns whether an image fits its label, such as a caption, and not only whether it looks real. The
published weight of 0.5 makes both halves equal.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.batch_slices import gather_rows, slice_rows
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.losses.base import Loss, WrappedLoss

from .base import Trick
from .compatibility import refuse_single_images, refuse_unscored_labels


@dataclass(frozen=True, kw_only=True)
class MismatchedLoss(WrappedLoss):
    """A loss with a share of reals of wrong labels among the discriminator's fakes."""

    pair: AdversarialBatch
    weight: float

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        assert self.pair.real_label is not None
        wrong = self.pair.discriminator.head(
            self.pair.real_features, choose_other_labels(self.pair.real_label)
        )
        as_fake = self.inner.discriminator_loss(real, wrong)
        return self.inner.discriminator_loss(real, fake).lerp(as_fake, self.weight)


class Mismatch(Trick):
    works_on_slices = True
    phase = "votes"

    def __init__(self, weight: float = 0.5):
        super().__init__()
        if not 0 < weight < 1:
            raise ValueError(f"the weight must lie in (0, 1), not {weight}")
        self.weight = weight

    def incompatibility(self, config: BuildConfig) -> str | None:
        return refuse_unscored_labels("mismatch", config) or refuse_single_images(
            "mismatch", config
        )

    def transform_loss(self, loss: Loss, pair: AdversarialBatch) -> Loss:
        return MismatchedLoss(
            inner=loss, generator_weight=loss.generator_weight, pair=pair, weight=self.weight
        )


def choose_other_labels(labels: Tensor) -> Tensor:
    """Returns for each example the next different label of its batch, in a circle: [N] => [N].

    A batch of a single label has no other one, and is returned as it is.
    """
    whole = gather_rows(labels)
    place = torch.arange(len(whole), device=whole.device)
    distance = (place[None] - place[:, None]) % len(whole)
    distance = distance.masked_fill(whole[None] == whole[:, None], len(whole))
    return slice_rows(whole[distance.argmin(1)])
