"""A bare training loop over the same modules: the least that a loop for one network does."""

import torch
from torch import Tensor

from ganbench.data.base import IMAGE, Examples, to_unit_range
from ganbench.gan.build import TrainingSetup
from ganbench.gan.networks.discriminator import Discriminator
from ganbench.training.trainer import make_optimizer

# Tricks of the bare loop: those that change networks, and R1 and R2, which are written out below.
BARE_TRICKS = {
    "dcgan": (),
    "sngan": ("spectral_norm",),
    "stylegan2": ("minibatch_std",),
    "r3gan": ("r1(weight=0.05)", "r2(weight=0.05)"),
}
PENALTY_WEIGHT = 0.05  # of R1 and R2 in R3GAN


class BareLoop:
    """Alternating steps of one generator and one discriminator, with fused Adam."""

    def __init__(
        self, setup: TrainingSetup, examples: Examples, device: torch.device, penalized: bool
    ):
        self.plan, self.loss, self.penalized = setup.hyperparameters, setup.loss, penalized
        self.generator = setup.task.generators[IMAGE]
        self.discriminator = setup.task.discriminators[IMAGE]
        self.images, self.device = examples.images.to(device), device
        self.parameters = {
            "generator": list(self.generator.parameters()),
            "discriminator": list(self.discriminator.parameters()),
        }
        self.optimizers = {
            side: make_optimizer(self.plan, side, parameters)
            for side, parameters in self.parameters.items()
        }

    def train_step(self) -> None:
        for _ in range(self.plan.discriminator_turns):
            real = self.draw_reals()
            with torch.no_grad():
                fake = self.draw_fakes()
            self.optimizer_step("discriminator", self.discriminator_loss(real, fake))
        fake_score = score(self.discriminator, self.draw_fakes())
        real_score = score(self.discriminator, real) if self.loss.needs_real_scores else None
        self.optimizer_step("generator", self.loss.generator_loss(fake_score, real_score))

    def draw_reals(self) -> Tensor:
        index = torch.randint(len(self.images), (self.plan.batch,), device=self.device)
        return to_unit_range(self.images[index])

    def draw_fakes(self) -> Tensor:
        latents = torch.randn(self.plan.batch, self.plan.latent, device=self.device)
        fakes: Tensor = self.generator(latents)
        return fakes

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        if not self.penalized:
            return self.loss.discriminator_loss(
                score(self.discriminator, real), score(self.discriminator, fake)
            )
        images = [real.requires_grad_(), fake.requires_grad_()]
        scores = [score(self.discriminator, x) for x in images]
        penalties = [squared_gradient_norm(s, x) for s, x in zip(scores, images, strict=True)]
        return self.loss.discriminator_loss(*scores) + PENALTY_WEIGHT / 2 * sum(penalties)

    def optimizer_step(self, side: str, loss: Tensor) -> None:
        self.optimizers[side].zero_grad(set_to_none=True)
        loss.backward(inputs=self.parameters[side])
        self.optimizers[side].step()


def score(discriminator: Discriminator, images: Tensor) -> Tensor:
    return discriminator.head(discriminator.features(images))  # type: ignore[no-any-return]


def squared_gradient_norm(score: Tensor, images: Tensor) -> Tensor:
    """Returns the mean squared norm of the score's gradient, differentiable again."""
    (gradient,) = torch.autograd.grad(score.sum(), images, create_graph=True)
    return gradient.flatten(1).square().sum(1).mean()
