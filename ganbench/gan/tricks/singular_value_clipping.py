"""Singular value clipping (Saito et al., 2017): bounds singular values of weights.

After one of `every` discriminator steps, singular values of each layer's matrix above `limit` are
set to it. A convolution counts as a matrix of output channels by all else. The scale of a batch
norm is kept between 0.01 and 1 times the running standard deviation, so the layer does not expand.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.tasks.base import Task

from .base import Trick

MIN_SCALE = 0.01  # of a batch norm, times its running standard deviation
CLIPPED_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear, nn.Embedding)


class SingularValueClipping(Trick):
    works_on_slices = True
    phase = "projection"

    def __init__(self, limit: float = 1.0, every: int = 5):
        super().__init__()
        if limit <= 0 or every < 1:
            raise ValueError("limit must be above 0 and every at least 1")
        self.limit, self.every = limit, every

    def incompatibility(self, config: BuildConfig) -> str | None:
        if "spectral_norm" not in config.tricks:
            return None
        return "singular values are clipped in weights, and spectral norm divides these weights by the largest"

    def setup(self, task: Task, config: BuildConfig) -> None:
        self.steps_per_turn = config.hyperparameters.discriminator_turns

    @torch.no_grad()
    def after_discriminator_step(self, task: Task, pairs: Sequence[AdversarialBatch]) -> None:
        assert self.context
        taken = self.context.step * self.steps_per_turn + self.context.turn + 1
        if taken % self.every == 0:
            for layer in task.discriminators.modules():
                if isinstance(layer, CLIPPED_LAYERS):
                    layer.weight.copy_(clip_singular_values(layer.weight, self.limit))
                elif isinstance(layer, _BatchNorm) and layer.affine:
                    clip_scales(layer)


def clip_singular_values(weight: Tensor, limit: float) -> Tensor:
    """Sets singular values above the limit to it: [filters, ...] => [filters, ...]."""
    u, values, v = torch.linalg.svd(weight.flatten(1), full_matrices=False)
    return (u * values.clamp(max=limit) @ v).view_as(weight)


def clip_scales(norm: _BatchNorm) -> None:
    """Keeps the scales of a batch norm between 0.01 and 1 times the running deviation."""
    assert norm.running_var is not None
    deviation = norm.running_var.sqrt()
    norm.weight.copy_(norm.weight.clamp(MIN_SCALE * deviation, deviation))
