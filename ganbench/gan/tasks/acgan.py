"""ACGAN (Odena et al., 2017): the discriminator also predicts the class of each image.

The score itself does not depend on labels. The discriminator's loss adds `weight` times the
cross-entropy of the predicted classes of reals and fakes. The generator's loss adds `weight` times
that of its fakes.
"""

from torch import nn
from torch.nn.functional import cross_entropy

from ganbench.data.base import IMAGE
from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build_config import BuildConfig

from .auxiliary_head import auxiliary_logits, with_auxiliary_head
from .base import MakeDiscriminator, MakeGenerator, Terms
from .conditional import Conditional, with_labels


class Auxiliary(Conditional):
    works_on_slices = True
    scores_labels = False

    def __init__(self, weight: float = 1.0, truncation: float = 0.0):
        super().__init__(truncation)
        if weight <= 0:
            raise ValueError(f"weight must be above 0, not {weight}")
        self.weight = weight

    def build(
        self, config: BuildConfig, generator: MakeGenerator, discriminator: MakeDiscriminator
    ) -> None:
        latent, shape = config.hyperparameters.latent, config.shapes[IMAGE]
        plain, classes = config.network, config.classes
        self.latent = plain.count_latents(latent, shape)
        conditional = with_labels(config).network.build_generator(latent, shape)
        self.generators[IMAGE] = generator(IMAGE, conditional)
        telling = with_auxiliary_head(plain, lambda width: nn.Linear(width, classes))
        self.discriminators[IMAGE] = discriminator(IMAGE, shape, telling)

    def discriminator_terms(self, pairs: list[AdversarialBatch]) -> Terms:
        for pair in pairs:
            assert pair.real_label is not None
            real = cross_entropy(auxiliary_logits(pair, pair.real_features), pair.real_label)
            yield "classes_of_reals", self.weight * real
            yield from self.generator_terms([pair])

    def generator_terms(self, pairs: list[AdversarialBatch]) -> Terms:
        for pair in pairs:
            assert pair.fake_label is not None
            fake = cross_entropy(auxiliary_logits(pair, pair.fake_features), pair.fake_label)
            yield "classes_of_fakes", self.weight * fake
