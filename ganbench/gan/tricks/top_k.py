"""Top-k training (Sinha et al., 2020): the generator trains on its best-scored fakes.

The share of the batch falls from 1 to `least`, by the same factor each step, until the fraction
`until` of the budget. The authors use a factor of 0.99 per epoch.
"""

from dataclasses import dataclass
from math import ceil

from torch import Tensor

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.batch_slices import gather_rows
from ganbench.gan.losses.base import Loss, WrappedLoss
from ganbench.rng import StepContext

from .base import Trick


@dataclass(frozen=True, kw_only=True)
class BestFakes(WrappedLoss):
    """A loss with the generator's side on only the best share of the fakes."""

    share: float

    def generator_loss(self, fake: Tensor, real: Tensor | None) -> Tensor:
        fake, real = gather_rows(fake), real if real is None else gather_rows(real)
        by_example = fake.detach().reshape(len(fake), -1).mean(1)  # the mean of a map of scores
        best = by_example.topk(ceil(self.share * len(fake))).indices
        return self.inner.generator_loss(fake[best], real if real is None else real[best])


class TopK(Trick):
    works_on_slices = True
    phase = "selection"

    def __init__(self, least: float = 0.5, until: float = 0.5):
        super().__init__()
        if not 0 < least < 1 or not 0 < until <= 1:
            raise ValueError("least must lie in (0, 1) and until in (0, 1]")
        self.least, self.until = least, until

    def graph_key(self, context: StepContext) -> float:
        return self.share_at(context.progress)

    def share_at(self, progress: float) -> float:
        """Returns the selected share of the fakes at a fraction of the budget."""
        return self.least ** min(1.0, progress / self.until)

    def transform_loss(self, loss: Loss, pair: AdversarialBatch) -> Loss:
        assert self.context
        share = self.share_at(self.context.progress)
        return BestFakes(inner=loss, generator_weight=loss.generator_weight, share=share)
