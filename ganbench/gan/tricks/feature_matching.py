"""Feature matching (Salimans et al., 2016): fakes should have the reals' mean features.

The generator's loss is `weight · ‖E f(G(z)) − E f(x)‖²`, with `f` the features that the
discriminator's head scores.

It replaces the adversarial term, as published; `adversarial` keeps a share of that term.
"""

from dataclasses import replace

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.batch_slices import mean_over_slices
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.losses.base import Loss
from ganbench.gan.tasks.base import Terms

from .base import Trick

TRICKS_ON_ADVERSARIAL_TERM = ("past_discriminators", "top_k")  # they change only this term


class FeatureMatching(Trick):
    works_on_slices = True
    phase = "loss"

    def __init__(self, weight: float = 1.0, adversarial: float = 0.0):
        super().__init__()
        if weight <= 0 or adversarial < 0:
            raise ValueError("weight must be above 0 and adversarial not below")
        self.weight, self.adversarial = weight, adversarial

    def incompatibility(self, config: BuildConfig) -> str | None:
        idle = [name for name in config.tricks if name in TRICKS_ON_ADVERSARIAL_TERM]
        if self.adversarial or not idle:
            return None
        return f"feature matching replaces the adversarial term, so {idle[0]} would change nothing"

    def transform_loss(self, loss: Loss, pair: AdversarialBatch) -> Loss:
        return replace(loss, generator_weight=self.adversarial * loss.generator_weight)

    def generator_terms(self, pair: AdversarialBatch) -> Terms:
        gap = pair.fake_features.mean(0) - pair.real_features.mean(0).detach()
        yield "feature_matching", self.weight * mean_over_slices(gap).square().sum()
