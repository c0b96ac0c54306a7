"""Hand-made batches: points and discriminators for which tricks have closed forms."""

import torch
from torch import Tensor, nn

from ganbench.data.base import IMAGE
from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.networks.discriminator import Discriminator, Head
from ganbench.gan.tricks import TRICKS
from ganbench.gan.tricks.base import Trick
from ganbench.rng import RngStreams, StepContext

CPU = torch.device("cpu")


class LinearHead(Head):
    """The score weights . features, [N, F] => [N]."""

    def __init__(self, weights: Tensor):
        super().__init__(len(weights), bias=False)
        self.linear.weight.data = weights[None].clone()


class HalfSquare(nn.Module):
    """Halves of squares, so that the sum of features has its input as its gradient."""

    def forward(self, x: Tensor) -> Tensor:
        return x.square() / 2


class LinearStyles(nn.Module):
    """A styled generator whose mapping is the identity."""

    def __init__(self, pattern: Tensor):
        super().__init__()
        self.styles = nn.ModuleDict({"mapping": nn.Identity()})
        self.synthesis = LinearSynthesis(pattern)


class LinearSynthesis(nn.Module):
    """Images of 2x2, a pattern [4] times the sum of three styles: [N, 3, 1] => [N, 1, 2, 2]."""

    layers = 3
    pattern: Tensor

    def __init__(self, pattern: Tensor):
        super().__init__()
        self.register_buffer("pattern", pattern)

    def forward(self, styles: Tensor) -> Tensor:
        return (styles.sum(1) * self.pattern).unflatten(1, (1, 2, 2))


def draw_normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def begin(trick: Trick, progress: float = 0.0, step: int = 0) -> Trick:
    """Returns a trick at a step of a training with seed 0."""
    trick.begin_step(StepContext(RngStreams(0, CPU), step, 0, progress, "check"))
    return trick


def make_trick(text: str, progress: float = 0.0) -> Trick:
    """Returns a trick in the first step of a training, at a fraction of the budget."""
    trick: Trick = TRICKS.make(text)
    return begin(trick, progress)


def make_batch(
    real: Tensor, fake: Tensor, weights: Tensor, body: nn.Module | None = None
) -> AdversarialBatch:
    """Returns reals and fakes [N, D] with the discriminator weights . body(x)."""
    discriminator = Discriminator(body or nn.Identity(), (len(weights),), LinearHead(weights))
    return AdversarialBatch(
        IMAGE, IMAGE, nn.Identity(), discriminator, fake, real, fake
    ).with_leaves()
