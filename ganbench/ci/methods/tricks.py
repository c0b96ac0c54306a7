"""Closed forms of tricks, on hand-made batches and on the networks of a cell."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from ganbench.gan.losses import LOSSES
from ganbench.gan.tricks.minibatch_discrimination import KernelCloseness
from ganbench.gan.tricks.minibatch_std import GroupStandardDeviation
from ganbench.registry import parse_spec

from .base import CheckTrick, Settings, compare
from .cells import CheckedCell
from .hand_made_batch import HalfSquare, draw_normal, make_batch, make_trick
from .losses import TARGETED, check_discriminator_loss, smoothed

WEIGHTS = torch.tensor([0.6, -0.8, 2.0])  # squared norm 5
MANY = 20_000  # draws of a random check
SURE = 6  # standard errors that a mean of draws may differ
SPECTRAL_PASSES, SPECTRAL_TOLERANCE = 150, 0.03  # power iterations, and their remaining error
NORMALIZED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.Embedding)


def compare_mean(what: str, draws: Tensor, expected: float) -> Iterator[str]:
    """Yields a sentence if the mean of draws differs by more than chance."""
    error = float(draws.double().std()) / math.sqrt(len(draws))
    if abs(float(draws.double().mean()) - expected) > SURE * error + 1e-6:
        yield f"{what} is {float(draws.double().mean()):.4g}, and by definition {expected:.4g}"


def points(seed: int) -> Tensor:
    return draw_normal(6, len(WEIGHTS), seed=seed)


# Losses


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
    error = math.sqrt(settings["share"] * (1 - settings["share"]) / MANY)
    yield from compare("the share of flipped targets", share, settings["share"], SURE * error)


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


# Penalties


def check_gradient_penalty(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The points lie uniformly between reals and fakes, and the norms are those of gradients."""
    if settings["method"] != "exact":
        return
    weight, target = settings["weight"], settings["target"]
    linear = make_batch(points(1), points(2), WEIGHTS)
    excess = math.sqrt(5) - target
    excess = max(0.0, excess) if settings["one_sided"] else excess
    (term,) = dict(make_trick(text).discriminator_terms(linear)).values()
    yield from compare("the penalty of a linear score", term.item(), weight * excess**2, 1e-3)
    length = 2 * target + 2
    line = length * torch.tensor([[1.0, 0.0, 0.0]]).repeat(MANY, 1)
    square = make_batch(line, torch.zeros_like(line), torch.ones(3), HalfSquare())
    (term,) = dict(make_trick(text).discriminator_terms(square)).values()
    below = 0.0 if settings["one_sided"] else target**3
    expected = weight * ((length - target) ** 3 + below) / (3 * length)  # the mean over the line
    yield from compare("the penalty between reals and fakes", term.item(), expected, 0.05)


def check_zero_centered(
    cell: CheckedCell, text: str, settings: Settings, real: bool
) -> Iterator[str]:
    """The penalty is half the squared gradient at the reals, or at the fakes."""
    if settings["method"] != "exact" or settings["side"]:
        return
    batch = make_batch(points(1), points(2), torch.ones(3), HalfSquare())
    (term,) = dict(make_trick(text).discriminator_terms(batch)).values()
    squares = points(1 if real else 2).double().square().sum(1).mean()
    expected = settings["every"] * settings["weight"] / 2 * float(squares)
    yield from compare("the penalty of a quadratic score", term.item(), expected)


def check_r1(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The penalty is half the squared gradient at the reals."""
    yield from check_zero_centered(cell, text, settings, real=True)


def check_r2(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The penalty is half the squared gradient at the fakes."""
    yield from check_zero_centered(cell, text, settings, real=False)


def check_dragan(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The penalty of a linear score is the squared distance of its norm from 1."""
    if settings["method"] != "exact":
        return
    batch = make_batch(points(1), points(2), WEIGHTS)
    (term,) = dict(make_trick(text).discriminator_terms(batch)).values()
    expected = settings["weight"] * (math.sqrt(5) - 1) ** 2
    yield from compare("the penalty of a linear score", term.item(), expected, 1e-3)


def check_drift(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The penalty is the mean squared score of the reals."""
    batch = make_batch(points(1), points(2), WEIGHTS)
    (term,) = dict(make_trick(text).discriminator_terms(batch)).values()
    scores = points(1).double() @ WEIGHTS.double()
    yield from compare(
        "the penalty", term.item(), settings["weight"] * float(scores.square().mean())
    )


def check_gradient_clipping(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """A longer gradient has the norm of the settings, and a shorter one stays."""
    for length in (0.5 * settings["norm"], 10 * settings["norm"]):
        weight = nn.Parameter(torch.zeros(25))
        weight.grad = torch.full((25,), length / 5)
        make_trick(text).transform_gradients("discriminator", [weight])
        expected = min(length, settings["norm"])
        yield from compare("the norm of a gradient", float(weight.grad.norm()), expected, 1e-3)


# Inputs of the discriminator


def check_instance_noise(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The noise is normal, and its deviation falls linearly."""
    for progress in (0.0, settings["until"] / 2, settings["until"]):
        trick = make_trick(text, progress)
        noise = trick.transform_discriminator_input(torch.zeros(MANY, 1), "real").flatten()
        deviation = settings["std"] * (1 - progress / settings["until"])
        yield from compare_mean("the variance of the noise", noise.square(), deviation**2)
        yield from compare_mean("the mean of the noise", noise, 0.0)


def check_pacgan(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The images of a pack are the channels of one input."""
    pack = settings["pack"]
    images = draw_normal(2 * pack, 3, 4, 4)
    packed = make_trick(text).transform_discriminator_input(images, "real")
    expected = torch.stack([torch.cat(list(part)) for part in images.split(pack)])
    if packed.shape != expected.shape or not torch.equal(packed, expected):
        yield f"a pack is not {pack} images as channels"


def check_minibatch_std(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The added feature is the mean deviation in each group."""
    features = draw_normal(2 * settings["group"], 5)
    groups = features.double().numpy().reshape(2, settings["group"], 5)
    expected = groups.std(axis=1).mean(axis=1)
    added = GroupStandardDeviation(settings["group"])(features)[:: settings["group"], 0]
    for ours, theirs in zip(added.tolist(), expected.tolist(), strict=True):
        yield from compare("the deviation in a group", ours, theirs, 1e-3)


def check_minibatch_discrimination(
    cell: CheckedCell, text: str, settings: Settings
) -> Iterator[str]:
    """The added features are the sums of exp(-L1) to the other examples."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        closeness = KernelCloseness(4, settings["kernels"], settings["depth"])
    features = draw_normal(5, 4)
    projected = np.einsum("nw,wkd->nkd", features.numpy(), closeness.project.detach().numpy())
    distances = np.abs(projected[:, None] - projected[None]).sum(-1)
    expected = np.exp(-distances).sum(1) - 1
    if not np.allclose(closeness(features).detach().numpy(), expected, rtol=1e-3, atol=1e-5):
        yield "the added features are not the sums of exp(-L1) to the other examples"


# Weights


def check_spectral_norm(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """Every layer of the discriminators has the spectral norm 1."""
    task = cell.make_trainer().task
    networks = list(task.discriminators.items())
    if settings["generator"]:
        networks += [(f"generator {name}", network) for name, network in task.generators.items()]
    for name, network in networks:
        for place, layer in network.named_modules():
            if not isinstance(layer, NORMALIZED):
                continue
            if name.startswith("generator") and isinstance(layer, nn.Embedding):
                continue
            norm = spectral_norm_of(layer)
            yield from compare(f"the norm of layer {place} of {name}", norm, 1, SPECTRAL_TOLERANCE)


@torch.no_grad()
def spectral_norm_of(layer: nn.Module) -> float:
    """Returns the largest singular value of a layer's weight, after power iterations."""
    layer.train()
    for _ in range(SPECTRAL_PASSES):
        weight = layer.weight
    assert isinstance(weight, Tensor)
    matrix = weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight
    return float(torch.linalg.matrix_norm(matrix.flatten(1).double(), 2))


def check_weight_clipping(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """No weight of the discriminators leaves the box."""
    trainer = cell.make_trainer()
    trainer.train_step()
    largest = max(float(p.detach().abs().max()) for p in trainer.task.discriminators.parameters())
    if largest > settings["limit"] * (1 + 1e-6):
        yield f"a weight is {largest:.4g}, above the limit of {settings['limit']:g}"


def check_ema(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The sampled weights follow the recursion of the average."""
    trainer = cell.make_trainer()
    expected = [p.detach().double().clone() for p in trainer.task.generators.parameters()]
    for step in range(1, 4):
        trainer.train_step()
        decay = settings["decay"]
        if settings["ramp"]:
            decay = min(decay, 0.5 ** (1 / (settings["ramp"] * step)))
        for mean, now in zip(expected, trainer.task.generators.parameters(), strict=True):
            mean.mul_(decay).add_(now.detach().double(), alpha=1 - decay)
    pairs = zip(trainer.sampling_generators().parameters(), expected, strict=True)
    off = max(largest_difference(ours.detach(), mean) for ours, mean in pairs)
    if off > 1e-5:
        yield f"sampled weights are {off:.2g} away from decay · mean + (1 − decay) · weight"


def largest_difference(ours: Tensor, mean: Tensor) -> float:
    """Returns the largest difference of two tensors, relative to sizes above 1."""
    return float((ours - mean).abs().max() / mean.abs().max().clamp(min=1.0))


TRICK_CHECKS: dict[str, CheckTrick] = {
    "dragan": check_dragan,
    "drift": check_drift,
    "ema": check_ema,
    "feature_matching": check_feature_matching,
    "gradient_clipping": check_gradient_clipping,
    "gradient_penalty": check_gradient_penalty,
    "instance_noise": check_instance_noise,
    "label_flipping": check_label_flipping,
    "label_smoothing": check_label_smoothing,
    "minibatch_discrimination": check_minibatch_discrimination,
    "minibatch_std": check_minibatch_std,
    "pacgan": check_pacgan,
    "r1": check_r1,
    "r2": check_r2,
    "spectral_norm": check_spectral_norm,
    "top_k": check_top_k,
    "weight_clipping": check_weight_clipping,
}
# The rate of ttur is checked with the optimizers of every cell.
CHECKED_WITH_TRAINING = ("ttur",)
