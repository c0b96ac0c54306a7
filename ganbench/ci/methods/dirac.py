"""Dynamics of the Dirac-GAN (Mescheder et al., 2018) for a cell's loss and penalties.

Reals are a point at 0, the fake is a point theta, and the score of x is psi · x. The losses have the
slopes b and −c by the fake's score, and penalties the damping rho. With rate h a step near 0 is

    psi' = (1 − h rho) psi − h b theta        theta' = theta + h c psi'
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ganbench.gan.losses import LOSSES
from ganbench.gan.losses.base import Loss
from ganbench.registry import parse_spec

from .base import compare
from .cells import CheckedCell
from .hand_made_batch import make_batch, make_trick

RATE, NEAR, STEPS = 0.1, 1e-3, 20
SLOPES = {  # b and c
    "hinge": (1.0, 1.0),
    "minimax": (0.5, 0.5),
    "non_saturating": (0.5, 0.5),
    "relativistic": (0.5, 0.5),
    "relativistic_average": (1.0, 1.0),
    "wasserstein": (1.0, 1.0),
}
DAMPING = ("r1", "r2")  # each has rho = weight, counted `every` times in the first step


def check_dirac(cell: CheckedCell) -> Iterator[str]:
    """After some steps the positions are those of the linear map."""
    name = parse_spec(cell.recipe.loss).name
    if name not in SLOPES:
        return
    penalties = damping_penalties(cell)
    rho = sum(penalties.values())
    rate = RATE / max(1.0, rho)  # so that strong penalties do not overshoot
    (b, c), loss = SLOPES[name], LOSSES.make(cell.recipe.loss)
    psi, theta = NEAR * torch.ones(1), NEAR * torch.ones(1)
    x, y = NEAR, NEAR
    for _ in range(STEPS):
        psi = psi - rate * discriminator_slope(loss, list(penalties), psi, theta)
        theta = theta - rate * generator_slope(loss, psi, theta)
        x = (1 - rate * rho) * x - rate * b * y
        y = y + rate * c * x
    for what, ours, theirs in (("discriminator", psi, x), ("generator", theta, y)):
        yield from compare(f"the place of Dirac's {what}", float(ours), theirs, 0.01, scale=NEAR)


def damping_penalties(cell: CheckedCell) -> dict[str, float]:
    """Returns the zero-centred penalties of a cell with their damping."""
    found: dict[str, float] = {}
    for spec in cell.tricks():
        settings: dict[str, Any] = dict(spec.settings)
        is_exact = spec.name in DAMPING and settings["method"] == "exact"
        if is_exact and not settings["side"]:
            found[str(spec)] = settings["weight"] * settings["every"]
    return found


def discriminator_slope(loss: Loss, penalties: list[str], psi: Tensor, theta: Tensor) -> Tensor:
    """Returns the gradient of the discriminator's objective by psi."""
    pair = make_batch(torch.zeros(1, 1), theta[None], psi)
    total = loss.discriminator_loss(pair.real_score, pair.fake_score)
    for text in penalties:
        total = total + sum(dict(make_trick(text).discriminator_terms(pair)).values())
    (slope,) = torch.autograd.grad(total, pair.discriminator.head.linear.weight)
    return slope[0]


def generator_slope(loss: Loss, psi: Tensor, theta: Tensor) -> Tensor:
    """Returns the gradient of the generator's objective by theta."""
    pair = make_batch(torch.zeros(1, 1), theta[None], psi)
    value = loss.generator_loss(pair.fake_score, pair.real_score)
    (slope,) = torch.autograd.grad(value, pair.fake)
    return slope[0]
