"""InfoGAN (Chen et al., 2016): part of the latents are codes that can be read off the fakes again.

A reader Q beside the discriminator's head says what codes a fake was made of. H(c) + E log Q(c | x) bounds
their mutual information with the fakes from below. It counts `weight` times for categories, of which each of
the `categorical` codes has `categories`, and `continuous_weight` times for numbers uniform in [-1, 1]. Both
sides raise it, as in the authors' code: the generator, and Q with the features that it shares.
"""

from math import log, pi

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, one_hot

from ganbench.data.base import IMAGE
from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build_config import BuildConfig

from .auxiliary_head import auxiliary_logits, with_auxiliary_head
from .base import MakeDiscriminator, MakeGenerator, Terms
from .unconditional import Unconditional

CODE_READER_WIDTH = 128  # of the reader


class Information(Unconditional):
    """The codes stand behind the latents in a generator's source: categories one-hot, then numbers."""

    conditions_each_sample = True

    def __init__(
        self,
        categorical: int = 1,
        categories: int = 10,
        continuous: int = 2,
        weight: float = 1.0,
        continuous_weight: float = 0.1,
    ):
        super().__init__()
        if categorical < 0 or continuous < 0 or categorical == continuous == 0 or categories < 2:
            raise ValueError("there must be codes, and of categories at least 2")
        if weight <= 0 or continuous_weight <= 0:
            raise ValueError("weight and continuous_weight must be above 0")
        self.categorical, self.categories, self.continuous = categorical, categories, continuous
        self.weight, self.continuous_weight = weight, continuous_weight
        self.numbers = categorical * categories  # of the source that hold categories
        self.codes = self.numbers + continuous

    def incompatibility(self, config: BuildConfig) -> str | None:
        if config.network.energy:
            return "codes are read off features, and this discriminator makes reconstruction errors"
        return super().incompatibility(config)

    def build(
        self, config: BuildConfig, generator: MakeGenerator, discriminator: MakeDiscriminator
    ) -> None:
        self.latent, shape = config.hyperparameters.latent, config.shapes[IMAGE]
        source = self.latent + self.codes
        self.generators[IMAGE] = generator(IMAGE, config.network.build_generator(source, shape))
        telling = with_auxiliary_head(config.network, self.build_code_reader)
        self.discriminators[IMAGE] = discriminator(IMAGE, shape, telling)

    def build_code_reader(self, width: int) -> nn.Module:
        """Logits of the categories, then means and logarithmic variances: [N, width] => [N, ...]."""
        return nn.Sequential(
            nn.Linear(width, CODE_READER_WIDTH),
            nn.BatchNorm1d(CODE_READER_WIDTH),
            nn.LeakyReLU(0.1),
            nn.Linear(CODE_READER_WIDTH, self.numbers + 2 * self.continuous),
        )

    def draw_latents(self, count: int, random: torch.Generator) -> Tensor:
        size, here = (count, self.categorical), random.device
        plain = super().draw_latents(count, random)
        category = torch.randint(self.categories, size, generator=random, device=here)
        number = torch.rand(count, self.continuous, generator=random, device=here)
        return torch.cat([plain, one_hot(category, self.categories).flatten(1), 2 * number - 1], 1)

    def discriminator_terms(self, pairs: list[AdversarialBatch]) -> Terms:
        return self.generator_terms(pairs)

    def generator_terms(self, pairs: list[AdversarialBatch]) -> Terms:
        for pair in pairs:
            lower_bounds = auxiliary_logits(pair, pair.fake_features)
            categories, numbers = pair.source[:, self.latent :].tensor_split([self.numbers], 1)
            if self.categorical:
                logits = lower_bounds[:, : self.numbers].unflatten(1, (-1, self.categories))
                codes = categorical_information(logits, categories.view_as(logits))
                yield "information", -self.weight * codes
            if self.continuous:
                mean, variance = lower_bounds[:, self.numbers :].chunk(2, 1)
                codes = continuous_information(mean, variance, numbers)
                yield "continuous_information", -self.continuous_weight * codes


def categorical_information(logits: Tensor, code: Tensor) -> Tensor:
    """H(c) + E log Q of codes that are equally likely, summed: [N, codes, categories], one-hot => [] nats."""
    entropy = logits.shape[1] * log(logits.shape[2])
    return entropy + (log_softmax(logits, 2) * code).sum((1, 2)).mean()


def continuous_information(mean: Tensor, log_variance: Tensor, code: Tensor) -> Tensor:
    """The same of numbers uniform in [-1, 1], by normal densities: [N, codes] => [] nats."""
    entropy = code.shape[1] * log(2)
    squared = (code - mean).square() / log_variance.exp()
    return entropy - 0.5 * (squared + log_variance + log(2 * pi)).sum(1).mean()
