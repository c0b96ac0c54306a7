"""Path length (Karras et al., 2020): equal steps in w change images equally.

It adds `weight · E(ℓ − a)²` to the generator's loss. `ℓ` is the length of `∇w ⟨G(w), y⟩`, the root of
the mean over layers of its square, as in the authors' code. `y` is noise of variance 1 / (H W), and
`a` the moving average of `ℓ`.

The penalty is lazy, as published: it counts `every` times as much in one of `every` steps, as a
term of the same optimizer step. The authors use half of the batch and mixed styles; here all
images count, and each has one style.
"""

from typing import cast

import torch
from torch import Tensor

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.batch_slices import draw_rows, mean_over_slices
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.networks.filters import widen_bfloat16
from ganbench.gan.networks.style_mapping import StyledGenerator
from ganbench.gan.tasks.base import Task, Terms
from ganbench.rng import StepContext

from .base import Trick


class PathLength(Trick):
    works_on_slices = True
    needs_double_backward = True
    means: Tensor  # [generators], moving averages of the lengths

    def __init__(self, weight: float = 2.0, every: int = 4, decay: float = 0.99):
        super().__init__()
        if weight <= 0 or every < 1 or not 0 <= decay < 1:
            raise ValueError("weight must be above 0, every at least 1 and decay lie in [0, 1)")
        self.weight, self.every, self.decay = weight, every, decay

    def incompatibility(self, config: BuildConfig) -> str | None:
        if config.network.styled:
            return None
        return "path length is measured in styles, and this network has no mapping to styles"

    def setup(self, task: Task, config: BuildConfig) -> None:
        self.names = list(task.generators)
        self.register_buffer("means", torch.zeros(len(self.names)))

    def graph_key(self, context: StepContext) -> bool:
        return context.step % self.every == 0

    def generator_terms(self, pair: AdversarialBatch) -> Terms:
        assert self.context
        if self.context.step % self.every:
            return
        generator = cast(StyledGenerator, pair.generator)
        w = widen_bfloat16(generator.styles.mapping(pair.source))  # its gradients have its dtype
        styles = w[:, None].expand(-1, generator.synthesis.layers, -1)
        images = widen_bfloat16(generator.synthesis(styles))
        random = self.context.of(pair.generator_name).random
        lengths = path_lengths(images, styles, random)
        number = self.names.index(pair.generator_name)
        with torch.no_grad():
            now, before = mean_over_slices(lengths.mean()), self.means[number]
            # starts at the first length: a mean from 0 would first make all images alike
            self.means[number] = torch.where(before == 0, now, before.lerp(now, 1 - self.decay))
        off = lengths - self.means[number]
        yield "path_length", self.every * self.weight * off.square().mean()


def path_lengths(images: Tensor, styles: Tensor, random: torch.Generator) -> Tensor:
    """Returns the root mean square over layers of |J^T y|, [N], with J the Jacobian by styles.

    Styles are [N, layers, width of w]. y is noise, scaled to size 1 per map.
    """
    noise = draw_rows(torch.randn, images.shape, generator=random, device=images.device)
    noise = noise / (images.shape[2] * images.shape[3]) ** 0.5
    (gradients,) = torch.autograd.grad((images * noise).sum(), styles, create_graph=True)
    squares = gradients.square().sum(2).mean(1)
    return squares.add(1e-12).sqrt()  # the root has no gradient at 0
