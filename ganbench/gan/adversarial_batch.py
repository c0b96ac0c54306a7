"""A duel: one generator's batch of fakes against one batch of reals, before one discriminator."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from ganbench.gan.networks.discriminator import Discriminator

DiscriminatorInput = Callable[
    [Tensor, str], Tensor
]  # images, the role that they play => what is shown of them


def identity_input(x: Tensor, role: str) -> Tensor:
    return x


@dataclass(frozen=True, eq=False)
class AdversarialBatch:
    """Two batches and their judge. Features and scores are computed when first asked for, and once.

    A role says in whose name images are shown: views draw their noise by it, so that what one trick
    asks to have scored does not move the noise under another.
    """

    name: str  # the discriminator's name in its game
    generator_name: str
    generator: nn.Module
    discriminator: Discriminator
    source: Tensor  # what the generator was given: latents, or images of another domain
    real: Tensor  # [N, ...]
    fake: Tensor  # [N, ...]
    real_label: Tensor | None = None  # [N], the condition under which each is judged
    fake_label: Tensor | None = None
    discriminator_input: DiscriminatorInput = (
        identity_input  # what the discriminator is shown of an image
    )

    def generate(self, source: Tensor) -> Tensor:
        """Fakes of other sources, under the same conditions."""
        if self.fake_label is None:
            return self.generator(source)
        return self.generator(source, self.fake_label)

    def score(self, x: Tensor, role: str, label: Tensor | None = None) -> Tensor:
        """[N, ...] => [N], or [N / m] where views pack m, or maps [N, ...]."""
        return self.discriminator.head(self.features(x, role, label), label)

    def features(self, x: Tensor, role: str, label: Tensor | None = None) -> Tensor:
        """[N, ...] => [N, F]"""
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
        """The squared gradient of each score by what it was computed from: [M], [N, ...] => [M].

        It runs through the view, so packed images are differentiated together, and can itself be
        differentiated. Maps of scores are summed an example.
        """
        (gradient,) = torch.autograd.grad(score.sum(), x, create_graph=True)
        return gradient.reshape(len(score), -1).square().sum(1)

    def with_discriminator_input(self, view: DiscriminatorInput) -> "AdversarialBatch":
        return replace(self, discriminator_input=view)

    def with_real_leaves(self) -> "AdversarialBatch":
        """As leaves, but the fakes keep the graph that leads to their generator."""
        return replace(self, real=self.real.detach().requires_grad_())

    def with_leaves(self) -> "AdversarialBatch":
        """Cuts the graph at the images, so that penalties can differentiate scores by them."""
        return replace(
            self,
            real=self.real.detach().requires_grad_(),
            fake=self.fake.detach().requires_grad_(),
        )
