"""R2 (Mescheder et al., 2018): penalizes the discriminator's gradient at the fakes.

It adds `weight / 2 · E‖∇D(G(z))‖²` to the discriminator's loss.

`method='finite_difference'` estimates the squared norm from the slope along a random direction, and
needs no double backward.
"""

from ganbench.gan.adversarial_batch import AdversarialBatch

from .finite_difference import ScoredImages
from .penalty_base import ZeroCenteredPenalty


class R2(ZeroCenteredPenalty):
    works_on_slices = True
    name = "R2"

    def penalized_images(self, pair: AdversarialBatch) -> ScoredImages:
        return ScoredImages(pair.fake_score, pair.fake, "fake", pair.fake_label)
