"""Matching-aware gradient penalty, MA-GP (Tao et al., 2022): at reals and their labels.

It adds `weight · E‖(∇ₓD, ∇ₑD)‖^power` to the discriminator's loss, with the gradient by the image
`x` and the code `e` of its label. This is the norm of both gradients together, as in the authors'
code; the paper adds the two norms. The gradient by the label does not train the encoder of labels.
"""

import torch

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.tasks.base import Terms

from .base import Trick
from .compatibility import refuse_batch_norm, refuse_unscored_labels


class MatchingPenalty(Trick):
    works_on_slices = True
    needs_double_backward = True

    def __init__(self, weight: float = 2.0, power: float = 6.0):
        super().__init__()
        if weight <= 0 or power < 1:
            raise ValueError("weight must be above 0 and power at least 1")
        self.weight, self.power = weight, power

    def incompatibility(self, config: BuildConfig) -> str | None:
        return refuse_unscored_labels("matching penalty", config) or refuse_batch_norm(
            "matching penalty", config
        )

    def discriminator_terms(self, pair: AdversarialBatch) -> Terms:
        head = pair.discriminator.head
        assert pair.real_label is not None
        code = head.encode_label(pair.real_label).detach().requires_grad_()
        score = head(pair.real_features, code)
        gradients = torch.autograd.grad(score.sum(), (pair.real, code), create_graph=True)
        squared = sum(x.reshape(len(score), -1).square().sum(1) for x in gradients)
        assert isinstance(squared, torch.Tensor)
        # A power below 2 has no gradient at 0.
        yield "matching_penalty", self.weight * squared.add(1e-12).pow(self.power / 2).mean()
