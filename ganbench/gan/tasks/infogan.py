"""InfoGAN (Chen et al., 2016): a part of the latents are codes, predicted from the fakes.

An auxiliary head Q predicts the codes of a fake. H(c) + E log Q(c | x) is a lower bound of their
mutual information with the fakes. It counts `weight` times for categorical codes and
`continuous_weight` times for codes uniform in [-1, 1]. Each of the `categorical` codes has
`categories` values. As in the authors' code, the generator, Q and the features below Q all maximize
the bound.
"""

from functools import partial
from math import log, pi

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, one_hot

from ganbench.data.base import IMAGE
from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.batch_slices import draw_rows
from ganbench.gan.build_config import BuildConfig

from .auxiliary_head import auxiliary_logits, with_auxiliary_head
from .base import MakeDiscriminator, MakeGenerator, Terms
from .unconditional import Unconditional

CODE_READER_WIDTH = 128  # hidden units of Q


class Information(Unconditional):
    """A task with codes behind the latents: categories one-hot, then continuous codes."""

    works_on_slices = True
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
            raise ValueError("there must be at least one code, and at least 2 categories")
        if weight <= 0 or continuous_weight <= 0:
            raise ValueError("weight and continuous_weight must be above 0")
        self.categorical, self.categories, self.continuous = categorical, categories, continuous
        self.weight, self.continuous_weight = weight, continuous_weight
        self.numbers = categorical * categories  # columns of one-hot categories
        self.codes = self.numbers + continuous

    def incompatibility(self, config: BuildConfig) -> str | None:
        if config.network.energy:
            return "codes are predicted from features, and this discriminator has reconstruction errors instead"
        if self.lengthens_each_frame(config):
            return "codes lengthen the latents of an example, and here each frame has its own"
        return super().incompatibility(config)

    def lengthens_each_frame(self, config: BuildConfig) -> bool:
        """Returns whether one more latent of the family is more than one number."""
        latent, shape = config.hyperparameters.latent, next(iter(config.shapes.values()))
        counts = [config.network.count_latents(latent + more, shape) for more in (0, 1)]
        return counts[1] - counts[0] != 1

    def build(
        self, config: BuildConfig, generator: MakeGenerator, discriminator: MakeDiscriminator
    ) -> None:
        latent, shape = config.hyperparameters.latent, config.shapes[IMAGE]
        self.latent = config.network.count_latents(latent, shape)
        source = latent + self.codes  # codes lengthen the last latents
        self.generators[IMAGE] = generator(IMAGE, config.network.build_generator(source, shape))
        telling = with_auxiliary_head(config.network, self.build_code_reader)
        self.discriminators[IMAGE] = discriminator(IMAGE, shape, telling)

    def build_code_reader(self, width: int) -> nn.Module:
        """Builds Q: category logits, means and log variances, [N, width] => [N, ...]."""
        return nn.Sequential(
            nn.Linear(width, CODE_READER_WIDTH),
            nn.BatchNorm1d(CODE_READER_WIDTH),
            nn.LeakyReLU(0.1),
            nn.Linear(CODE_READER_WIDTH, self.numbers + 2 * self.continuous),
        )

    def draw_latents(self, count: int, random: torch.Generator) -> Tensor:
        size, here = (count, self.categorical), random.device
        plain = super().draw_latents(count, random)
        draw_category = partial(torch.randint, self.categories)
        category = draw_rows(draw_category, size, generator=random, device=here)
        number = draw_rows(torch.rand, (count, self.continuous), generator=random, device=here)
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
    """Computes H(c) + E log Q for equally likely categories, summed over codes, in nats.

    Logits and one-hot codes are [N, codes, categories]; the result is a scalar.
    """
    entropy = logits.shape[1] * log(logits.shape[2])
    return entropy + (log_softmax(logits, 2) * code).sum((1, 2)).mean()


def continuous_information(mean: Tensor, log_variance: Tensor, code: Tensor) -> Tensor:
    """Computes H(c) + E log Q for codes uniform in [-1, 1], with Q a normal density, in nats.

    All arguments are [N, codes]; the result is a scalar, summed over codes.
    """
    entropy = code.shape[1] * log(2)
    squared = (code - mean).square() / log_variance.exp()
    return entropy - 0.5 * (squared + log_variance + log(2 * pi)).sum(1).mean()
