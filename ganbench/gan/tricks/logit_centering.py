"""Logit centering (Lin et al., 2025, "Adversarial Flow Models"): scores stay around 0.

It adds `weight · E(D(x) + D(G(z)))²` to the discriminator's loss, over pairs of a real and a fake.

Relativistic and Wasserstein losses read only differences between scores, so a constant can be added
to all of them. The term determines it, and acts on no difference within a pair.
"""

import torch

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.losses.base import Loss
from ganbench.gan.tasks.base import Terms

from .base import Trick


class LogitCentering(Trick):
    works_on_slices = True

    def __init__(self, weight: float = 0.01):
        super().__init__()
        if weight <= 0:
            raise ValueError(f"weight must be above 0, not {weight}")
        self.weight = weight

    def incompatibility(self, config: BuildConfig) -> str | None:
        if config.network.energy:
            return "logit centering moves all scores, and reconstruction errors cannot be moved"
        if not ignores_a_constant(config.loss):
            return (
                "logit centering determines a constant that a loss leaves free, and this loss has "
                "targets for scores; relativistic and wasserstein leave it free"
            )
        return None

    def discriminator_terms(self, pair: AdversarialBatch) -> Terms:
        total = pair.real_score + pair.fake_score
        yield "logit_centering", self.weight * total.square().mean()


def ignores_a_constant(loss: Loss) -> bool:
    """Returns whether the discriminator's loss stays if a constant is added to all its scores."""
    real, fake = torch.tensor([0.5, -1.0, 2.0]), torch.tensor([-0.25, 0.75, 1.5])
    moved = loss.discriminator_loss(real + 1, fake + 1)
    return bool(torch.allclose(moved, loss.discriminator_loss(real, fake)))
