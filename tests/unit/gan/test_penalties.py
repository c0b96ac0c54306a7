"""Gradient penalties by finite differences, against closed forms and exact gradients."""

import math
from dataclasses import replace

import pytest
import torch
from helpers import CPU, same, steps, trainer, training_setup, weights
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils._python_dispatch import TorchDispatchMode

from ganbench.data.base import IMAGE
from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build import Incompatible
from ganbench.gan.networks.discriminator import Discriminator, Head
from ganbench.gan.tricks import TRICKS
from ganbench.gan.tricks.base import TrickList
from ganbench.gan.tricks.finite_difference import (
    FiniteDifference,
    ScoredImages,
    draw_direction,
    estimate_squared_distance,
)
from ganbench.registry import SpecError
from ganbench.rng import RngStreams, StepContext

WEIGHTS = torch.tensor([0.6, -0.8, 2.0], dtype=torch.float64)  # squared norm 5
NORM = math.sqrt(5)
BATCH, DRAWS = 6, 200_000


def random(*shape: int, seed: int = 0) -> Tensor:
    numbers = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return numbers.double()


class Quadratic(nn.Module):
    """The feature x' A x / 2 + b . x, with gradient A x + b and Hessian A."""

    def __init__(self, a: Tensor, b: Tensor):
        super().__init__()
        self.a, self.b = a, b

    def forward(self, x: Tensor) -> Tensor:
        return ((x @ self.a * x).sum(1) / 2 + x @ self.b)[:, None]


def discriminator(body: nn.Module, weights: Tensor) -> Discriminator:
    head = Head(len(weights), bias=False).double()
    head.linear.weight.data = weights[None].clone()
    return Discriminator(body, (len(weights),), head)


def make_pair(network: Discriminator, size: int = BATCH) -> AdversarialBatch:
    real, fake = random(size, 3, seed=1), random(size, 3, seed=2)
    pair = AdversarialBatch(IMAGE, IMAGE, nn.Identity(), network, fake, real, fake)
    return pair.with_leaves()


def with_tricks(pair: AdversarialBatch, *texts: str, step: int = 0):
    """Returns the pair with the tricks' inputs, and the list of the tricks."""
    tricks = TrickList({text.split("(")[0]: TRICKS.make(text) for text in texts})
    tricks.begin_step(StepContext(RngStreams(0, CPU), step, 0, 0.0))
    return pair.with_discriminator_input(tricks.transform_discriminator_input), tricks


def penalty(pair: AdversarialBatch, *texts: str, step: int = 0) -> Tensor:
    """Returns the only term of the tricks in a step."""
    pair, tricks = with_tricks(pair, *texts, step=step)
    ((_, term),) = tricks.discriminator_terms(pair)
    return term


def spec(name: str, **settings) -> str:
    settings = {"method": "finite_difference", **settings}
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in settings.items())})"


def scored(pair: AdversarialBatch) -> ScoredImages:
    return ScoredImages(pair.real_score, pair.real, "real", None)


def slopes_in_random_directions(network: Discriminator, x: Tensor, epsilon: float) -> Tensor:
    """Returns the slopes at one place along many directions."""
    pair = replace(make_pair(network), real=x.expand(DRAWS, -1))
    direction = draw_direction(pair.real, torch.Generator().manual_seed(5))
    with torch.no_grad():
        return FiniteDifference(epsilon).slopes(pair, scored(pair), direction)


def assert_mean_is(values: Tensor, expected: float) -> None:
    """Asserts that a mean lies within four standard errors, which are below 2 %."""
    error = (values.std() / len(values) ** 0.5).item()
    assert values.mean().item() == pytest.approx(expected, abs=4 * error)
    assert error < 0.02 * abs(expected)


# Estimates


@pytest.mark.parametrize("epsilon", [0.001, 0.1, 2.0])
def test_slopes_of_linear_scores_are_exact(epsilon):
    pair, direction = make_pair(discriminator(nn.Identity(), WEIGHTS)), random(BATCH, 3, seed=3)
    measured = FiniteDifference(epsilon).slopes(pair, scored(pair), direction)
    torch.testing.assert_close(measured, direction @ WEIGHTS, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("epsilon", [0.01, 2.0])
def test_squared_norm_is_unbiased_for_linear_scores(epsilon):
    linear = discriminator(nn.Identity(), WEIGHTS)
    slopes = slopes_in_random_directions(linear, random(1, 3), epsilon)
    assert_mean_is(slopes.square(), 5.0)
    assert slopes.square().var().item() == pytest.approx(2 * 5**2, rel=0.05)


@pytest.mark.parametrize("target", [0.0, 1.0, 4.0])
def test_squared_distance_is_unbiased_for_linear_scores(target):
    linear = discriminator(nn.Identity(), WEIGHTS)
    slopes = slopes_in_random_directions(linear, random(1, 3), 0.5)
    assert_mean_is(estimate_squared_distance(slopes, target), (NORM - target) ** 2)


@pytest.mark.parametrize("epsilon", [0.1, 0.5, 1.0])
def test_bias_for_quadratic_scores_is_closed_form(epsilon):
    a = random(3, 3, seed=7)
    a = a + a.T
    network = discriminator(Quadratic(a, random(3, seed=8)), torch.ones(1).double())
    x = random(1, 3)
    gradient = (x @ a)[0] + random(3, seed=8)
    bias = epsilon**2 * (a.trace() ** 2 / 4 + (a @ a).trace() / 2)
    slopes = slopes_in_random_directions(network, x, epsilon)
    assert_mean_is(slopes.square(), (gradient.square().sum() + bias).item())


@pytest.mark.parametrize("estimate", [torch.square, lambda d: estimate_squared_distance(d, 1.0)])
def test_error_is_of_second_order(estimate):
    """Directions come with their opposites, so that errors of odd order cancel."""
    smooth = discriminator(nn.Tanh(), WEIGHTS)
    pair, half = make_pair(smooth, 1000), random(500, 3, seed=3)
    pair = replace(pair, real=random(1, 3, seed=4).expand(1000, -1))
    direction = torch.cat([half, -half])

    def mean_at(epsilon: float) -> float:
        slopes = FiniteDifference(epsilon).slopes(pair, scored(pair), direction)
        return estimate(slopes).mean().item()

    limit = mean_at(1e-5)
    coarse, fine = mean_at(0.04) - limit, mean_at(0.02) - limit
    assert abs(coarse) > 1e-5
    assert coarse / fine == pytest.approx(4, rel=0.1)


# Tricks


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("r1", 5 * 5.0),
        ("r2", 5 * 5.0),
        ("gradient_penalty", 10 * (NORM - 1) ** 2),
        ("dragan", 10 * (NORM - 1) ** 2),
    ],
)
@pytest.mark.parametrize("packing", [(), ("pacgan",)])
def test_mean_penalty_equals_the_exact_one(name, expected, packing):
    gradient = torch.cat([0.6 * WEIGHTS, -0.8 * WEIGHTS]) if packing else WEIGHTS  # equal norms
    pair = make_pair(discriminator(nn.Identity(), gradient), 4000)
    values = [penalty(pair, spec(name), *packing, step=i).item() for i in range(20)]
    assert_mean_is(torch.tensor(values), expected)
    assert penalty(pair, name, *packing).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("name", "side"), [("r1", "real"), ("r2", "fake")])
def test_penalty_is_taken_at_its_own_images(name, side):
    pair = make_pair(discriminator(nn.Tanh(), WEIGHTS), 4000)
    gradients = (1 - getattr(pair, side).tanh().square()) * WEIGHTS
    expected = 5 * gradients.square().sum(1).mean().item()
    values = [penalty(pair, spec(name, epsilon=1e-4), step=i).item() for i in range(20)]
    assert_mean_is(torch.tensor(values), expected)


def test_gradient_of_penalty_shrinks_weights():
    pair = make_pair(discriminator(nn.Identity(), WEIGHTS), 50_000)
    term = penalty(pair, spec("r1"))
    (gradient,) = torch.autograd.grad(term, pair.discriminator.head.linear.weight)
    torch.testing.assert_close(gradient[0], 10 * WEIGHTS, rtol=0.05, atol=0.2)


def test_directions_are_new_in_each_step():
    pair = make_pair(discriminator(nn.Identity(), WEIGHTS))
    values = [penalty(pair, spec("r1"), step=step).item() for step in (0, 1, 0)]
    assert values[0] == values[2] != values[1]


class FirstDerivativeOnly(torch.autograd.Function):
    """The identity, whose gradient cannot be differentiated."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        return gradient.clone()


class OnceDifferentiable(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return FirstDerivativeOnly.apply(x)


@pytest.mark.parametrize("name", ["r1", "r2", "gradient_penalty", "dragan"])
def test_only_exact_penalties_need_double_backward(name):
    pair = make_pair(discriminator(nn.Sequential(nn.Tanh(), OnceDifferentiable()), WEIGHTS))
    penalty(pair, spec(name)).backward()
    assert pair.discriminator.head.linear.weight.grad.isfinite().all()
    with pytest.raises(RuntimeError, match="once_differentiable"):
        penalty(make_pair(pair.discriminator), name).backward()
    assert TRICKS.make(name).needs_double_backward
    assert not TRICKS.make(spec(name)).needs_double_backward


class HostReads(TorchDispatchMode):
    """Counts reads of tensors by Python, which wait for the device."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function._schema.name in ("aten::_local_scalar_dense", "aten::nonzero")
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["r1", "r2", "gradient_penalty", "dragan"])
def test_penalties_do_not_wait_for_the_device(name):
    pair = make_pair(discriminator(nn.Tanh(), WEIGHTS))
    with HostReads() as reads:
        term = penalty(pair, spec(name, share=0.5))
        term.backward()
        assert reads.count == 0
        term.item()
        assert reads.count == 1


# Beside other tricks and networks


def test_both_scores_have_the_same_noise():
    pair = make_pair(discriminator(nn.Identity(), WEIGHTS))
    plain = penalty(pair, spec("r1")).item()
    noisy = penalty(pair, spec("r1"), "instance_noise(std=1)").item()
    assert noisy == pytest.approx(plain, rel=1e-6)


def test_both_scores_have_the_same_spectral_norm():
    """Each pass improves the norm, so one score before and one after would differ."""
    layer = spectral_norm(nn.Linear(3, 3).double())
    layer.parametrizations.weight.original.data = random(3, 3)  # as after a step of training
    pair = make_pair(discriminator(layer, WEIGHTS))
    images, still = scored(pair), torch.zeros(BATCH, 3).double()
    assert FiniteDifference().slopes(pair, images, still).abs().max() > 1e-6
    assert FiniteDifference().slopes(pair, images, still, reuse=False).abs().max() == 0
    training = trainer(tricks=(spec("r1"), "spectral_norm"))
    (trick,) = (part for name, part in training.trick.items() if name == "r1")
    assert trick.is_parametrized
    assert not next(iter(training_setup(tricks=(spec("r1"),)).trick)).is_parametrized


def test_slopes_are_in_float32_inside_autocast():
    pair = make_pair(discriminator(nn.Linear(3, 3), WEIGHTS).float())
    pair = replace(pair, real=pair.real.float())
    direction = random(BATCH, 3, seed=3).float()
    expected = FiniteDifference().slopes(pair, scored(pair), direction)
    pair = replace(pair)  # without the scores
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(FiniteDifference().slopes(pair, scored(pair), direction), expected)


@pytest.mark.parametrize(("packing", "rows"), [((), 3), (("pacgan",), 2)])
def test_share_scores_first_images_only(packing, rows):
    gradient = torch.cat([WEIGHTS, WEIGHTS]) if packing else WEIGHTS
    pair = make_pair(discriminator(nn.Identity(), gradient))
    counts = []
    pair, tricks = with_tricks(pair, spec("r1", share=0.5), *packing)
    assert len(pair.real_score) == BATCH // (2 if packing else 1)
    pair.discriminator.body.register_forward_pre_hook(lambda _, args: counts.append(len(args[0])))
    list(tricks.discriminator_terms(pair))
    assert counts == [rows]


def test_share_keeps_noise_of_the_whole_batch():
    pair = make_pair(discriminator(nn.Identity(), WEIGHTS))
    plain = penalty(pair, spec("r1", share=0.5)).item()
    noisy = penalty(pair, spec("r1", share=0.5), "instance_noise(std=1)").item()
    assert noisy == pytest.approx(plain, rel=1e-6)


@pytest.mark.parametrize("other", ["minibatch_std", "minibatch_discrimination"])
def test_share_rejects_comparisons_of_images(other):
    training_setup(tricks=(spec("r1"), other))
    with pytest.raises(Incompatible, match=f"{other} compares the images of a batch; share=1"):
        training_setup(tricks=(spec("r1", share=0.5), other))


@pytest.mark.parametrize("name", ["r1", "r2", "gradient_penalty", "dragan"])
def test_finite_difference_rejects_batch_norm(name):
    with pytest.raises(Incompatible, match="batch norm makes them depend on the batch"):
        training_setup("dcgan(width=4)", tricks=(spec(name),))


@pytest.mark.parametrize("name", ["r1", "r2", "gradient_penalty", "dragan"])
@pytest.mark.parametrize("variant", ["cdcgan(width=4, norm='layer')", "projection(width=4)"])
def test_finite_difference_trains_with_labels(name, variant):
    logs = steps(trainer(variant, tricks=(spec(name, share=0.5),)), 2)
    assert all(math.isfinite(value) for log in logs for value in log.values())
    assert all(name in log for log in logs)


@pytest.mark.parametrize("order", [1, 2])
def test_finite_difference_trains_unrolled(order):
    tricks = (spec("r1"), spec("gradient_penalty"), f"unrolled(turns=2, order={order})")
    training = trainer(tricks=tricks)
    steps(training, 2)
    assert all(value.isfinite().all() for value in training.task.state_dict().values())


def test_training_differs_from_exact_but_not_between_runs():
    def train(text: str):
        training = trainer(tricks=(text,))
        steps(training, 2)
        return weights(training.task)

    first, again, exact = (train(text) for text in (spec("r1"), spec("r1"), "r1"))
    assert same(first, again)
    assert not same(first, exact)


# Settings


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("r1", {"weight": 10.0, "every": 1}),
        ("r2(epsilon=0.01)", {"weight": 10.0, "every": 1}),
        ("gradient_penalty", {"weight": 10.0, "target": 1.0, "one_sided": False}),
        ("dragan(method='exact')", {"weight": 10.0, "spread": 0.5}),
        (
            "r1(method='finite_difference', epsilon=0.1, share=0.25)",
            {"weight": 10.0, "every": 1, "method": "finite_difference"}
            | {"epsilon": 0.1, "share": 0.25},
        ),
    ],
)
def test_identity_leaves_out_neutral_settings(text, settings):
    assert TRICKS.identity(text)["settings"] == settings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (spec("r1", epsilon=0), "epsilon must be above 0"),
        (spec("r1", share=0), "share lie in"),
        (spec("dragan", share=1.5), "share lie in"),
        ("r1(epsilon=0.1)", "act only in method='finite_difference'"),
        ("gradient_penalty(share=0.5)", "act only in method='finite_difference'"),
        (spec("gradient_penalty", one_sided=True), "one_sided must be used with method='exact'"),
        ("r2(method='central')", "there are exact, finite_difference"),
    ],
)
def test_invalid_settings_are_explained(text, message):
    with pytest.raises(SpecError, match=message):
        TRICKS.make(text)
