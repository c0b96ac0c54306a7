"""Finite differences (Lin et al., 2025, "APT"): gradient norms without double backward.

The slope of a score along a random direction is `d = (D(x + εv) − D(x)) / ε`, with `v` standard
normal. For a linear D and every ε, `d` is normal with mean 0 and deviation `‖∇D‖`. Therefore

    E d² = ‖∇D‖²
    E (|d| − √(π/2) t)² + (1 − π/2) t² = (‖∇D‖ − t)²

so penalties of the squared norm, and of its distance to a target `t`, have unbiased estimates. For
a smooth D their errors are of second order in ε; for the second where the gradient is not 0:

    E d² = ‖∇D‖² + ε² (tr(H)² / 4 + tr(H²) / 2 + ∇D · ∇tr(H)) + O(ε⁴), with the Hessian H

A single `d` has an error of first order. The variance of `d²` is `2 ‖∇D‖⁴`. One-sided penalties
have no unbiased estimate: any expectation over `d` is analytic in `‖∇D‖`, and they are not.

The authors of APT penalize `λ E(D(x + εv) − D(x))²`, without division by ε². Their λ is a weight of
R1 of `2 λ ε²`: 0.02 for their λ = 100 and ε = 0.01. Here the quotient keeps the meaning of a weight:
it is the same for every ε and for the exact gradient. Lin et al. (2025, "Adversarial Flow Models")
divide as well, with a weight of 0.5 and a quarter of the batch.
"""

from dataclasses import dataclass, replace
from math import pi
from typing import Literal

import torch
from torch import Tensor
from torch.nn.utils import parametrize

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.batch_slices import draw_rows

Method = Literal["exact", "finite_difference"]
DEFAULT_EPSILON = 0.01


@dataclass(frozen=True)
class ScoredImages:
    """Images at which a penalty acts, and their scores.

    With packing, M packs of the N images have M scores.
    """

    score: Tensor  # [M], or maps [M, ...]
    x: Tensor  # [N, ...]
    role: str  # of the scores; noise and augmentation are drawn per role
    label: Tensor | None  # [N]


@dataclass(frozen=True)
class FiniteDifference:
    """Difference quotients of scores: the step `epsilon`, and the share of the batch."""

    epsilon: float = DEFAULT_EPSILON  # in units of the images, which lie in [-1, 1]
    share: float = 1.0  # in (0, 1]

    def slopes(
        self, pair: AdversarialBatch, images: ScoredImages, direction: Tensor, reuse: bool = True
    ) -> Tensor:
        """Returns the slopes of scores along a direction: [N, ...] => [share · M].

        Maps of scores are summed for each example. `reuse` takes the scores at the images from
        `images.score`. Set it to False if the discriminator's weights differ between passes, as
        with power iterations. Scores are in float32 inside autocast: bfloat16 rounds away their
        differences.
        """
        near, kind = replace(images, x=images.x + self.epsilon * direction), images.x.device.type
        if reuse and not torch.is_autocast_enabled(kind):
            before, after = images.score, self.scores(pair, near)
        else:
            with parametrize.cached(), torch.autocast(kind, enabled=False):  # one set of weights
                before, after = self.scores(pair, images), self.scores(pair, near)
        change = (after - before[: len(after)]).reshape(len(after), -1).sum(1)
        return change / self.epsilon

    def scores(self, pair: AdversarialBatch, images: ScoredImages) -> Tensor:
        """Returns the scores of the first share of a batch; all images are transformed alike."""
        # The role of the unchanged images, so that both get the same noise and augmentation.
        shown = pair.discriminator_input(images.x, f"{pair.name}/{images.role}")
        count = max(1, round(self.share * len(shown)))
        label = None if images.label is None else images.label[:count]
        return pair.discriminator.head(pair.discriminator.features(shown[:count], label), label)


def draw_direction(x: Tensor, random: torch.Generator) -> Tensor:
    """Draws a standard normal direction for each image: [N, ...] => [N, ...]."""
    return draw_rows(torch.randn, x.shape, generator=random, device=x.device).to(x.dtype)


def estimate_squared_distance(slopes: Tensor, target: float) -> Tensor:
    """Estimates (norm - target)² from slopes along normal directions: [M] => [M].

    The estimate is unbiased, and may be as low as (1 - π/2) · target².
    """
    excess = slopes.abs() - (pi / 2) ** 0.5 * target
    return excess.square() + (1 - pi / 2) * target**2
