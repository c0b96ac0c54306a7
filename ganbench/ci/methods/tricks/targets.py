"""Closed forms of tricks that change targets, weights or examples of a loss."""

import math
from collections.abc import Iterator
from typing import cast

import torch
from torch import nn

from ganbench.data.label_classifier import CLASSIFIER_FEATURES
from ganbench.gan.losses import LOSSES
from ganbench.gan.tricks.equilibrium import Equilibrium
from ganbench.registry import parse_spec

from ..base import Settings, compare
from ..cells import CheckedCell
from ..hand_made_batch import HalfSquare, begin, draw_normal, make_batch, make_trick
from ..losses import TARGETED, check_discriminator_loss, smoothed
from .draws import MANY, WEIGHTS, points, share_error


def check_label_smoothing(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The targets are those of the settings, for reals and for fakes."""
    name = parse_spec(cell.recipe.loss).name
    if name not in TARGETED:
        return
    batch = make_batch(points(1), points(2), WEIGHTS)
    loss = make_trick(text).transform_loss(LOSSES.make(cell.recipe.loss), batch)
    expected = smoothed(TARGETED[name], settings["real"], settings["fake"])
    yield from check_discriminator_loss(loss, expected)


def check_label_flipping(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """Scores at their own targets cost half a square for each flipped one, on each side."""
    batch = make_batch(points(1), points(2), WEIGHTS)
    loss = make_trick(text).transform_loss(LOSSES.make("least_squares"), batch)
    share = float(loss.discriminator_loss(torch.ones(MANY), torch.zeros(MANY)))
    error = share_error(settings["share"], MANY)
    yield from compare("the share of flipped targets", share, settings["share"], error)


def check_feature_matching(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The generator's term is the squared distance between the means of features."""
    batch = make_batch(points(1), points(2), WEIGHTS, HalfSquare())
    terms = dict(make_trick(text).generator_terms(batch))
    means = [x.double().square().mean(0) / 2 for x in (points(1), points(2))]
    expected = settings["weight"] * float((means[0] - means[1]).square().sum())
    yield from compare("the generator's term", terms["feature_matching"].item(), expected)
    loss = make_trick(text).transform_loss(LOSSES.make(cell.recipe.loss), batch)
    weight = float(loss.generator_weight)
    yield from compare("the weight of the adversarial term", weight, settings["adversarial"])


def check_fd_loss(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The gradient of the distance of scaled and moved reals is known, over two steps.

    With fakes `scale · x + shift` the trace is `(scale − 1)² tr(C)`. Its gradient by the fakes' covariance
    is `1 − 1 / scale`. Without a queue a second step has fewer fakes than reals, and is not compared.
    """
    trainer, scale, shift = cell.make_trainer(), 1.5, 0.25
    trick = cell.trick_of(trainer, "fd_loss")
    trick.teacher = nn.Flatten()
    batch, size = cell.small_recipe.hyperparameters.batch, CLASSIFIER_FEATURES
    weights, real = draw_normal(size), draw_normal(2 * batch, size)
    for step, new in enumerate(real.split(batch)[: 2 if settings["queue"] else 1]):
        pair = make_batch(new, (scale * new + shift).requires_grad_(), weights)
        begin(trick, step=step)
        terms = dict(
            trick.generator_terms(pair.with_fields(name=next(iter(trainer.task.discriminators))))
        )
        (gradient,) = torch.autograd.grad(terms["fd_loss"], pair.fake)
        counted = real[: batch * (step + 1)].double()
        mean, count = counted.mean(0), len(counted)
        moved = (scale - 1) * mean + shift
        distance = (scale - 1) ** 2 * float(counted.var(0).sum()) + float(moved.square().sum())
        slope = 2 * moved / count + 2 * (scale - 1) * (new.double() - mean) / (count - 1)
        expected = settings["weight"] / (distance + 0.01) * slope
        off = float((gradient.double() - expected).norm() / expected.norm())
        yield from compare("the gradient's relative difference", off, 0.0, 1e-3)
    loss = trick.transform_loss(LOSSES.make(cell.recipe.loss), pair)
    weight = float(loss.generator_weight)
    yield from compare("the weight of the adversarial term", weight, settings["adversarial"])


def check_top_k(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The generator trains on the share of its fakes with the highest scores."""
    progress = settings["until"] / 2
    batch = make_batch(points(1), points(2), WEIGHTS)
    loss = make_trick(text, progress).transform_loss(LOSSES.make("wasserstein"), batch)
    score = draw_normal(100).requires_grad_()
    loss.generator_loss(score, None).backward()
    kept = math.ceil(math.sqrt(settings["least"]) * 100)
    best = set(score.detach().argsort(descending=True)[:kept].tolist())
    assert score.grad is not None
    if set(score.grad.nonzero().flatten().tolist()) != best:
        yield f"the generator does not train on the best {kept} of 100 fakes"


def check_equilibrium(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The weight of fakes starts at 0 and moves by the rate times the imbalance of errors."""
    trainer, expected = cell.make_trainer(), 0.0
    trick = cast(Equilibrium, cell.trick_of(trainer, "equilibrium"))
    for _ in range(3):
        terms = {k: float(v) for k, v in trainer.discriminator_step().items()}
        loss = expected * terms["fake_score"] - terms["real_score"]
        yield from compare("the weighted loss", terms["discriminator"], loss, 1e-3)
        move = terms["fake_score"] - settings["gamma"] * terms["real_score"]
        expected = min(1.0, max(0.0, expected + settings["rate"] * move))
        weight = float(next(iter(trick.weights.values())))
        yield from compare("the weight of the fakes", weight, expected, 1e-3, scale=1e-6)
