"""Target batch: an adversarial batch that also knows its outputs and their targets.

Terms of a task compare the output with the target. The discriminator's fakes have the values of the
output. Their gradients reach the output with a weight. It scales the adversarial term, and the
terms of tricks on fakes.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ganbench.gan.adversarial_batch import AdversarialBatch


@dataclass(frozen=True, eq=False, kw_only=True)
class TargetBatch(AdversarialBatch):
    """An adversarial batch with the generator's output and the target of each output."""

    output: Tensor  # [N, ...], with the whole gradient
    target: Tensor | None = None  # None if it is unknown


def with_target(pair: AdversarialBatch, target: Tensor | None, weight: float) -> TargetBatch:
    """Returns a pair with its targets, and with the weight of the adversarial side's gradient."""
    values = {field.name: getattr(pair, field.name) for field in fields(pair)}
    values["fake"] = scale_gradient(pair.fake, weight)
    return TargetBatch(**values, output=pair.fake, target=target)


def scale_gradient(x: Tensor, weight: float) -> Tensor:
    """Returns a tensor of the same values whose gradient reaches `x` times a weight."""
    if weight == 1:
        return x
    return torch.lerp(x.detach(), x, weight) if weight else x.detach()


def check_weights(**weights: float) -> None:
    """Raises ValueError for a weight below 0, and if no weight is above 0."""
    for name, weight in weights.items():
        if weight < 0:
            raise ValueError(f"{name} must not be below 0, not {weight}")
    if not any(weights.values()):
        raise ValueError(f"one of {', '.join(weights)} must be above 0")
