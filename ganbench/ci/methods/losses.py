"""Closed forms of adversarial losses, from their papers, in NumPy."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ganbench.gan.losses import LOSSES
from ganbench.gan.losses.base import Loss
from ganbench.registry import parse_spec

from .base import compare
from .hand_made_batch import draw_normal

Scores = NDArray[np.float64]
Objective = Callable[[Scores, Scores], float]  # of scores of reals and of fakes


@dataclass(frozen=True)
class LossForm:
    """The objectives of both sides."""

    discriminator: Objective
    generator: Objective


def log_one_plus_exp(x: Scores) -> Scores:
    return np.logaddexp(0.0, x)


def cross_entropy(score: Scores, target: float) -> float:
    """Computes the mean cross-entropy of a logit to a target in [0, 1]."""
    return float(np.mean(log_one_plus_exp(score) - target * score))


def squared(score: Scores, target: float) -> float:
    return float(np.mean((score - target) ** 2) / 2)


def smoothed(kind: Callable[[Scores, float], float], real: float, fake: float) -> Objective:
    """Returns the discriminator's objective with targets for reals and for fakes."""
    return lambda r, f: kind(r, real) + kind(f, fake)


TARGETED = {"non_saturating": cross_entropy, "minimax": cross_entropy, "least_squares": squared}


def relativistic_average(r: Scores, f: Scores) -> float:
    ahead, behind = r - f.mean(), f - r.mean()
    return float(np.mean(log_one_plus_exp(-ahead)) + np.mean(log_one_plus_exp(behind)))


FORMS = {
    "non_saturating": LossForm(
        smoothed(cross_entropy, 1, 0), lambda r, f: float(np.mean(log_one_plus_exp(-f)))
    ),
    "minimax": LossForm(
        smoothed(cross_entropy, 1, 0), lambda r, f: float(-np.mean(log_one_plus_exp(f)))
    ),
    "least_squares": LossForm(smoothed(squared, 1, 0), lambda r, f: squared(f, 1)),
    "hinge": LossForm(
        lambda r, f: float(np.mean(np.maximum(0, 1 - r)) + np.mean(np.maximum(0, 1 + f))),
        lambda r, f: float(-np.mean(f)),
    ),
    "wasserstein": LossForm(
        lambda r, f: float(np.mean(f) - np.mean(r)), lambda r, f: float(-np.mean(f))
    ),
    "relativistic": LossForm(
        lambda r, f: float(np.mean(log_one_plus_exp(f - r))),
        lambda r, f: float(np.mean(log_one_plus_exp(r - f))),
    ),
    "relativistic_average": LossForm(relativistic_average, lambda r, f: relativistic_average(f, r)),
}


def draw_scores() -> tuple[Scores, Scores]:
    """Returns scores of reals and of fakes, on both sides of every margin."""
    real, fake = 2 * draw_normal(64, seed=1), 2 * draw_normal(64, seed=2)
    return real.double().numpy(), fake.double().numpy()


def check_loss(text: str) -> Iterator[str]:
    """Yields the differences of a loss from its closed form."""
    form, (real, fake) = FORMS[parse_spec(text).name], draw_scores()
    loss: Loss = LOSSES.make(text)
    yield from check_discriminator_loss(loss, form.discriminator)
    tensors = torch.from_numpy(fake), torch.from_numpy(real)
    ours = float(loss.generator_loss(*tensors))
    yield from compare("the generator's loss", ours, form.generator(real, fake))


def check_discriminator_loss(loss: Loss, expected: Objective) -> Iterator[str]:
    real, fake = draw_scores()
    ours = float(loss.discriminator_loss(torch.from_numpy(real), torch.from_numpy(fake)))
    yield from compare("the discriminator's loss", ours, expected(real, fake))
