"""R1 (Mescheder et al., 2018): penalizes the discriminator's gradient at the reals.

It adds `weight / 2 · E‖∇D(x)‖²` to the discriminator's loss.

`method='finite_difference'` estimates the squared norm from the slope along a random direction, as
in approximated R1 (Lin et al., 2025), and needs no double backward.
"""

from ganbench.gan.adversarial_batch import AdversarialBatch

from .finite_difference import ScoredImages
from .penalty_base import ZeroCenteredPenalty


class R1(ZeroCenteredPenalty):
    works_on_slices = True
    name = "R1"

    def penalized_images(self, pair: AdversarialBatch) -> ScoredImages:
        return ScoredImages(pair.real_score, pair.real, "real", pair.real_label)
