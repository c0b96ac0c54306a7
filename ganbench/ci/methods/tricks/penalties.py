"""Closed forms of penalties of gradients and scores, and of path length."""

import math
from collections.abc import Iterator
from typing import cast

import numpy as np
import torch
from torch import Tensor

from ganbench.gan.tricks.lecam import LeCam
from ganbench.gan.tricks.path_length import PathLength

from ..base import MAX_STANDARD_ERRORS, Settings, compare
from ..cells import CheckedCell
from ..hand_made_batch import HalfSquare, LinearStyles, begin, make_batch, make_trick
from .draws import MANY, WEIGHTS, points, scores_of

NORM = math.sqrt(5)  # of the weights


def penalty_of(text: str, batch: object) -> float:
    """Returns the only term of a trick in a discriminator step."""
    (term,) = dict(make_trick(text).discriminator_terms(batch)).values()  # type: ignore[arg-type]
    return float(term.item())


def check_estimate(text: str, settings: Settings, target: float | None) -> Iterator[str]:
    """The mean of finite differences of a linear score is the exact penalty.

    Slopes are normal with the norm of the weights as deviation. `target` is None for the squared
    norm.
    """
    many = torch.zeros(MANY, len(WEIGHTS))
    slopes = NORM * np.random.default_rng(0).standard_normal(MANY)
    shift = 0.0 if target is None else math.sqrt(math.pi / 2) * target
    deviation = float(np.std((np.abs(slopes) - shift) ** 2))
    expected = 5.0 if target is None else (NORM - target) ** 2
    error = MAX_STANDARD_ERRORS * deviation / math.sqrt(settings["share"] * MANY)
    ours = penalty_of(text, make_batch(many, many, WEIGHTS)) / settings["weight"]
    yield from compare("the mean of the estimates", ours, expected, error + 1e-3)


def check_gradient_penalty(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The points lie uniformly between reals and fakes, and the norms are those of gradients."""
    weight, target = settings["weight"], settings["target"]
    if settings["method"] != "exact":
        yield from check_estimate(text, settings, target)
        return
    linear = make_batch(points(1), points(2), WEIGHTS)
    excess = NORM - target
    excess = max(0.0, excess) if settings["one_sided"] else excess
    expected = weight * excess**2
    yield from compare("the penalty of a linear score", penalty_of(text, linear), expected, 1e-3)
    length = 2 * target + 2
    line = length * torch.tensor([[1.0, 0.0, 0.0]]).repeat(MANY, 1)
    square = make_batch(line, torch.zeros_like(line), torch.ones(3), HalfSquare())
    below = 0.0 if settings["one_sided"] else target**3
    expected = weight * ((length - target) ** 3 + below) / (3 * length)  # the mean over the line
    ours = penalty_of(text, square)
    yield from compare("the penalty between reals and fakes", ours, expected, 0.05)


def check_zero_centered(
    cell: CheckedCell, text: str, settings: Settings, real: bool
) -> Iterator[str]:
    """The penalty is half the squared gradient at the reals, or at the fakes.

    The points have one pixel, so that a weight for a side is divided by the square of the side.
    """
    scale = settings["every"] / 2 / (settings["side"] ** 2 or 1)
    if settings["method"] != "exact":
        effective = {**settings, "weight": settings["weight"] * scale}
        yield from check_estimate(text, effective, target=None)
        return
    batch = make_batch(points(1), points(2), torch.ones(3), HalfSquare())
    squares = points(1 if real else 2).double().square().sum(1).mean()
    expected = scale * settings["weight"] * float(squares)
    yield from compare("the penalty of a quadratic score", penalty_of(text, batch), expected)


def check_r1(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The penalty is half the squared gradient at the reals."""
    yield from check_zero_centered(cell, text, settings, real=True)


def check_r2(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The penalty is half the squared gradient at the fakes."""
    yield from check_zero_centered(cell, text, settings, real=False)


def check_dragan(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The points are reals plus t · spread · deviation · u, with t and u uniform in [0, 1].

    Reals are 9 and 11, and the gradient of half a square is the point itself.
    """
    if settings["method"] != "exact":
        yield from check_estimate(text, settings, target=1.0)
        return
    linear = make_batch(points(1), points(2), WEIGHTS)
    expected = settings["weight"] * (NORM - 1) ** 2
    yield from compare("the penalty of a linear score", penalty_of(text, linear), expected, 1e-3)
    real = (10 + torch.tensor([1.0, -1.0])).repeat(MANY // 2)[:, None]
    square = make_batch(real, -real, torch.ones(1), HalfSquare())
    spread = settings["spread"]  # the deviation is 1
    around = 82 + 2 * 9 * spread / 4 + spread**2 / 9  # E (real − 1)² is 82, E t u 1/4, E t² u² 1/9
    ours = penalty_of(text, square)
    yield from compare("the penalty near reals", ours, settings["weight"] * around, 0.02)


def check_drift(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The penalty is the mean squared score of the reals."""
    batch = make_batch(points(1), points(2), WEIGHTS)
    expected = settings["weight"] * float(scores_of(points(1)).square().mean())
    yield from compare("the penalty", penalty_of(text, batch), expected, scale=settings["weight"])


def check_logit_centering(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The term is the mean squared sum of the scores of a real and its fake."""
    batch = make_batch(points(1), points(2), WEIGHTS)
    squares = (scores_of(points(1)) + scores_of(points(2))).square()
    expected = settings["weight"] * float(squares.mean())
    yield from compare("the term", penalty_of(text, batch), expected, scale=settings["weight"])


def shifted(seed: int) -> Tensor:
    """Returns points that score above 0 for reals, with even seeds, and below for fakes."""
    return points(seed) + (1.0 if seed % 2 == 0 else -1.0)


def check_lecam(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """Scores have a squared distance to the average score of the other side.

    Until the first penalty the averages are the last means.
    """
    trainer = cell.make_trainer()
    trick = cast(LeCam, cell.trick_of(trainer, "lecam"))
    batches = [
        make_batch(shifted(2 * n), shifted(2 * n + 1), WEIGHTS).with_fields(name=trick.names[0])
        for n in range(3)
    ]
    begin(trick)
    if dict(trick.discriminator_terms(batches[0])):
        yield "the penalty acts before its first step"
    trick.after_discriminator_step(trainer.task, batches[:1])
    anchors = [float(scores_of(shifted(side)).mean()) for side in (0, 1)]
    begin(trick, step=settings["start"])
    for number in (1, 2):
        (term,) = dict(trick.discriminator_terms(batches[number])).values()
        real, fake = (scores_of(shifted(2 * number + side)) for side in (0, 1))
        gaps = (real - anchors[1]).square().mean() + (fake - anchors[0]).square().mean()
        yield from compare("the penalty", term.item(), settings["weight"] * float(gaps), 1e-3)
        trick.after_discriminator_step(trainer.task, batches[number : number + 1])
        means, decay = (float(real.mean()), float(fake.mean())), settings["decay"]
        anchors = [decay * a + (1 - decay) * m for a, m in zip(anchors, means, strict=True)]


def check_path_length(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """Lengths of a linear synthesis of three styles are half-normal, with known moments."""
    trick = cast(PathLength, cell.trick_of(cell.make_trainer(), "path_length"))
    begin(trick)
    mean, pixels = 0.0, 4
    batch = make_batch(points(1), points(2), WEIGHTS)
    for norm in (3.0, 6.0):
        pair = batch.with_fields(
            generator=LinearStyles(norm * torch.tensor([0.5, 0.5, -0.5, 0.5])),
            generator_name=trick.names[0],
            source=torch.zeros(MANY, 1, requires_grad=True),
        )
        (term,) = dict(trick.generator_terms(pair)).values()
        deviation = norm / math.sqrt(pixels)  # of the noise along each style
        length, variance = deviation * math.sqrt(2 / math.pi), deviation**2 * (1 - 2 / math.pi)
        decay = settings["decay"] if mean else 0.0
        mean = decay * mean + (1 - decay) * length
        expected = settings["every"] * settings["weight"] * (variance + (length - mean) ** 2)
        yield from compare("the penalty", term.item(), expected, 0.06)
    begin(trick, step=1)
    if settings["every"] > 1 and dict(trick.generator_terms(pair)):
        yield "the penalty acts in every step"
