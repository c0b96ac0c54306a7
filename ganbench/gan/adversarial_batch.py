"""Adversarial batch: the fakes of one generator and the reals, for one discriminator."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from ganbench.deprecation import with_renamed_attributes
from ganbench.gan.networks.discriminator import Discriminator
from ganbench.renamed import ADVERSARIAL_BATCH_ATTRIBUTES

# images [N, ...] and their role => the discriminator's input
DiscriminatorInput = Callable[[Tensor, str], Tensor]


def identity_input(x: Tensor, role: str) -> Tensor:
    """Returns images unchanged, as the default discriminator input."""
    return x


@with_renamed_attributes(ADVERSARIAL_BATCH_ATTRIBUTES)
@dataclass(frozen=True, eq=False)
class AdversarialBatch:
    """A batch of reals, a batch of fakes and their discriminator. Variables are named `pair`.

    Features and scores are computed once, when they are first read. A role names the purpose of a
    scoring, such as `real`. Noise on the discriminator's input is drawn per role, so images that
    one trick scores do not change the noise of another trick.
    """

    name: str  # the discriminator's name in its task
    generator_name: str
    generator: nn.Module
    discriminator: Discriminator
    source: Tensor  # the generator's input: latents, or images of another domain
    real: Tensor  # [N, ...]
    fake: Tensor  # [N, ...]
    real_label: Tensor | None = None  # [N], the class that each real is scored for
    fake_label: Tensor | None = None
    discriminator_input: DiscriminatorInput = identity_input
    shares_generator: bool = False  # an earlier pair of the step has the same generator and source

    def generate(self, source: Tensor) -> Tensor:
        """Generates fakes from other sources [N, ...], with the labels of this batch."""
        if self.fake_label is None:
            return self.generator(source)
        return self.generator(source, self.fake_label)

    def score(self, x: Tensor, role: str, label: Tensor | None = None) -> Tensor:
        """Returns scores of images [N, ...]: [N], [N / m] for packs of m images, or maps [N, ...]."""
        return self.discriminator.head(self.features(x, role, label), label)

    def features(self, x: Tensor, role: str, label: Tensor | None = None) -> Tensor:
        """Returns the discriminator features of images: [N, ...] => [N, F]."""
        return self.discriminator.features(
            self.discriminator_input(x, f"{self.name}/{role}"), label
        )

    @cached_property
    def real_features(self) -> Tensor:
        return self.features(self.real, "real", self.real_label)

    @cached_property
    def fake_features(self) -> Tensor:
        return self.features(self.fake, "fake", self.fake_label)

    @cached_property
    def real_score(self) -> Tensor:
        return self.discriminator.head(self.real_features, self.real_label)

    @cached_property
    def fake_score(self) -> Tensor:
        return self.discriminator.head(self.fake_features, self.fake_label)

    def squared_gradient_norm(self, score: Tensor, x: Tensor) -> Tensor:
        """Computes the squared gradient norm of each score by its images: [M], [N, ...] => [M].

        The gradient passes through `discriminator_input`, so packed images are differentiated
        together. The result can be differentiated again. Maps of scores are summed for each
        example.
        """
        (gradient,) = torch.autograd.grad(score.sum(), x, create_graph=True)
        return gradient.reshape(len(score), -1).square().sum(1)

    def with_discriminator_input(self, function: DiscriminatorInput) -> "AdversarialBatch":
        """Returns a copy with another discriminator input."""
        return self.with_fields(discriminator_input=function)

    def with_real_leaves(self) -> "AdversarialBatch":
        """Returns a copy with reals cut from their graph; fakes keep the graph to the generator."""
        return self.with_fields(real=self.real.detach().requires_grad_())

    def with_leaves(self) -> "AdversarialBatch":
        """Returns a copy with all images as leaves, so that penalties can differentiate by them."""
        return self.with_fields(
            real=self.real.detach().requires_grad_(), fake=self.fake.detach().requires_grad_()
        )

    def with_fields(self, **changes: Any) -> "AdversarialBatch":
        """Returns a copy with other fields, as `replace` in a fifth of its time: steps need it."""
        pair = object.__new__(type(self))
        values = vars(self)
        vars(pair).update(
            {name: values[name] for name in type(self).__dataclass_fields__} | changes
        )
        return pair
